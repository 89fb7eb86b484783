package hooks

import (
	"sync"
	"time"
)

// maxInbox bounds what waits for the writer, in bytes: the disk may be slow for
// a while.
const maxInbox = 32 << 20

// inbox takes events from the loops: append under a short lock, swap, seal.
type inbox struct {
	mu sync.Mutex
	// Guarded by mu.
	events []event
	size   int     // bytes
	spare  []event // the slice taken last, to be filled next
	short  []*App  // those with events that had no room, once each

	wakeC chan struct{} // has one when there is something
	fullC chan struct{} // has one when there is a batch
}

func newInbox() *inbox {
	return &inbox{wakeC: make(chan struct{}, 1), fullC: make(chan struct{}, 1)}
}

// put appends an event, or drops it if there is no room. The time is taken under
// the lock, so that it rises with the order unless the clock is set back.
func (b *inbox) put(e event) {
	b.mu.Lock()
	size := b.size + e.size()
	if size > maxInbox {
		if e.app.dropped++; e.app.dropped == 1 {
			b.short = append(b.short, e.app)
		}
		b.mu.Unlock()
		return
	}
	e.time = time.Now().UnixMilli()
	b.events, b.size = append(b.events, e), size
	n := len(b.events)
	b.mu.Unlock()
	switch n {
	case 1:
		signal(b.wakeC)
	case maxBatch:
		signal(b.fullC)
	}
}

// take empties the inbox. What it returns is given back to recycle.
func (b *inbox) take() []event {
	b.mu.Lock()
	defer b.mu.Unlock()
	events := b.events
	b.events, b.spare, b.size = b.spare, nil, 0
	select {
	case <-b.fullC:
	default:
	}
	return events
}

// takeShort calls f with each app that events were dropped of since the last call, and
// how many. There is one only if the inbox was full, and then its writer comes by.
func (b *inbox) takeShort(f func(a *App, events int64)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.short {
		f(a, a.dropped)
		a.dropped = 0
	}
	b.short = nil
}

// maxIdleInbox is the longest slice kept for reuse.
const maxIdleInbox = 4096

// recycle keeps a slice that is dealt with for reuse.
func (b *inbox) recycle(events []event) {
	if cap(events) > maxIdleInbox {
		return
	}
	clear(events)
	b.mu.Lock()
	b.spare = events[:0]
	b.mu.Unlock()
}

// signal puts a token into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
