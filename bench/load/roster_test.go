package load

import (
	"testing"

	"signalbox/bench/client"
	"signalbox/bench/floor"
	"signalbox/bench/target"
	"signalbox/protocol"
)

// presence is a presence frame with members by number.
func presence(joined, left []int) []byte {
	peers := func(numbers []int) (list []protocol.Peer) {
		for _, n := range numbers {
			list = append(list, protocol.Peer{ID: memberName(n)})
		}
		return list
	}
	return protocol.AppendPresence(nil, "c", peers(joined), peers(left))
}

func TestRosterFollowsPresence(t *testing.T) {
	for _, tt := range []struct {
		name   string
		frames [][]byte
		others int // in a roster that is right
		right  bool
		fault  bool
	}{
		{"snapshot", [][]byte{presence([]int{0, 2, 69}, nil)}, 3, false, false},
		{"all", [][]byte{presence([]int{0, 2, 3}, nil)}, 3, true, false},
		{"one by one", [][]byte{presence([]int{0}, nil), presence([]int{2}, nil), presence([]int{3}, nil)}, 3, true, false},
		{"told twice", [][]byte{presence([]int{0, 2, 3}, nil), presence([]int{3}, nil)}, 3, true, false},
		{"left", [][]byte{presence([]int{0, 2, 3}, nil), presence(nil, []int{3})}, 2, true, false},
		{"left and back", [][]byte{presence([]int{0, 2}, nil), presence(nil, []int{2}), presence([]int{2}, nil)}, 2, true, false},
		{"right number, wrong peers", [][]byte{presence([]int{0, 69}, nil)}, 2, false, false},
		{"itself", [][]byte{presence([]int{1}, nil)}, 2, false, true},
		{"unknown", [][]byte{presence([]int{999}, nil)}, 2, false, true},
		{"no presence", [][]byte{protocol.AppendPong(nil)}, 2, false, false},
		{"no lists", [][]byte{[]byte(`{"type":"presence"}`)}, 2, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRoster(newFleet(t, 1), RosterConfig{Channel: "c", Peers: 70})
			r.expect(tt.others + 1)
			m := r.loops[0].members[1]
			for _, frame := range tt.frames {
				m.Text(&client.Conn{}, frame)
			}
			if m.right != tt.right || (r.Right() == 1) != tt.right {
				t.Errorf("right is %t, %d are, want %t", m.right, r.Right(), tt.right)
			}
			if err := r.Err(); (err != nil) != tt.fault {
				t.Errorf("got fault %v, want one: %t", err, tt.fault)
			}
		})
	}
}

// TestRosterLeave: who leaves is gone with the socket, and is not told as lost.
func TestRosterLeave(t *testing.T) {
	cfg := RosterConfig{Channel: "c", Peers: 5, Sources: Sources{Loopback}, Ramp: client.Ramp{Window: 8}}
	r := NewRoster(newFleet(t, 2), cfg)
	if err := r.Join(testContext(t), target.Dialogue(newFloor(t), "dialogue", floor.DialoguePath), cfg); err != nil {
		t.Fatal(err)
	}
	if got := r.Joins().Count(); got != 5 {
		t.Errorf("got %d joins, want 5", got)
	}
	r.Leave(3, 5)
	r.fleet.Each(func(l *client.Loop) {
		for _, m := range r.loops[l.Index].members {
			if got, want := m.conn.IsReady(), m.index < 3; got != want {
				t.Errorf("member %d: open %t, want %t", m.index, got, want)
			}
		}
	})
	if n := r.lost.Load(); n != 0 {
		t.Errorf("%d are told as lost", n)
	}
}
