package session

import (
	"context"
	"runtime"
	"testing"

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
