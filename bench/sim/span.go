package sim

import (
	"math"
	"sync"
	"time"
)

// span is what loops did between two moments.
type span struct {
	wall                 time.Duration
	cpu                  time.Duration // of the loops' threads, together
	longest, longestCPU  time.Duration // hold
	p99                  time.Duration // hold
	turns, writes, bytes int64
	pings                int64
}

// measure tells what the loops do while f runs.
func (w *world) measure(f func() error) (s span, err error) {
	var mu sync.Mutex
	count := func(sign int64) error {
		return w.each(func(l *loop) {
			mu.Lock()
			defer mu.Unlock()
			s.cpu += time.Duration(sign) * threadCPU()
			s.turns += sign * l.turns
			s.writes += sign * l.writes
			s.bytes += sign * l.bytes
			s.pings += sign * l.pings
		})
	}
	if err := w.each(func(l *loop) { l.holds = newHolds() }); err != nil {
		return s, err
	}
	if err := count(-1); err != nil {
		return s, err
	}
	start := time.Now()
	err = f()
	s.wall = time.Since(start)
	if err != nil {
		return s, err
	}
	if err := count(1); err != nil {
		return s, err
	}
	all := newHolds()
	err = w.each(func(l *loop) {
		mu.Lock()
		defer mu.Unlock()
		all.wall.Merge(&l.holds.wall)
		all.cpu.Merge(&l.holds.cpu)
	})
	s.longest, s.longestCPU, s.p99 = all.wall.Max(), all.cpu.Max(), all.wall.At(99)
	return s, err
}

// each divided by n, in the unit, NaN for nothing.
func perEach(d time.Duration, n int64, unit time.Duration) float64 {
	if n == 0 {
		return math.NaN()
	}
	return float64(d) / float64(unit) / float64(n)
}
