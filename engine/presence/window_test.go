package presence

import (
	"testing"
	"time"
)

const limit = 100 * time.Millisecond

func TestWindowTellsALoneChangeAtOnce(t *testing.T) {
	var w Window
	for now := int64(1000); now < 10_000; now += 500 {
		if due := w.Due(now, limit); due != now {
			t.Fatalf("at %d: due at %d", now, due)
		}
		w.Told(now, 1, limit)
	}
}

// TestWindowPacesAStorm has a change come up every millisecond.
func TestWindowPacesAStorm(t *testing.T) {
	var w Window
	told, waiting, due := 0, 0, int64(-1)
	const from, to = 1000, 3000
	last := int64(0)
	for now := int64(from); now < to; now++ {
		if waiting++; due < 0 {
			due = w.Due(now, limit)
		}
		if due > now+limit.Milliseconds() {
			t.Fatalf("at %d: due at %d, beyond the limit", now, due)
		}
		if due <= now {
			w.Told(now, waiting, limit)
			told, waiting, due, last = told+1, 0, -1, now
		}
	}
	if told > 30 {
		t.Errorf("2 000 changes in 2 s were told in %d frames, want at most 30", told)
	}
	if to-last > limit.Milliseconds() {
		t.Errorf("the last change waited for %d ms", to-last)
	}
	// Quiet again: a lone change goes at once, at the latest after a second one.
	now := int64(to + 1000)
	w.Told(now, waiting+1, limit)
	w.Told(now+1000, 1, limit)
	if due := w.Due(now+2000, limit); due != now+2000 {
		t.Errorf("after the storm: due at %d, want %d", due, now+2000)
	}
}
