package client

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Fleet is a set of loops.
type Fleet struct {
	loops []*Loop
	done  sync.WaitGroup
}

// NewFleet starts n loops.
func NewFleet(n int) (*Fleet, error) {
	f := &Fleet{}
	for i := range n {
		l, err := newLoop(i)
		if err != nil {
			for _, l := range f.loops {
				l.release()
			}
			return nil, err
		}
		f.loops = append(f.loops, l)
	}
	var started sync.WaitGroup
	started.Add(n)
	for _, l := range f.loops {
		f.done.Go(func() { l.run(&started) })
	}
	started.Wait()
	return f, nil
}

// Close ends all connections and the loops.
func (f *Fleet) Close() {
	f.Each(func(l *Loop) { l.stopped = true })
	f.done.Wait()
}

// Size returns the number of loops.
func (f *Fleet) Size() int { return len(f.loops) }

// Loop returns the i-th loop.
func (f *Fleet) Loop(i int) *Loop { return f.loops[i] }

// Each calls do on every loop's thread and waits until all have returned.
func (f *Fleet) Each(do func(l *Loop)) {
	var done sync.WaitGroup
	done.Add(len(f.loops))
	for _, l := range f.loops {
		l.Post(func() { defer done.Done(); do(l) })
	}
	done.Wait()
}

// Traffic returns how many text frames and bytes all loops have received.
func (f *Fleet) Traffic() (frames, bytes uint64) {
	for _, l := range f.loops {
		n, b := l.Traffic()
		frames += n
		bytes += b
	}
	return frames, bytes
}

// Drop closes all connections.
func (f *Fleet) Drop() {
	f.Each(func(l *Loop) {
		for _, c := range l.conns {
			if c != nil {
				c.Close()
			}
		}
	})
}

// Ramp says how fast connections are opened.
type Ramp struct {
	Window   int     // connections opening at a time; at least one a loop
	Rate     float64 // dials a second, 0: as the window allows
	Progress func(done, failed int)
}

// Opened is what became of Open.
type Opened struct {
	Ready  int
	Causes map[Cause]int // of those that failed
	Took   time.Duration
	Ended  error // of the context that ended it, nil if it was through
}

// Failed returns the number of connections that failed.
func (o Opened) Failed() int {
	n := 0
	for _, count := range o.Causes {
		n += count
	}
	return n
}

// Err is nil if nothing failed, and otherwise wraps what ended it, or tells the
// most frequent cause.
func (o Opened) Err() error {
	failed := o.Failed()
	switch {
	case failed == 0:
		return nil
	case o.Ended != nil:
		return fmt.Errorf("%d of %d connections were open: %w", o.Ready, failed+o.Ready, o.Ended)
	}
	var worst Cause
	for why, count := range o.Causes {
		if count > o.Causes[worst] {
			worst = why
		}
	}
	return fmt.Errorf("%d of %d connections could not be opened, most by: %s", failed, failed+o.Ready, worst)
}

// opening follows the connections of one Open.
type opening struct {
	// Any goroutine (atomic).
	left  atomic.Int64
	ready atomic.Int64
	fails atomic.Int64
	doneC chan struct{} // closed when none is left

	// Guarded by mu.
	mu     sync.Mutex
	causes map[Cause]int
}

func (o *opening) succeeded() {
	o.ready.Add(1)
	o.settled()
}

func (o *opening) failed(why Cause) {
	o.fails.Add(1)
	o.mu.Lock()
	o.causes[why]++
	o.mu.Unlock()
	o.settled()
}

func (o *opening) settled() {
	if o.left.Add(-1) == 0 {
		close(o.doneC)
	}
}

// progressEvery is how often Ramp.Progress is called.
const progressEvery = 200 * time.Millisecond

// Open opens the connections and waits until each is ready or has failed. When
// ctx ends, those that are not ready are dropped and counted as failed.
func (f *Fleet) Open(ctx context.Context, ramp Ramp, specs []Spec) Opened {
	o := &opening{doneC: make(chan struct{}), causes: make(map[Cause]int)}
	if len(specs) == 0 {
		return Opened{}
	}
	o.left.Store(int64(len(specs)))
	queues := make([][]*Conn, len(f.loops))
	for _, s := range specs {
		queues[s.Loop] = append(queues[s.Loop], &Conn{Index: s.Index, Loop: f.loops[s.Loop], spec: s, fd: -1, opening: o})
	}
	start := time.Now()
	f.Each(func(l *Loop) {
		l.window = max(1, ramp.Window/len(f.loops))
		l.gap, l.dialAt = 0, Now()
		if ramp.Rate > 0 {
			l.gap = max(1, int64(float64(len(f.loops))*float64(time.Second)/ramp.Rate))
		}
		l.queue = queues[l.Index]
	})
	o.wait(ctx, ramp)
	if ctx.Err() != nil {
		f.Each(func(l *Loop) { l.abandon(o) })
		<-o.doneC
	}
	return Opened{Ready: int(o.ready.Load()), Causes: o.causes, Took: time.Since(start), Ended: ctx.Err()}
}

func (o *opening) wait(ctx context.Context, ramp Ramp) {
	t := time.NewTicker(progressEvery)
	defer t.Stop()
	for {
		select {
		case <-o.doneC:
			return
		case <-ctx.Done():
			return
		case <-t.C:
			if ramp.Progress != nil {
				ramp.Progress(int(o.ready.Load()), int(o.fails.Load()))
			}
		}
	}
}

// unfinished is the cause of what was still opening when time was up.
const unfinished = "not finished in time"

// abandon fails what is still opening.
func (l *Loop) abandon(o *opening) {
	for _, c := range l.queue {
		c.fail(Cause{Text: unfinished})
	}
	l.queue = nil
	for _, c := range l.conns {
		if c != nil && c.opening == o {
			c.fail(Cause{Text: unfinished})
		}
	}
}
