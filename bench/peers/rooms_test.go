package main

import (
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
)

func TestChannelOf(t *testing.T) {
	for _, tt := range []struct{ name, target, want string }{
		{"query", "/?channel=a", "a"},
		{"query beside others", "/v1?x=1&channel=a%2Fb&y=2", "a/b"},
		{"path", "/room", "/room"},
		{"empty query", "/room?channel=", "/room"},
		{"root", "/", "/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target, err := url.ParseRequestURI(tt.target)
			if err != nil {
				t.Fatal(err)
			}
			if got := channelOf(target); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Random joins, leaves and publishes against a map of sets.
func TestRoomsModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	channels := []string{"a", "b", "c"}
	var r rooms[int]
	members := map[int]*member[int]{}
	model := map[int]string{} // channel by connection
	for conn := range 20_000 {
		switch keys := slices.Sorted(maps.Keys(members)); {
		case len(keys) == 0 || random.IntN(2) == 0 && len(keys) < 50:
			channel := channels[random.IntN(len(channels))]
			members[conn], model[conn] = r.join(channel, conn), channel
		case random.IntN(2) == 0:
			gone := keys[random.IntN(len(keys))]
			r.leave(members[gone])
			r.leave(members[gone])
			delete(members, gone)
			delete(model, gone)
		default:
			checkPublish(t, &r, members, model, keys[random.IntN(len(keys))])
		}
	}
}

func checkPublish(t *testing.T, r *rooms[int], members map[int]*member[int], model map[int]string, from int) {
	t.Helper()
	var got, want []int
	r.publish(members[from], func(conn int) { got = append(got, conn) })
	for conn, channel := range model {
		if conn != from && channel == model[from] {
			want = append(want, conn)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("a message of %d got to %v, want %v", from, got, want)
	}
}

func TestRoomsEmptyIsForgotten(t *testing.T) {
	var r rooms[int]
	r.leave(r.join("a", 1))
	if len(r.byChannel) != 0 {
		t.Errorf("%d rooms are left, want 0", len(r.byChannel))
	}
}

// A write that fails may make its own member leave.
func TestRoomsLeaveWhilePublishing(t *testing.T) {
	const size = 5
	for gone := 1; gone < size; gone++ {
		var r rooms[int]
		members := make([]*member[int], size)
		for i := range members {
			members[i] = r.join("a", i)
		}
		var got []int
		r.publish(members[0], func(conn int) {
			got = append(got, conn)
			if conn == gone {
				r.leave(members[conn])
			}
		})
		slices.Sort(got)
		if want := []int{1, 2, 3, 4}; !slices.Equal(got, want) {
			t.Errorf("with %d leaving, got %v, want %v", gone, got, want)
		}
	}
}
