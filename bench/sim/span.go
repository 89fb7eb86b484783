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
func (w *world) measure(f func() error) (span, error) {
	var (
		mu sync.Mutex
		// Guarded by mu: a loop may still count when the wait for it is over.
		sum span
		all = newHolds()
	)
	count := func(sign int64) error {
		return w.each(func(l *loop) {
			mu.Lock()
			defer mu.Unlock()
			sum.cpu += time.Duration(sign) * threadCPU()
			sum.turns += sign * l.turns
			sum.writes += sign * l.writes
			sum.bytes += sign * l.bytes
			sum.pings += sign * l.pings
		})
	}
	if err := w.each(func(l *loop) { l.holds = newHolds() }); err != nil {
		return span{}, err
	}
	if err := count(-1); err != nil {
		return span{}, err
	}
	start := time.Now()
	if err := f(); err != nil {
		return span{}, err
	}
	wall := time.Since(start)
	if err := count(1); err != nil {
		return span{}, err
	}
	err := w.each(func(l *loop) {
		mu.Lock()
		defer mu.Unlock()
		all.wall.Merge(&l.holds.wall)
		all.cpu.Merge(&l.holds.cpu)
	})
	if err != nil {
		return span{}, err
	}
	mu.Lock()
	defer mu.Unlock()
	sum.wall = wall
	sum.longest, sum.longestCPU, sum.p99 = all.wall.Max(), all.cpu.Max(), all.wall.At(99)
	return sum, nil
}

// each divided by n, in the unit, NaN for nothing.
func perEach(d time.Duration, n int64, unit time.Duration) float64 {
	if n == 0 {
		return math.NaN()
	}
	return float64(d) / float64(unit) / float64(n)
}
