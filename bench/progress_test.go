package main

import (
	"strings"
	"testing"
	"time"
)

// TestWaitLine: what may end before its limit has no time at which it will.
func TestWaitLine(t *testing.T) {
	var w strings.Builder
	p := newProgress(&stdio{err: &w}, "wait", 0, 20*time.Second)
	p.waits = true
	if got, want := p.line(0, 0, 5*time.Second), "wait: 5s of at most 20s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProgressLine(t *testing.T) {
	for _, tt := range []struct {
		name         string
		total        int
		length       time.Duration
		done, errors int
		passed       time.Duration
		want         string
	}{
		{"steps", 1000, 0, 250, 0, 5 * time.Second, "work: 250 of 1000 done, 50/s, 0 errors, ETA 15s"},
		{"nothing yet", 1000, 0, 0, 2, time.Second, "work: 0 of 1000 done, 0/s, 2 errors, ETA ?"},
		{"a time", 0, time.Minute, 120, 1, 20 * time.Second, "work: 120 done, 6/s, 1 errors, ETA 40s"},
		{"over its time", 0, time.Second, 1, 0, 2 * time.Second, "work: 1 done, 0/s, 0 errors, ETA 0s"},
	} {
		var w strings.Builder
		p := newProgress(&stdio{err: &w}, "work", tt.total, tt.length)
		if got := p.line(tt.done, tt.errors, tt.passed); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestProgressIsQuiet: work that does not last prints nothing where there is no
// terminal.
func TestProgressIsQuiet(t *testing.T) {
	var w strings.Builder
	p := newProgress(&stdio{err: &w}, "work", 10, 0)
	for i := range 10 {
		p.at(i, 0)
	}
	p.done()
	if w.Len() != 0 {
		t.Errorf("got %q", w.String())
	}
	p.shown = p.shown.Add(-logEvery)
	p.at(5, 0)
	if !strings.HasSuffix(w.String(), "\n") {
		t.Errorf("got %q, want a line", w.String())
	}
}
