package load

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/target"
)

// HerdConfig describes clients that come back when they lose their connection.
type HerdConfig struct {
	Connections int
	Sources     Sources
	Ramp        client.Ramp
}

// Herd is clients that come back when they lose their connection, each with a
// channel of its own. A client that was told when to come back does so then; the
// others wait a random time up to a bound that doubles with each attempt. Its
// methods are for one goroutine, but for the counts.
type Herd struct {
	// Immutable after open.
	fleet *client.Fleet
	size  int
	loops []*herdLoop

	// Any goroutine (atomic).
	cutAt atomic.Int64 // as client.Now, 0: not yet
	back  atomic.Int64
	fails atomic.Int64
	backC chan struct{} // told when all are back
}

// herdLoop is the part of one client loop. It is loop-owned.
type herdLoop struct {
	herd    *Herd
	clients []*returner
	times   Histogram // from the cut until a client was back
	offline Histogram // from when a client was gone until it was back
	causes  map[client.Cause]int
}

// returner is one client. It is loop-owned.
type returner struct {
	loop       *herdLoop
	spec       client.Spec
	conn       *client.Conn
	goneAt     int64         // as client.Now, 0: it is there
	retryAfter time.Duration // as the server has told
	told       bool
	attempts   int
}

const (
	// firstBackoff and lastBackoff bound the wait before an attempt.
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// OpenHerd connects the clients.
func OpenHerd(ctx context.Context, fleet *client.Fleet, t *target.Target, cfg HerdConfig) (*Herd, error) {
	h := &Herd{fleet: fleet, size: cfg.Connections, backC: make(chan struct{}, 1)}
	for range fleet.Size() {
		h.loops = append(h.loops, &herdLoop{herd: h, causes: make(map[client.Cause]int)})
	}
	specs := make([]client.Spec, cfg.Connections)
	for i := range specs {
		l := h.loops[i%fleet.Size()]
		name := fmt.Sprintf("own-%06d", i)
		script, err := t.Dialect.Join(name, name)
		if err != nil {
			return nil, err
		}
		r := &returner{loop: l}
		r.spec = client.Spec{Index: i, Loop: i % fleet.Size(), Addr: t.Addr, Source: cfg.Sources.At(i), Script: script, Handler: r}
		l.clients = append(l.clients, r)
		specs[i] = r.spec
	}
	return h, fleet.Open(ctx, cfg.Ramp, specs).Err()
}

// Cut begins to count who is gone and comes back. With drop it also closes all
// connections, as a cut cable does.
func (h *Herd) Cut(drop bool) {
	h.cutAt.Store(client.Now())
	if !drop {
		return
	}
	h.fleet.Each(func(l *client.Loop) {
		for _, r := range h.loops[l.Index].clients {
			r.conn.Close()
			r.gone(l)
		}
	})
}

// Return is how a herd came back.
type Return struct {
	Back    int
	Times   Histogram // from the cut
	Offline Histogram // of each client
	Causes  map[client.Cause]int
}

// BackAfter is the time from the cut until a share of all clients was back, and
// whether that has come about.
func (r *Return) BackAfter(share float64, all int) (time.Duration, bool) {
	if float64(r.Back) < share*float64(all) || r.Back == 0 {
		return 0, false
	}
	return r.Times.At(100 * share * float64(all) / float64(r.Back)), true
}

// Wait waits until all are back, at most limit, and tells how it went.
func (h *Herd) Wait(ctx context.Context, limit time.Duration) Return {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-h.backC:
	case <-ctx.Done():
	}
	parts := make([]Return, len(h.loops))
	h.fleet.Each(func(l *client.Loop) {
		part := h.loops[l.Index]
		parts[l.Index] = Return{Times: part.times, Offline: part.offline, Causes: maps.Clone(part.causes)}
		part.times, part.offline = Histogram{}, Histogram{}
	})
	all := Return{Back: int(h.back.Load()), Causes: make(map[client.Cause]int)}
	for i := range parts {
		all.Times.Merge(&parts[i].Times)
		all.Offline.Merge(&parts[i].Offline)
		for why, n := range parts[i].Causes {
			all.Causes[why] += n
		}
	}
	return all
}

// Counts are how many clients are back and how many attempts have failed.
func (h *Herd) Counts() (back, fails int) { return int(h.back.Load()), int(h.fails.Load()) }

// Ready implements client.Handler.
func (r *returner) Ready(c *client.Conn) {
	r.conn = c
	r.attempts, r.told = 0, false
	if r.goneAt == 0 {
		return
	}
	h, now := r.loop.herd, client.Now()
	r.loop.times.Record(now - h.cutAt.Load())
	r.loop.offline.Record(now - r.goneAt)
	r.goneAt = 0
	if h.back.Add(1) == int64(h.size) {
		h.backC <- struct{}{}
	}
}

// Text implements client.Handler: it notes when the server wants it back.
func (r *returner) Text(_ *client.Conn, payload []byte) {
	if client.KindOf(payload) != client.GoingAway {
		return
	}
	var notice struct {
		RetryAfterMs int64 `json:"retryAfterMs"`
	}
	if json.Unmarshal(payload, &notice) == nil {
		r.retryAfter, r.told = time.Duration(notice.RetryAfterMs)*time.Millisecond, true
	}
}

// Closed implements client.Handler.
func (r *returner) Closed(c *client.Conn, why client.Cause) {
	r.loop.causes[why]++
	if c.ReadyAt == 0 {
		r.loop.herd.fails.Add(1)
	}
	if r.loop.herd.cutAt.Load() != 0 {
		r.gone(c.Loop)
	}
}

// gone sets the time of the next attempt.
func (r *returner) gone(l *client.Loop) {
	now := client.Now()
	if r.goneAt == 0 {
		r.goneAt = now
	}
	bound := min(lastBackoff, firstBackoff<<min(r.attempts, 10))
	wait := time.Duration(rand.Int64N(int64(bound)))
	if r.told && r.attempts == 0 {
		wait = r.retryAfter
	}
	r.attempts++
	l.At(now+int64(wait), func() { l.Dial(r.spec) })
}
