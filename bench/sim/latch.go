package sim

import (
	"errors"
	"sync/atomic"
	"time"
)

// latch opens when so many things are done.
type latch struct {
	left  atomic.Int64
	openC chan struct{}
}

func newLatch(n int) *latch {
	t := &latch{openC: make(chan struct{})}
	if t.left.Store(int64(n)); n == 0 {
		close(t.openC)
	}
	return t
}

// done counts n things. Any goroutine.
func (t *latch) done(n int) {
	if t.left.Add(-int64(n)) == 0 {
		close(t.openC)
	}
}

// watchEvery is how often a wait looks after progress and faults.
const watchEvery = 100 * time.Millisecond

var errClosed = errors.New("sim: the server has closed sessions")

// wait waits until the latch opens, and tells progress, if not nil, what is left
// meanwhile.
func (w *world) wait(t *latch, progress func(left int)) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-t.openC:
			return w.fault()
		case <-w.ctx.Done():
			return w.ctx.Err()
		case <-tick.C:
			if progress != nil {
				progress(int(t.left.Load()))
			}
			if err := w.fault(); err != nil {
				return err
			}
		}
	}
}

func (w *world) fault() error {
	for _, l := range w.loops {
		if l.finished.Load() > 0 {
			return errClosed
		}
	}
	return nil
}
