package hooks

import (
	"context"
	"crypto/sha256"
	"time"

	"signalbox/engine/auth"
)

const (
	// maxBatch is how many events one request carries at most.
	maxBatch = 100
	// batchCost is what a batch counts as beside its body, in bytes: what is kept
	// in memory of one that is on the disk, and what the file adds.
	batchCost = 192
	// maxEnvelope is the most that a body has around its events, in bytes, beside
	// the app's id, of which each character may need an escape.
	maxEnvelope = 128
)

// queue is what waits for one webhook.
type queue struct {
	// Immutable.
	id     uint64
	app    string
	wakeC  chan struct{} // has one when there is a batch
	resetC chan struct{} // has one when another receiver may do better

	// Guarded by Hooks.mu.
	hook    *auth.Webhook // nil until Set
	place   int           // of the webhook in its app's list
	url     [sha256.Size]byte
	batches []*batch // oldest first
	flying  bool     // the first is being delivered
	size    int64    // bytes of batches
	dropped int64    // events lost since the last batch that told so
	noted   int64    // dropped as of the row that was last written, or is to be
	open    []byte   // events of the batch under way
	opened  int      // how many
	since   int64    // when the first of them happened, unix ms
	cancel  context.CancelFunc
}

// batch is the body of one request.
type batch struct {
	// Immutable.
	seq     uint64
	events  int
	dropped int64 // how many it says were lost before it
	time    int64 // of its first event, unix ms
	size    int64 // bytes it counts as

	// Guarded by Hooks.mu.
	body  []byte // nil if it is on the disk, or gone
	state state
	gone  bool // out of its queue
}

// state says where a batch is.
type state uint8

const (
	unsaved state = iota
	saving        // on its way to the disk
	saved
)

func newQueue(id uint64, app string) *queue {
	return &queue{id: id, app: app, wakeC: make(chan struct{}, 1), resetC: make(chan struct{}, 1)}
}

// miss counts events of the app that the inbox had no room for, of which each of its
// queues is to tell. With mu.
func (h *Hooks) miss(a *App, events int64) {
	h.dropped.Add(events)
	for _, q := range h.routes[a.id] {
		q.dropped += events
	}
}

// sealAll makes batches of the events. With mu.
func (h *Hooks) sealAll(events []event, now time.Time) {
	var touched []*queue
	for i := range events {
		e := &events[i]
		queues := h.routes[e.app.id]
		text := h.text[:0]
		for _, q := range queues {
			if !q.hook.Wants(e.kind, e.channel) {
				continue
			}
			if len(text) == 0 {
				h.id = h.ids.append(h.id[:0], now)
				text = e.append(text, h.id)
				h.text = text
			}
			if q.opened == 0 {
				touched, q.since = append(touched, q), e.time
			} else {
				q.open = append(q.open, ',')
			}
			q.open = append(q.open, text...)
			if q.opened++; q.opened == maxBatch {
				h.seal(q, now)
			}
		}
	}
	for _, q := range touched {
		if q.opened > 0 {
			h.seal(q, now)
		}
	}
}

// seal queues the batch under way. With mu.
func (h *Hooks) seal(q *queue, now time.Time) {
	if h.makeRoom(int64(len(q.open) + 2*len(q.app) + maxEnvelope + batchCost)) {
		h.lastSeq++
		b := &batch{seq: h.lastSeq, events: q.opened, dropped: q.dropped, time: q.since}
		b.body = h.ids.seal(q.app, q.dropped, q.open, now)
		b.size = int64(len(b.body) + batchCost)
		q.dropped = 0
		q.push(b)
		h.size += b.size
		if h.disk != nil {
			h.pending.puts = append(h.pending.puts, put{q.id, b})
		}
		signal(q.wakeC)
	} else {
		h.lose(q, q.opened)
	}
	q.open, q.opened = nil, 0
}

func (q *queue) push(b *batch) {
	q.batches = append(q.batches, b)
	q.size += b.size
}

// makeRoom drops the oldest batches of the longest queues until so many bytes
// fit, and reports whether they do. With mu.
func (h *Hooks) makeRoom(size int64) bool {
	for h.size+size > h.maxSpool {
		q := h.longest()
		if q == nil {
			return false
		}
		i := 0
		if q.flying {
			i = 1
		}
		h.drop(q, i)
	}
	return true
}

// drop takes the batch at i out of its queue undelivered, of which the next one is
// to tell. With mu.
func (h *Hooks) drop(q *queue, i int) {
	b := h.remove(q, i)
	h.lose(q, b.events)
	q.dropped += b.dropped // what it was to tell, the next one does
}

// longest returns the queue with the most bytes of those that have a batch to
// drop. With mu.
func (h *Hooks) longest() (longest *queue) {
	for _, queues := range h.routes {
		for _, q := range queues {
			if (len(q.batches) > 1 || len(q.batches) == 1 && !q.flying) && (longest == nil || q.size > longest.size) {
				longest = q
			}
		}
	}
	return longest
}

// lose counts events that the queue has dropped. With mu.
func (h *Hooks) lose(q *queue, events int) {
	q.dropped += int64(events)
	h.dropped.Add(int64(events))
}

// remove takes the batch at i, the first or the second, out of its queue. With
// mu.
func (h *Hooks) remove(q *queue, i int) *batch {
	b := q.batches[i]
	q.batches[i] = q.batches[0]
	q.batches[0] = nil
	q.batches = q.batches[1:]
	q.size -= b.size
	h.size -= b.size
	b.gone = true
	if b.state == unsaved {
		b.body = nil // it may stay among what is pending until the next write
	} else {
		h.pending.removes = append(h.pending.removes, newKey(q.id, b.seq))
	}
	return b
}
