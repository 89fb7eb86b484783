package session

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestParallelWorld is TestRandomWorld with a goroutine for each loop, in
// whatever order the scheduler finds: for the race detector.
func TestParallelWorld(t *testing.T) {
	for _, seed := range seeds(t, 6) {
		synctest.Test(t, func(t *testing.T) {
			newWorld(t, seed, kind{loops: 2 + int(seed%3), parallel: true}).liveInParallel(2500)
		})
		if t.Failed() {
			t.Fatal("seed ", seed)
		}
	}
}

// liveInParallel runs the world with a goroutine for each loop, and at the end
// has everybody leave.
func (w *world) liveInParallel(steps int) {
	defer w.stop()
	var done sync.WaitGroup
	for _, l := range w.loops {
		done.Go(func() { w.serve(l) })
	}
	for i := range steps {
		if w.drive(); i%800 == 799 {
			w.settleInParallel()
		}
	}
	w.settleInParallel()
	w.locked(func() {
		for _, c := range w.clients {
			if !c.gone {
				c.leave(w.random)
			}
		}
	})
	w.settleInParallel()
	w.checkEmpty()
	for _, l := range w.loops {
		close(l.commandC)
	}
	done.Wait()
	w.tell()
}

// serve is a loop's goroutine.
func (w *world) serve(l *simLoop) {
	l.Start()
	for {
		select {
		case <-l.wakeC:
			l.Turn()
		case f, ok := <-l.commandC:
			if !ok {
				return
			}
			f()
		}
		w.locked(func() {
			for _, c := range w.clients {
				if c.loop == l {
					c.receive()
				}
			}
		})
	}
}

// drive has one of the loops do one thing, and does not wait for it.
func (w *world) drive() {
	r := w.random
	var living int
	var c *client
	w.locked(func() {
		if living = w.living(); len(w.clients) > 0 {
			c = w.clients[r.IntN(len(w.clients))]
		}
	})
	switch n := r.IntN(100); {
	case n < 5 && living < 9 || c == nil:
		w.arrive(r)
	case n < 92:
		r := rand.New(rand.NewPCG(r.Uint64(), 2))
		c.loop.commandC <- func() {
			w.locked(func() { w.act(c, r) })
			c.queued = r.IntN(c.queued + 1)
			if len(c.input) > 0 && r.IntN(2) == 0 {
				w.read(c, r)
			}
		}
	case n < 95:
		w.locked(func() { w.outside(r) })
	default:
		time.Sleep(time.Millisecond)
	}
}

// settleInParallel lets everything that is under way come to its end.
func (w *world) settleInParallel() {
	for range 100 {
		for _, l := range w.loops {
			l.commandC <- func() {
				for _, c := range w.own(l) {
					b := c.input
					c.input, c.queued = nil, 0
					c.feed(b)
				}
			}
		}
		time.Sleep(3 * time.Millisecond)
		synctest.Wait()
	}
	w.checkSettled()
	for _, l := range w.loops {
		w.checkLoop(l)
	}
}

// own returns the loop's clients.
func (w *world) own(l *simLoop) (list []*client) {
	w.locked(func() {
		for _, c := range w.clients {
			if c.loop == l && c.session != nil {
				list = append(list, c)
			}
		}
	})
	return list
}
