package session

import (
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
}

func (*ear) Alone() bool { return false }

func (e *ear) Exchange(with cluster.NodeID, _ cluster.Share) { e.exchanged = append(e.exchanged, with) }

func (e *ear) Answer(_ cluster.NodeID, s cluster.Share) { e.answered = append(e.answered, s) }

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
				h := testHubOn(t, 1, testLimits(), nil, e)
				l := h.Loop(0)
				wake := &flag{}
				l.Bind(wake)
				l.Start()
				defer func() { l.timers.alarm.Stop() }()
				run := func() {
					for wake.up.Swap(false) {
						l.Turn()
					}
				}
				w := &wire{deaf: true}
				w.session = l.Open(w, identify(t, h.Keys(), "ann", "", all, 86400), nil)
				textTo(w, `{"type":"subscribe","channel":"c"}`)
				run()
				tc.say(h.Remote())
				for range 3 {
					run()
					time.Sleep(2 * time.Millisecond)
				}
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
