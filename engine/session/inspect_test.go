package session

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"signalbox/engine/cluster"
	"signalbox/engine/registry"
	"signalbox/engine/telemetry"
	"signalbox/protocol"
)

func TestFarewellsKeepTheLast(t *testing.T) {
	var f farewells
	for i := range 3*maxFarewells + 7 {
		f.add(Farewell{Conn: registry.NewRef(0, uint32(i), 0)})
	}
	seen := map[uint32]bool{}
	for _, e := range f.list {
		seen[e.Conn.Slot()] = true
	}
	if len(f.list) != maxFarewells || len(seen) != maxFarewells || !seen[3*maxFarewells+6] || seen[2*maxFarewells+6] {
		t.Errorf("%d ends are kept, %d different ones", len(f.list), len(seen))
	}
}

func TestRefReadsAsInLogs(t *testing.T) {
	if got := registry.NewRef(2, 17, 3).String(); got != "2-17-3" {
		t.Errorf("got %q, want 2-17-3", got)
	}
}

// TestCountsOfLateLoop has one loop answer and the other not.
func TestCountsOfLateLoop(t *testing.T) {
	h := testHub(t, 2, testLimits())
	for i := range 2 {
		h.Loop(i).Bind(new(flag))
	}
	h.Loop(0).counts.Connects, h.Loop(1).counts.Connects = 1, 10
	h.Loop(1).counts.Closed(telemetry.Close{Code: protocol.CloseKicked, By: telemetry.Server})
	ask := func(answering ...int) *telemetry.Loop {
		ctx, cancel := context.WithCancel(context.Background())
		countedC := make(chan *telemetry.Loop)
		var before [2]uint64 // a question may be left from the last time
		for i := range before {
			before[i] = h.Loop(i).inbox.posted.Load()
		}
		go func() { countedC <- h.Counts(ctx) }()
		for _, i := range answering {
			l := h.Loop(i)
			for l.inbox.posted.Load() == before[i] {
				runtime.Gosched() // the question is on its way
			}
			l.inbox.run(l, l.inbox.posted.Load())
		}
		if len(answering) < 2 {
			cancel()
		}
		defer cancel()
		return <-countedC
	}
	if got := ask(0); got.Connects != 1 {
		t.Errorf("one loop has %d connects, want 1", got.Connects)
	}
	h.Loop(0).counts.Connects = 2
	if got := ask(0, 1); got.Connects != 12 || telemetry.Sum(got.Closes) != 1 {
		t.Errorf("both have %d connects and closes %v, want 12 and one", got.Connects, got.Closes)
	}
	h.Loop(0).counts.Connects, h.Loop(1).counts.Connects = 5, 100
	if got := ask(0); got.Connects != 15 {
		t.Errorf("with one late %d connects, want 15", got.Connects)
	}
}

// brokenBus is one whose other nodes cannot be reached.
type brokenBus struct{ cluster.Local }

func (brokenBus) Publish(cluster.Publication, func(int)) error { return cluster.ErrUnavailable }

// TestCountsOfRefused: a message counts when it is acknowledged, not when it
// comes.
func TestCountsOfRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, testLimits())
		w, counts := c.open(t, 0, "ann", ""), c.loops[0].counts
		const publish, send = `{"type":"publish","channel":"c","data":1}`, `{"type":"send","to":"%s","data":1}`
		textTo(w, send, "nobody")
		c.bus = brokenBus{}
		textTo(w, publish)
		if counts.Directs != 0 || counts.Publishes != 0 {
			t.Errorf("refused: got %d directs and %d publishes, want none", counts.Directs, counts.Publishes)
		}
		c.bus = cluster.Local{}
		textTo(w, send, "ann")
		textTo(w, publish)
		if counts.Directs != 1 || counts.Publishes != 1 {
			t.Errorf("accepted: got %d directs and %d publishes, want one each", counts.Directs, counts.Publishes)
		}
	})
}

// unsureBus is one with other nodes that do not all answer.
type unsureBus struct{ cluster.Local }

func (unsureBus) Alone() bool { return false }

func (unsureBus) Send(_ cluster.Direct, _ bool, reached func(int)) error {
	reached(cluster.Unknown)
	return nil
}

// TestSendNotSure: that a peer is not found must be true for all nodes.
func TestSendNotSure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, testLimits())
		w := c.open(t, 0, "ann", "")
		c.bus, c.alone = unsureBus{}, false
		textTo(w, `{"type":"send","to":"nobody","data":1,"requestId":"r"}`)
		c.pass(time.Second)
		got := w.take()
		const want = `{"type":"error","requestId":"r","code":"backend_error"`
		if last := got[len(got)-1].payload; !bytes.HasPrefix(last, []byte(want)) {
			t.Errorf("got %s, want %s…", last, want)
		}
	})
}

// TestCountsOfSavedPresence: metadata that changes is told to nobody, so no frame
// is saved of it.
func TestCountsOfSavedPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, testLimits())
		join := func(peer, meta string) {
			textTo(c.open(t, 0, peer, meta), `{"type":"subscribe","channel":"c"}`)
			c.pass(time.Second)
		}
		join("ann", "")
		for i := range 10 {
			join("bob", fmt.Sprintf(`{"n":%d}`, i))
		}
		counts := c.loops[0].counts
		sent, saved := counts.PresenceSent, counts.PresenceSaved
		join("carol", "")
		if counts.PresenceSent-sent != 11 || counts.PresenceSaved != saved {
			t.Errorf("one join told to 11: got %d frames, %d saved, want 11 and none", counts.PresenceSent-sent, counts.PresenceSaved-saved)
		}
	})
}

// TestNewAppHoldsUpNobody: who hears of events is asked for outside the lock that
// loops take.
func TestNewAppHoldsUpNobody(t *testing.T) {
	h := testHub(t, 1, testLimits())
	h.events = func(string) registry.Events {
		if !h.mu.TryLock() {
			t.Fatal("the hub is locked while its events are asked for")
		}
		h.mu.Unlock()
		return nil
	}
	h.App("app_new")
}
