package cluster

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestEstrangedNodesAnswer has two nodes keep each other's messages, and each count
// those of the other: neither waits for the other to count first.
func TestEstrangedNodesAnswer(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	port := portOf(s)
	c := config(s.ClientURL(), "a")
	c.times.round, c.times.fence = time.Minute, time.Minute
	stopNATS(s)
	tellC := make(chan struct{})
	var nodes []*node
	for range 2 { // each meets the other in the middle of its life
		n := start(t, c)
		n.r.mu.Lock()
		n.r.sockets, n.r.tellC = 1, tellC
		n.r.mu.Unlock()
		n.r.finds.Store(true)
		n.entersChannel("room")
		nodes = append(nodes, n)
	}
	natsServer(t, port)
	for _, n := range nodes {
		n.knows(1)
		n.after("found")
		n.until("messages go out", func(Stats) bool { return n.publishes("other", "alice", "hi") == nil })
		n.EnterPeer(app, "bob")
		n.fence()
	}
	var sums []func() int
	for i, n := range nodes {
		other := nodes[1-i]
		counted, sum := n.sums()
		if err := n.Send(directTo("bob", "alice", "hi"), true, counted); err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sum)
		// Behind the message, which is kept by now.
		n.Tell(Step{App: app, Channel: "room", Version: 2, Member: Member{Peer: "alice"}})
		other.after("step room 2 +alice")
	}
	close(tellC)
	for i, sum := range sums {
		if got := sum(); got != 1 {
			t.Errorf("node %d counted %d sockets, want 1", i, got)
		}
	}
}

// TestCountedLateIsCounted has a node take its time to count a message to a peer, until
// it is asked for again, and something else is asked between the two.
func TestCountedLateIsCounted(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	c := config(s.ClientURL(), "a")
	c.times.round = time.Minute
	a, b := start(t, c), start(t, c)
	a.knows(1)
	b.knows(1)
	b.EnterPeer(app, "bob")
	b.fence()
	holdC := make(chan struct{})
	b.r.counting(1, holdC)
	counted, sum := a.sums()
	if err := a.Send(directTo("bob", "alice", "hi"), true, counted); err != nil {
		t.Fatal(err)
	}
	if err := a.Peers(app, "room", func([]Member) {}); err != nil {
		t.Fatal(err)
	}
	a.until("it asks again", func(s Stats) bool { return s.Rounds == 2 })
	a.entersChannel("room") // what waits for nothing is over by then
	close(holdC)
	if got := sum(); got != 1 {
		t.Errorf("counted %d sockets, want 1", got)
	}
}

// TestEnteredIsSure has a node say that it is there, and then nothing of its share.
func TestEnteredIsSure(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		times func(*times)
		then  func(a *node, say func(records []byte), stop func())
		want  bool
	}{
		{"no answer", func(c *times) { c.fence = 100 * time.Millisecond }, nil, false},
		{"it has missed something", nil, func(_ *node, say func([]byte), _ func()) {
			say(appendBeat(nil, beat{name: "mute", epoch: 1, number: 3}))
		}, false},
		{"its link was down", nil, func(_ *node, say func([]byte), _ func()) {
			say(appendBeat(nil, beat{name: "mute", epoch: 2, number: 1}))
		}, false},
		{"its link was down, it has missed something", nil, func(_ *node, say func([]byte), _ func()) {
			say(appendBeat(nil, beat{name: "mute", epoch: 2, number: 2}))
		}, false},
		{"the link was down", nil, func(a *node, _ func([]byte), _ func()) { a.relinks() }, false},
		{"it ends", nil, func(_ *node, say func([]byte), _ func()) { say([]byte{kindBye}) }, true},
		{"it is silent", func(c *times) { c.gone = 300 * time.Millisecond }, nil, true},
		{"the link is down, it goes", func(c *times) { c.gone = 300 * time.Millisecond }, func(_ *node, _ func([]byte), stop func()) { stop() }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := natsServer(t, -1)
			c := config(s.ClientURL(), "a")
			c.times.gone, c.times.fence = time.Minute, time.Minute
			if tt.times != nil {
				tt.times(&c.times)
			}
			a := start(t, c)
			mute, err := nats.Connect(s.ClientURL())
			if err != nil {
				t.Fatal(err)
			}
			defer mute.Close()
			said := uint64(0)
			say := func(records []byte) {
				t.Helper()
				said++
				if err := mute.Publish(subjectAll, payload(42, said, records...)); err != nil {
					t.Fatal(err)
				}
			}
			say(appendBeat(nil, beat{name: "mute", epoch: 1, number: 1}))
			a.knows(1)
			rounds := a.Stats().Rounds
			enteredC := make(chan bool, 1)
			a.EnterChannel(Share{App: app, Channel: "room"}, func(all bool) { enteredC <- all })
			a.until("it waits", func(s Stats) bool { return s.Rounds == rounds+1 })
			if tt.then != nil {
				tt.then(a, say, func() { stopNATS(s) })
			}
			select {
			case all := <-enteredC:
				if all != tt.want {
					t.Errorf("all: got %v, want %v", all, tt.want)
				}
			case <-time.After(patience):
				t.Error("it waits for ever")
			}
		})
	}
}

// TestEnteredWithoutALink has a channel entered while nodes that have not gone cannot
// be asked.
func TestEnteredWithoutALink(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	c := config(s.ClientURL(), "a")
	c.times.gone = time.Second
	a := start(t, c)
	c.Name = "b"
	start(t, c)
	a.knows(1)
	stopNATS(s)
	a.until("its link is down", func(s Stats) bool { return !s.Linked })
	for _, want := range []bool{false, true} {
		enteredC := make(chan bool, 1)
		a.EnterChannel(Share{App: app, Channel: "room"}, func(all bool) { enteredC <- all })
		if all := <-enteredC; all != want {
			t.Errorf("with %d others: all: got %v, want %v", len(a.Stats().Nodes), all, want)
		}
		a.knows(0)
	}
}
