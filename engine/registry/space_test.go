package registry

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"signalbox/engine/presence"
	"signalbox/protocol"
)

// TestPartsComeAndGo has parts of several loops hold a channel, each as long as
// something needs it.
func TestPartsComeAndGo(t *testing.T) {
	s := NewSpace(3)
	p := s.Join("c", 2)
	if p.Channel.Home() != 2 || s.Join("c", 2) != p || s.Find("c").Part(2) != p {
		t.Fatal("the part that was made is not found")
	}
	q := s.Join("c", 0)
	if q.Channel != p.Channel || q.Channel.Home() != 2 {
		t.Fatal("another loop has met another channel")
	}
	if r := q.Channel.JoinHome(); r != p {
		t.Error("the home has a second part")
	}
	for _, hold := range []struct {
		name    string
		on, off func()
	}{
		{"a subscriber", func() { p.Add(1, 0) }, func() { p.Remove(0) }},
		{"a subscribe under way", func() { p.Joining++ }, func() { p.Joining-- }},
		{"a roster", func() { p.Roster = new(presence.Home) }, func() { p.Roster = nil }},
	} {
		if hold.on(); p.Done() {
			t.Errorf("%s does not hold the part", hold.name)
		}
		hold.off()
	}
	if !p.Done() || p.Done() || s.Find("c") != q.Channel {
		t.Error("a part that nothing holds is not given up, or the channel with it")
	}
	if q.Channel.Part(2) != nil || q.AtHome() {
		t.Error("the home loop still has a part")
	}
	if again := q.Channel.JoinHome(); !again.AtHome() || !q.Done() || s.Find("c") != again.Channel || !again.Done() {
		t.Error("the channel does not outlive one part by the other")
	}
	if s.Find("c") != nil {
		t.Error("the channel outlives its parts")
	}
}

// TestSpaceFromManyLoops has loops join and leave few channels at once.
func TestSpaceFromManyLoops(t *testing.T) {
	const loops = 4
	s := NewSpace(loops)
	var wg sync.WaitGroup
	for loop := range loops {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(loop), 8))
			parts := map[string]*Part{}
			for range 5000 {
				name := fmt.Sprintf("c%d", random.IntN(3))
				if p := parts[name]; p != nil {
					p.Remove(0)
					if !p.Done() {
						t.Error("not done")
					}
					delete(parts, name)
					continue
				}
				p := s.Join(name, loop)
				p.Add(uint32(loop), FlagMeta)
				parts[name] = p
				if c := s.Find(name); c != p.Channel || !c.Loops().Has(loop) || c.Part(loop) != p {
					t.Errorf("loop %d: %s is not what was joined", loop, name)
				}
			}
			for _, p := range parts {
				p.Remove(0)
				p.Done()
			}
		})
	}
	wg.Wait()
	s.channels.each(func(c *Channel) { t.Errorf("%s is left with %d references", c.Name, c.refs) })
}

func TestRandomPeers(t *testing.T) {
	s := NewSpace(1)
	random := rand.New(rand.NewPCG(1, 9))
	model := map[string][]Ref{}
	for range 20_000 {
		peer := fmt.Sprintf("peer %d", random.IntN(50))
		ref := NewRef(random.IntN(4), random.Uint32N(3), random.Uint32N(2))
		if i := slices.Index(model[peer], ref); i >= 0 {
			s.Exit(peer, ref)
			model[peer] = slices.Delete(model[peer], i, i+1)
		} else if random.IntN(3) == 0 {
			s.Exit(peer, ref) // is not there
		} else {
			s.Enter(peer, ref)
			model[peer] = append(model[peer], ref)
		}
		if got := s.Sockets([]byte(peer)); !slices.Equal(got, model[peer]) {
			t.Fatalf("%s: got %v, want %v", peer, got, model[peer])
		}
	}
}

func TestRef(t *testing.T) {
	for _, tc := range []struct {
		name      string
		loop      int
		slot, gen uint32
	}{
		{"the first", 0, 0, 0},
		{"the last", MaxLoops - 1, ^uint32(0), 1<<24 - 1},
		{"some", 3, 70_000, 9},
	} {
		r := NewRef(tc.loop, tc.slot, tc.gen)
		if r.Loop() != tc.loop || r.Slot() != tc.slot || r.Gen() != tc.gen {
			t.Errorf("%s: got %d, %d, %d", tc.name, r.Loop(), r.Slot(), r.Gen())
		}
	}
	if NewRef(1, 2, 1<<24+5) != NewRef(1, 2, 5) {
		t.Error("a generation does not count modulo 2^24")
	}
}

func TestList(t *testing.T) {
	s := NewSpace(1)
	for i, name := range []string{"b/1", "a/2", "a/1", "a/3", "empty", "a/secret"} {
		s.Join(name, 0).SetPeers(i + 1)
	}
	s.Find("empty").SetPeers(0)
	public := func(name string) bool { return !strings.HasSuffix(name, "secret") }
	for _, tc := range []struct {
		name, prefix, after string
		limit               int
		want                string
		more                bool
	}{
		{"all", "", "", 10, "[{a/1 3} {a/2 2} {a/3 4} {b/1 1}]", false},
		{"a prefix", "a/", "", 10, "[{a/1 3} {a/2 2} {a/3 4}]", false},
		{"the first page", "a/", "", 2, "[{a/1 3} {a/2 2}]", true},
		{"the next page", "a/", "a/2", 2, "[{a/3 4}]", false},
		{"nothing", "x", "", 2, "[]", false},
	} {
		got, more := s.List(tc.prefix, tc.after, tc.limit, public)
		if fmt.Sprint(got) != tc.want || more != tc.more {
			t.Errorf("%s: got %v, %v, want %s, %v", tc.name, got, more, tc.want, tc.more)
		}
	}
}

// TestRandomWild holds Match against matching every pattern.
func TestRandomWild(t *testing.T) {
	patterns := []string{"**", "*", "a/*", "a/**", "a*", "*/b", "a/b*", `a\\*`, "*a*b*", "b/*/c", "a/b/*", "ä*", "aa*"}
	names := []string{"a", "b", "a/b", "a/b/c", "aab", "b/x/c", `a\`, "xaybz", "ä/b", "ab", ""}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 10))
		s := NewSpace(3)
		w := NewWild(s, 2)
		type sub struct {
			group *Group
			index int
		}
		subs := map[uint32]*sub{}
		for slot := range uint32(400) {
			if random.IntN(2) == 0 || len(subs) == 0 {
				g, i := w.Add(patterns[random.IntN(len(patterns))], slot, 0)
				subs[slot] = &sub{g, i}
			} else {
				for gone, x := range subs {
					delete(subs, gone)
					if moved := w.Remove(x.group, x.index); x.index < len(x.group.Subs) {
						subs[moved].index = x.index
					}
					break
				}
			}
			if s.Wild().Has(2) != (len(subs) > 0) {
				t.Fatalf("wild: %b with %d subscribers", s.Wild(), len(subs))
			}
			name := names[random.IntN(len(names))]
			got, want := map[uint32]int{}, 0
			w.Match(name, func(g *Group) {
				for _, x := range g.Subs {
					got[x.Slot]++
				}
			})
			for slot, x := range subs {
				if x.group.Subs[x.index].Slot != slot {
					t.Fatalf("slot %d is not at %d", slot, x.index)
				}
				if protocol.CompileGlob(x.group.Glob.String()).Match(name) {
					if want++; got[slot] != 1 {
						t.Fatalf("%s: %s matched %d times, want once", name, x.group.Glob, got[slot])
					}
				}
			}
			if len(got) != want {
				t.Fatalf("%s: %d matched, want %d", name, len(got), want)
			}
		}
	}
}

func TestLoops(t *testing.T) {
	set := Loops(1<<0 | 1<<5 | 1<<63)
	var got []int
	set.Each(func(i int) { got = append(got, i) })
	if want := []int{0, 5, 63}; !slices.Equal(got, want) {
		t.Errorf("each: got %v, want %v", got, want)
	}
	if !set.Has(63) || set.Has(1) {
		t.Error("has: wrong")
	}
}
