package quota

import (
	"errors"
	"testing"

	"signalbox/engine/datafile"
)

// TestHold takes a directory over from a ledger that still counts: no count is
// lost and none doubled.
func TestHold(t *testing.T) {
	dir, clock := t.TempDir(), clockAt(t, "2026-03-10T12:00:00Z")
	old := openLedger(t, dir, clock)
	messages(old.App("app_a"), 5)
	old.App("app_a").Connect()
	old.App("app_a").Connect()
	if err := old.flush(); err != nil {
		t.Fatal(err)
	}
	next := Hold(dir, clock.Now)
	messages(next.App("app_a"), 3)
	next.App("app_a").Connect()
	messages(next.App("app_b"), 1)
	if err := next.Attach(); !errors.Is(err, datafile.ErrInUse) {
		t.Fatalf("Attach while the old one is open: got %v, want ErrInUse", err)
	}
	if err := next.flush(); err != nil {
		t.Errorf("flush before Attach: %v", err)
	}
	messages(old.App("app_a"), 2)
	closeLedger(t, old)
	if err := next.Attach(); err != nil {
		t.Fatal(err)
	}
	if got := next.App("app_a").Usage(clock.now).MessagesUsed; got != 10 {
		t.Errorf("at once: app_a has %d messages, want 10", got)
	}
	messages(next.App("app_a"), 1)
	for range 2 {
		if err := next.flush(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(name string, l *Ledger) {
		t.Helper()
		if got := l.App("app_a").Usage(clock.now); got.MessagesUsed != 11 || got.PeakConcurrent != 2 {
			t.Errorf("%s: app_a has %+v, want 11 messages and a peak of 2", name, got)
		}
		if got := l.App("app_b").Usage(clock.now).MessagesUsed; got != 1 {
			t.Errorf("%s: app_b has %d messages, want 1", name, got)
		}
	}
	check("attached", next)
	closeLedger(t, next)
	again := openLedger(t, dir, clock)
	defer closeLedger(t, again)
	check("stored", again)
}
