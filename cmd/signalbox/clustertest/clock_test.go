package clustertest

import (
	"sync"
	"time"
)

// tickEvery is the time between a clock's ticks. One that comes twice as late was held
// up by a machine that was busy with something else, or stood still.
const tickEvery = 5 * time.Millisecond

// clock shows a time that does not pass while the machine does something else. What is
// promised within a time is held to this one. Any goroutine.
type clock struct {
	mu sync.Mutex
	// Guarded by mu.
	shown  time.Time // at the last tick
	ticked time.Time // when that was
	told   time.Time // the last that now has returned
}

func newClock() *clock {
	at := time.Now()
	return &clock{shown: at, ticked: at, told: at}
}

// run ticks until it is stopped.
func (c *clock) run(stopC <-chan struct{}) {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-stopC:
			return
		case <-t.C:
			c.mu.Lock()
			at := time.Now()
			c.shown, c.ticked = c.shown.Add(passed(c.ticked, at)), at
			c.mu.Unlock()
		}
	}
}

// now is later than what it was before, if only by a nanosecond.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = later(c.told.Add(1), c.shown.Add(passed(c.ticked, time.Now())))
	return c.told
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// passed is how much of the time between a tick and the next has passed.
func passed(ticked, at time.Time) time.Duration { return min(at.Sub(ticked), 2*tickEvery) }

// testClock is that of all tests; TestMain runs it.
var testClock = newClock()

func now() time.Time { return testClock.now() }

// till is how long it is until then.
func till(then time.Time) time.Duration { return then.Sub(now()) }
