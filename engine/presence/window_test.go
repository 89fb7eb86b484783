package presence

import (
	"testing"
	"time"
)

const limit = 100 * time.Millisecond

func TestWindowTellsALoneChangeAtOnce(t *testing.T) {
	var w Window
	for now := int64(1000); now < 10_000; now += 500 {
		if due := w.Due(now); due != now {
			t.Fatalf("at %d: due at %d", now, due)
		}
		w.Told(now, now, 1, limit)
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
			due = w.Due(now)
		}
		if due > now+limit.Milliseconds() {
			t.Fatalf("at %d: due at %d, beyond the limit", now, due)
		}
		if due <= now {
			w.Told(now, now, waiting, limit)
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
	w.Told(now, now, waiting+1, limit)
	w.Told(now+1000, now+1000, 1, limit)
	if due := w.Due(now + 2000); due != now+2000 {
		t.Errorf("after the storm: due at %d, want %d", due, now+2000)
	}
}

// TestWindowRests has telling take long: the storm keeps most of the time, and
// what it brings waits for so long at the most.
func TestWindowRests(t *testing.T) {
	for _, tc := range []struct {
		name string
		took int64 // ms
		want int64 // ms to wait in the end
	}{
		{"no time", 0, 100},
		{"less than gathering", 20, 100},
		{"more than gathering", 50, 150},
		{"far more", 1000, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var w Window
			now := int64(1000)
			for range 20 {
				now = w.Due(now)
				w.Told(now, now+tc.took, 10, limit)
				now += tc.took
			}
			if got := w.Due(now) - now; got != tc.want {
				t.Errorf("got a wait of %d ms, want %d", got, tc.want)
			}
		})
	}
}
