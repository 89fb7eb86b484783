package hooks

import (
	"context"
	"slices"
	"time"
)

const (
	// gatherTime is how long events are gathered into a batch.
	gatherTime = 200 * time.Millisecond
	// sealAtOnce is how many events are made into batches under one hold of the
	// lock, which deliveries, reloads and new apps wait for.
	sealAtOnce = 20 * maxBatch
	// saveAgain is how long after a failed write the next is tried, at the earliest.
	saveAgain = time.Second
	// saveAtOnce is about how many bytes one write has: it takes twice as many of
	// memory, for nothing if it fails.
	saveAtOnce = 4 << 20
	// lastPatience is how long deliveries go on at the end.
	lastPatience = time.Second
	// dropsEvery is how often drops are logged at most.
	dropsEvery = time.Minute
)

// Run writes events to the queues and delivers them until ctx is done. Then it
// saves what there is and delivers for a second more what a receiver takes at
// once. It is called once, when whoever tells events has stopped or goes on
// only until ctx is done.
func (h *Hooks) Run(ctx context.Context) {
	base, cut := context.WithCancel(context.Background())
	defer cut()
	h.mu.Lock()
	h.base = base
	for _, queues := range h.routes {
		for _, q := range queues {
			if q.hook != nil && !h.held {
				h.start(q)
			}
		}
	}
	h.mu.Unlock()
	for h.gather(ctx) {
		h.collect()
		if !h.failing || time.Since(h.failedAt) >= saveAgain {
			h.save()
		}
		h.logDrops()
	}
	h.flush()
	h.end(cut)
	h.flush()
	h.client.CloseIdleConnections()
	if n := h.unsaved(); n > 0 {
		h.log.Error("events are lost that were neither delivered nor saved", "events", n)
	}
}

// unsaved counts the events that wait in memory alone.
func (h *Hooks) unsaved() (events int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, queues := range h.routes {
		for _, q := range queues {
			for _, b := range q.batches {
				if b.state == unsaved {
					events += b.events
				}
			}
		}
	}
	return events
}

// gather waits until there is something to write, and for what comes with it.
func (h *Hooks) gather(ctx context.Context) bool {
	var again <-chan time.Time
	if h.failing {
		again = time.After(saveAgain)
	}
	select {
	case <-ctx.Done():
		return false
	case <-h.inbox.wakeC:
	case <-again:
	}
	select {
	case <-ctx.Done():
		return false
	case <-h.inbox.fullC:
	case <-time.After(gatherTime):
	}
	return true
}

// end lets the deliveries come to their ends.
func (h *Hooks) end(cut context.CancelFunc) {
	h.mu.Lock()
	h.ending = true
	close(h.endingC)
	h.mu.Unlock()
	timer := time.AfterFunc(lastPatience, cut)
	defer timer.Stop()
	h.deliveries.Wait()
}

// flush makes batches of what has come and writes what the file lacks, also right
// after a failure.
func (h *Hooks) flush() {
	h.collect()
	h.save()
	h.logDrops()
}

// collect makes batches of what has come.
func (h *Hooks) collect() {
	events := h.inbox.take()
	h.mu.Lock()
	h.inbox.takeShort(h.miss)
	h.mu.Unlock()
	for piece := range slices.Chunk(events, sealAtOnce) {
		h.mu.Lock()
		h.sealAll(piece, time.Now())
		h.mu.Unlock()
	}
	h.inbox.recycle(events)
}

// noteDrops has the file know which drops are still to be told. With mu.
func (h *Hooks) noteDrops() {
	if h.disk == nil {
		return
	}
	for _, queues := range h.routes {
		for _, q := range queues {
			if q.dropped != q.noted {
				h.pending.rows = append(h.pending.rows, row{q.id, q.app, q.place, q.url, q.dropped})
				q.noted = q.dropped
			}
		}
	}
}

// takePending returns the first part of what is to be written, and whether there is
// more. With mu.
func (h *Hooks) takePending() (c change, more bool) {
	h.noteDrops()
	all := h.pending
	all.puts = slices.DeleteFunc(all.puts, func(p put) bool { return p.batch.gone })
	c, h.pending = all.cut(saveAtOnce)
	for _, p := range c.puts {
		p.batch.state = saving
	}
	return c, !h.pending.empty()
}

// save writes what the file lacks, part by part until one fails: what that one has
// costs something, and what is behind it nothing.
func (h *Hooks) save() {
	h.mu.Lock()
	d := h.disk
	c, more := h.takePending()
	h.mu.Unlock()
	if d == nil || c.empty() {
		return
	}
	err := h.write(d, c)
	for more && err == nil {
		h.mu.Lock()
		c, more = h.takePending()
		h.mu.Unlock()
		err = h.write(d, c)
	}
	switch {
	case err != nil && !h.failing:
		h.log.Error("events for webhooks cannot be stored; keeping them in memory and trying again", "error", err)
	case err == nil && h.failing:
		h.log.Info("events for webhooks are stored again")
	}
	h.failing, h.failedAt = err != nil, time.Now()
}

// write writes the change, and notes it again if that fails.
func (h *Hooks) write(d *disk, c change) error {
	err := d.write(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range c.puts {
		if err == nil {
			p.batch.state, p.batch.body = saved, nil
		} else {
			p.batch.state = unsaved
		}
	}
	if err != nil {
		h.pending = c.and(h.pending)
	}
	return err
}

// logDrops says that events were dropped, once a minute.
func (h *Hooks) logDrops() {
	n, now := h.dropped.Load(), time.Now()
	if n == h.told || now.Sub(h.toldAt) < dropsEvery {
		return
	}
	h.log.Warn("events for webhooks were dropped", "events", n-h.told)
	h.told, h.toldAt = n, now
}
