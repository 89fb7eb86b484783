package session

import (
	"fmt"
	"testing"
)

// audience is a loop with a publisher and subscribers of one channel, whose
// connections forget what they are written.
type audience struct {
	loop *Loop
	flag flag
	from *wire
	to   []*wire
}

func newAudience(t testing.TB, subscribers int) *audience {
	h := testHub(t, 1, testLimits())
	a := &audience{loop: h.Loop(0)}
	a.loop.Bind(&a.flag)
	id := identify(t, h.Keys(), "publisher", `{"name":"p"}`, []string{"publish", "subscribe", "send"}, 86400)
	open := func() *wire {
		w := &wire{deaf: true}
		w.session = a.loop.Open(w, id, nil)
		return w
	}
	a.from = open()
	for range subscribers {
		w := open()
		w.session.Receive(clientFrame(1, []byte(`{"type":"subscribe","channel":"c"}`)))
		a.to = append(a.to, w)
	}
	a.turn()
	return a
}

func (a *audience) turn() {
	for a.flag.up.Swap(false) {
		a.loop.Turn()
	}
}

// run gives the publisher's session a frame and lets the loop deal with it.
func (a *audience) run(frame, scratch []byte) {
	copy(scratch, frame) // Receive unmasks in place
	a.loop.Begin()
	a.from.session.Receive(scratch)
	a.turn()
}

func TestAllocations(t *testing.T) {
	for _, tc := range []struct {
		name        string
		text        string
		subscribers int
		most        float64
	}{
		{"a ping", `{"type":"ping"}`, 0, 0},
		{"a publish to nobody", `{"type":"publish","channel":"x","data":1}`, 0, 1},
		{"a publish to one", `{"type":"publish","channel":"c","data":1,"requestId":"r"}`, 1, 1},
		{"a publish to a thousand", `{"type":"publish","channel":"c","data":1,"requestId":"r"}`, 1000, 1},
		{"a direct to its own peer", `{"type":"send","to":"publisher","data":1}`, 0, 4},
	} {
		a := newAudience(t, tc.subscribers)
		frame := clientFrame(1, []byte(tc.text))
		scratch := make([]byte, len(frame))
		writes := 0
		if len(a.to) > 0 {
			writes = a.to[0].writes
		}
		got := testing.AllocsPerRun(100, func() { a.run(frame, scratch) })
		if got > tc.most {
			t.Errorf("%s: got %v allocations, want at most %v", tc.name, got, tc.most)
		}
		if len(a.to) > 0 && a.to[0].writes-writes != 101 {
			t.Errorf("%s: got %d writes a subscriber, want 101", tc.name, a.to[0].writes-writes)
		}
	}
}

// TestConnectAllocations pins what a connection with a subscription of its own
// allocates: the session, its peer, the channel and its name, the lists of one in
// session and channel, and the snapshot's task; the rest is the registry's
// tables, which come and go with their only entry here.
func TestConnectAllocations(t *testing.T) {
	a := newAudience(t, 0)
	id := identify(t, a.loop.hub.Keys(), "q", "", []string{"subscribe", "presence"}, 86400)
	frame := clientFrame(1, []byte(`{"type":"subscribe","channel":"own","requestId":"r"}`))
	scratch, head := make([]byte, len(frame)), make([]byte, 0, 1<<10)
	w := &wire{deaf: true}
	got := testing.AllocsPerRun(100, func() {
		w.session = a.loop.Open(w, id, head)
		copy(scratch, frame)
		a.loop.Begin()
		w.session.Receive(scratch)
		w.session.Closed(nil)
		a.turn()
	})
	if most := 12.; got > most {
		t.Errorf("got %v allocations, want at most %v", got, most)
	}
}

// TestLongFrameAllocations pins that what is longer than a cork is written from
// where it is, as a delta to each of many subscribers.
func TestLongFrameAllocations(t *testing.T) {
	w := newAudience(t, 1).to[0]
	b, writes := make([]byte, 2*maxCork), w.writes
	got := testing.AllocsPerRun(100, func() {
		w.session.put(b)
		w.session.flushCork()
	})
	if got > 0 || w.writes-writes != 101 || w.session.busy != nil {
		t.Errorf("got %v allocations and %d writes, want 0 and 101; left under way: %v", got, w.writes-writes, w.session.busy)
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := newAudience(b, n)
			frame := clientFrame(1, []byte(`{"type":"publish","channel":"c","data":{"text":"hello, world"},"requestId":"r"}`))
			scratch := make([]byte, len(frame))
			b.ReportAllocs()
			for b.Loop() {
				a.run(frame, scratch)
			}
		})
	}
}

func BenchmarkPing(b *testing.B) {
	a := newAudience(b, 0)
	frame := clientFrame(1, []byte(`{"type":"ping"}`))
	scratch := make([]byte, len(frame))
	b.ReportAllocs()
	for b.Loop() {
		a.run(frame, scratch)
	}
}
