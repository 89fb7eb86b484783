package session

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"signalbox/engine/cluster"
)

// ear is a bus that notes what a hub asks of it.
type ear struct {
	cluster.Local
	exchanged []cluster.NodeID
	answered  []cluster.Share
	holds     bool             // entered is called by the test
	entered   []func(all bool) // of channels and patterns entered since
	exited    int              // patterns
	room      int              // exchanges until it is behind; 0: it never is
}

func (*ear) Alone() bool { return false }

func (e *ear) Behind() bool { return e.room > 0 && len(e.exchanged) >= e.room }

func (e *ear) Exchange(with cluster.NodeID, _ cluster.Share) { e.exchanged = append(e.exchanged, with) }

func (e *ear) EnterChannel(s cluster.Share, entered func(all bool)) {
	if e.holds {
		e.entered = append(e.entered, entered)
		return
	}
	e.Local.EnterChannel(s, entered)
}

func (e *ear) EnterPattern(app, pattern string, entered func(all bool)) {
	if e.holds {
		e.entered = append(e.entered, entered)
		return
	}
	e.Local.EnterPattern(app, pattern, entered)
}

func (e *ear) ExitPattern(_, _ string) { e.exited++ }

func (e *ear) Answer(_ cluster.NodeID, s cluster.Share) { e.answered = append(e.answered, s) }

// loop returns a hub on the bus, its only loop, and what runs that while something
// is to be done, and for some ms more.
func (e *ear) loop(t *testing.T) (h *Hub, l *Loop, run func(ms int)) {
	t.Helper()
	h = testHubOn(t, 1, testLimits(), nil, e)
	l = h.Loop(0)
	wake := &flag{}
	l.Bind(wake)
	l.Start()
	t.Cleanup(func() { l.timers.alarm.Stop() })
	return h, l, func(ms int) {
		for ; ms >= 0; ms-- {
			for wake.up.Swap(false) {
				l.Turn()
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// TestLargeSharesTakeTurns: a turn goes through fewer channels the larger they are.
func TestLargeSharesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const channels, members = 20, 1000
		e := &ear{}
		h, l, run := e.loop(t)
		w := &wire{deaf: true}
		w.session = l.Open(w, identify(t, h.Keys(), "ann", "", all, 86400), nil)
		node := h.Remote()
		for i := range channels {
			channel := fmt.Sprint("c", i)
			textTo(w, `{"type":"subscribe","channel":%q}`, channel)
			run(0)
			s := cluster.Share{App: "app_one", Channel: channel, Version: 1}
			for j := range members {
				s.Members = append(s.Members, cluster.Member{Peer: fmt.Sprint("peer", j)})
			}
			node.Share(7, s, false)
			run(0)
		}
		told := false
		node.Found(8, func() { told = true })
		run(0)
		if got := len(e.exchanged); got == 0 || got > channels/2 || told {
			t.Errorf("%d of %d channels were exchanged at once", got, channels)
		}
		run(2 * channels)
		if got := len(e.exchanged); got != channels || !told {
			t.Errorf("%d of %d channels were exchanged, told %v", got, channels, told)
		}
	})
}

// TestSharesWaitForTheBus: they are told as fast as they are passed on.
func TestSharesWaitForTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const channels = 10
		e := &ear{}
		h, l, run := e.loop(t)
		w := &wire{deaf: true}
		w.session = l.Open(w, identify(t, h.Keys(), "ann", "", all, 86400), nil)
		for i := range channels {
			textTo(w, `{"type":"subscribe","channel":"c%d"}`, i)
			run(0)
		}
		told := false
		e.room = 3
		h.Remote().Found(8, func() { told = true })
		run(100)
		if got := len(e.exchanged); got != e.room || told {
			t.Errorf("%d channels were exchanged where there is room for %d, told %v", got, e.room, told)
		}
		e.room = 2 * channels
		run(100)
		if got := len(e.exchanged); got != channels || !told {
			t.Errorf("%d of %d channels were exchanged, told %v", got, channels, told)
		}
	})
}

// TestGoneWaitsForNobody: the peers of a node that is gone leave, however much waits for
// the link.
func TestGoneWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ear{room: 1}
		h, l, run := e.loop(t)
		w := &wire{deaf: true}
		w.session = l.Open(w, identify(t, h.Keys(), "ann", "", all, 86400), nil)
		textTo(w, `{"type":"subscribe","channel":"c"}`)
		run(0)
		node := h.Remote()
		node.Share(7, cluster.Share{App: "app_one", Channel: "c", Version: 1, Members: []cluster.Member{{Peer: "bob"}}}, false)
		node.Found(8, func() {})
		run(0)
		if !e.Behind() {
			t.Fatal("the bus is not behind")
		}
		node.Gone(7)
		run(100)
		if got := l.abroad.list[0].part.Roster.Len(); got != 1 {
			t.Errorf("there are %d peers, want 1", got)
		}
	})
}

// TestSharesOfOtherNodes has one channel with a subscriber here, and says what
// another node may say of it.
func TestSharesOfOtherNodes(t *testing.T) {
	const other, third = 7, 8
	member := func(peer string) cluster.Member { return cluster.Member{Peer: peer} }
	step := func(version uint64, leaves bool, peer string) cluster.Step {
		return cluster.Step{App: "app_one", Channel: "c", Version: version, Leaves: leaves, Member: member(peer)}
	}
	share := func(version uint64, peers ...string) cluster.Share {
		s := cluster.Share{App: "app_one", Channel: "c", Version: version}
		for _, p := range peers {
			s.Members = append(s.Members, member(p))
		}
		return s
	}
	for _, tc := range []struct {
		name      string
		say       func(n cluster.Node)
		roster    []string
		exchanged []cluster.NodeID
	}{
		{"a share", func(n cluster.Node) { n.Share(other, share(5, "bob", "cat"), false) }, []string{"ann", "bob", "cat"}, nil},
		{"a step", func(n cluster.Node) {
			n.Share(other, share(5, "bob"), false)
			n.Step(other, step(6, false, "cat"))
			n.Step(other, step(7, true, "bob"))
		}, []string{"ann", "cat"}, nil},
		{"a step that came before", func(n cluster.Node) {
			n.Share(other, share(5, "bob"), false)
			n.Step(other, step(5, true, "bob"))
		}, []string{"ann", "bob"}, nil},
		{"a gap", func(n cluster.Node) {
			n.Share(other, share(5, "bob"), false)
			n.Step(other, step(7, true, "bob"))
			n.Step(other, step(8, false, "cat"))
		}, []string{"ann", "bob"}, []cluster.NodeID{other}},
		{"a gap that is filled", func(n cluster.Node) {
			n.Share(other, share(5, "bob"), false)
			n.Step(other, step(7, true, "bob"))
			n.Share(other, share(9, "dan"), false)
			n.Step(other, step(10, false, "eve"))
		}, []string{"ann", "dan", "eve"}, []cluster.NodeID{other}},
		{"a step of an unknown share", func(n cluster.Node) { n.Step(other, step(7, false, "bob")) }, []string{"ann"}, []cluster.NodeID{other}},
		{"a peer on two nodes", func(n cluster.Node) {
			n.Share(other, share(1, "bob"), false)
			n.Share(third, share(1, "bob"), false)
			n.Exit(other, "app_one", "c")
		}, []string{"ann", "bob"}, nil},
		{"a peer's newest metadata, of a share told again", func(n cluster.Node) {
			s := share(5, "bob")
			n.Share(other, s, false)
			newer := share(1)
			newer.Members = []cluster.Member{{Peer: "bob", Meta: `{"n":2}`}}
			n.Share(third, newer, false)
			n.Share(other, s, false)
		}, []string{"ann", `bob{"n":2}`}, nil},
		{"a node that goes", func(n cluster.Node) {
			n.Share(other, share(1, "bob"), false)
			n.Share(third, share(1, "cat"), false)
			n.Gone(other)
		}, []string{"ann", "cat"}, nil},
		{"a node that goes and is back", func(n cluster.Node) {
			n.Share(other, share(1, "bob"), false)
			n.Gone(other)
			n.Share(other, share(2, "bob"), false)
		}, []string{"ann", "bob"}, nil},
		{"a node that is found", func(n cluster.Node) { n.Found(third, func() {}) }, []string{"ann"}, []cluster.NodeID{third}},
		{"a channel of an unknown app", func(n cluster.Node) {
			s := share(1, "bob")
			s.App = "app_two"
			n.Share(other, s, true)
		}, []string{"ann"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &ear{}
				h, l, run := e.loop(t)
				w := &wire{deaf: true}
				w.session = l.Open(w, identify(t, h.Keys(), "ann", "", all, 86400), nil)
				textTo(w, `{"type":"subscribe","channel":"c"}`)
				run(0)
				tc.say(h.Remote())
				run(6)
				ch := h.App("app_one").Space.Find("c")
				var roster []string
				for _, p := range listed(l.cut(ch.Part(0))) {
					roster = append(roster, p.ID+string(p.Metadata))
				}
				slices.Sort(roster)
				if !slices.Equal(roster, tc.roster) {
					t.Errorf("roster: got %v, want %v", roster, tc.roster)
				}
				if !slices.Equal(e.exchanged, tc.exchanged) {
					t.Errorf("exchanged with %v, want %v", e.exchanged, tc.exchanged)
				}
			})
		})
	}
}

// TestSubscribeWaitsForShares has a subscribe wait while a node that has not gone does
// not tell its share: a snapshot without it would say that its peers have left.
func TestSubscribeWaitsForShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ear{holds: true}
		h, l, run := e.loop(t)
		w := &wire{}
		w.session = l.Open(w, identify(t, h.Keys(), "ann", "", all, 86400), nil)
		textTo(w, `{"type":"subscribe","channel":"c","requestId":"r"}`)
		for asked := 1; asked < 4; asked++ {
			run(2 * askAgain)
			if len(e.entered) != asked {
				t.Fatalf("asked %d times for shares, want %d", len(e.entered), asked)
			}
			if bytes.Contains(w.out, []byte("ack")) {
				t.Fatalf("acknowledged without a share: %s", w.out)
			}
			e.entered[asked-1](false)
		}
		run(2 * askAgain)
		h.Remote().Share(7, cluster.Share{App: "app_one", Channel: "c", Version: 1, Members: []cluster.Member{{Peer: "bob"}}}, false)
		e.entered[3](true)
		run(2 * askAgain)
		for _, want := range []string{`"type":"ack","requestId":"r"`, `"joined":[{"peerId":"bob"}]`} {
			if !bytes.Contains(w.out, []byte(want)) {
				t.Errorf("%s is missing: %s", want, w.out)
			}
		}
		if len(e.entered) != 4 {
			t.Errorf("asked %d times for shares, want 4", len(e.entered))
		}
	})
}

// TestWildcardWaitsForAllNodes has a node that has not gone not hear of a pattern: its
// messages might not come yet.
func TestWildcardWaitsForAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ear{holds: true}
		h, l, run := e.loop(t)
		w := &wire{}
		w.session = l.Open(w, identify(t, h.Keys(), "ann", "", all, 86400), nil)
		textTo(w, `{"type":"subscribe","channel":"c/*","requestId":"r"}`)
		for asked := 1; asked < 4; asked++ {
			run(2 * askAgain)
			if len(e.entered) != asked || e.exited != asked-1 {
				t.Fatalf("entered %d times and exited %d, want %d and %d", len(e.entered), e.exited, asked, asked-1)
			}
			if bytes.Contains(w.out, []byte("ack")) {
				t.Fatalf("acknowledged without a node: %s", w.out)
			}
			e.entered[asked-1](false)
		}
		run(2 * askAgain)
		e.entered[3](true)
		run(2 * askAgain)
		if want := []byte(`"type":"ack","requestId":"r"`); !bytes.Contains(w.out, want) {
			t.Errorf("%s is missing: %s", want, w.out)
		}
		textTo(w, `{"type":"subscribe","channel":"d/*"}`)
		run(0)
		e.entered[4](false)
		run(0)
		w.vanish()
		run(2 * askAgain)
		if len(e.entered) != 5 || e.exited != 5 {
			t.Errorf("entered %d times and exited %d, want 5 times each", len(e.entered), e.exited)
		}
	})
}

// TestNobodyAsksForAChannelThatEnded has the only subscriber go while a node does not
// tell its share.
func TestNobodyAsksForAChannelThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ear{holds: true}
		h, l, run := e.loop(t)
		w := &wire{deaf: true}
		w.session = l.Open(w, identify(t, h.Keys(), "ann", "", all, 86400), nil)
		textTo(w, `{"type":"subscribe","channel":"c"}`)
		run(0)
		e.entered[0](false)
		run(0)
		w.vanish()
		run(2 * askAgain)
		if len(e.entered) != 1 {
			t.Errorf("asked %d times for shares, want once", len(e.entered))
		}
	})
}
