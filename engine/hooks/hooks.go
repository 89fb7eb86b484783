package hooks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"signalbox/engine/auth"
)

// Options are what Hooks are made of.
type Options struct {
	Dir      string            // data directory; empty: batches wait in memory
	Hold     bool              // another process still has Dir: batches wait in memory, and wait only, until Attach
	MaxSpool int64             // bytes that may wait, over all webhooks
	Agent    string            // the requests' User-Agent
	Logger   *slog.Logger      // nil: slog.Default
	Client   http.RoundTripper // nil: the network
}

// Hooks are the webhooks of all apps.
type Hooks struct {
	// Immutable after Open.
	maxSpool int64
	agent    string
	log      *slog.Logger
	client   *http.Client
	dir      string // to be opened by Attach
	inbox    *inbox
	requestC chan struct{} // holds one token for each request under way
	endingC  chan struct{} // closed when what cannot be delivered now is left

	// Any goroutine (atomic).
	delivered, retried, dropped atomic.Int64

	mu sync.Mutex
	// Guarded by mu.
	disk       *disk // nil: memory only
	held       bool  // nothing is delivered until Attach
	keys       *auth.Set
	apps       map[string]*App
	routes     map[string][]*queue // by app, in the order of its webhooks
	pending    change              // what the file lacks
	size       int64               // bytes of all queues
	lastSeq    uint64
	lastQueue  uint64
	base       context.Context // of the deliveries; nil until Run
	ending     bool
	deliveries sync.WaitGroup

	// The writer's.
	ids      idGenerator
	id, text []byte    // scratch
	failing  bool      // the last write failed, and was logged
	failedAt time.Time // when it did
	told     int64     // how many events were dropped when that was last logged
	toldAt   time.Time // when that was
}

// Open opens the queues in the data directory. Their webhooks come with Set.
func Open(o Options) (*Hooks, error) {
	h := &Hooks{
		maxSpool: o.MaxSpool,
		agent:    o.Agent,
		log:      cmp.Or(o.Logger, slog.Default()),
		client:   newClient(o.Client),
		inbox:    newInbox(),
		requestC: make(chan struct{}, maxRequests),
		endingC:  make(chan struct{}),
		dir:      o.Dir,
		held:     o.Hold && o.Dir != "",
		apps:     map[string]*App{},
		routes:   map[string][]*queue{},
	}
	if h.dir == "" || h.held {
		return h, nil
	}
	if err := h.Attach(); err != nil {
		return nil, err
	}
	return h, nil
}

// Attach opens the data directory of Hooks that were opened with Hold, and begins
// to deliver: what waits there first, then what has come since. Errors: datafile.ErrInUse
// while another process has the directory, and those of Open; it may be called
// again after one.
func (h *Hooks) Attach() error {
	if h.dir == "" {
		return nil
	}
	d, err := openDisk(h.dir)
	if err != nil {
		return err
	}
	queues, err := d.load()
	if err != nil {
		_ = d.close() // the first error is the one to tell
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	since := h.routes
	h.disk, h.held = d, false
	h.load(queues)
	if h.keys != nil {
		h.set(h.keys)
	}
	for app, list := range since {
		for i, q := range list {
			h.requeue(q, h.routes[app][i])
		}
	}
	return nil
}

// load takes over the queues in the file. With mu.
func (h *Hooks) load(queues []*queue) {
	h.routes = map[string][]*queue{}
	for _, q := range queues {
		h.routes[q.app] = append(h.routes[q.app], q)
		h.size += q.size
		h.lastQueue = max(h.lastQueue, q.id)
		for _, b := range q.batches {
			h.lastSeq = max(h.lastSeq, b.seq)
		}
	}
	for _, list := range h.routes {
		slices.SortFunc(list, func(a, b *queue) int { return a.place - b.place })
	}
}

// requeue moves what has waited in memory behind what waits for the same webhook
// on the disk. With mu.
func (h *Hooks) requeue(from, to *queue) {
	for _, b := range from.batches {
		h.lastSeq++
		b.seq = h.lastSeq // the file may have the old one
		to.push(b)
		h.pending.puts = append(h.pending.puts, put{to.id, b})
	}
	to.dropped += from.dropped
	signal(to.wakeC)
}

// App returns what hears the app's events. It is the same for as long as h is.
func (h *Hooks) App(id string) *App {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.apps[id]
	if a == nil {
		a = &App{id: id, inbox: h.inbox}
		h.apps[id] = a
		h.want(a)
	}
	return a
}

// want tells the app's loops which events its webhooks want. With mu.
func (h *Hooks) want(a *App) {
	var kinds auth.Events
	for _, q := range h.routes[a.id] {
		if q.hook != nil {
			kinds |= q.hook.Events
		}
	}
	a.wants.Store(uint32(kinds))
}

// Set puts the webhooks of these apps in force. One whose URL was there before
// has what waits there, and another what waited for the webhook that had its
// place in the list: a corrected URL gets it all. What waits for a webhook that
// is gone is dropped.
func (h *Hooks) Set(keys *auth.Set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys = keys
	h.set(keys)
}

// set is Set, with mu.
func (h *Hooks) set(keys *auth.Set) {
	was := h.routes
	h.routes = map[string][]*queue{}
	for _, app := range keys.Apps() {
		h.routes[app.ID] = h.assign(app, was[app.ID])
		delete(was, app.ID)
	}
	for _, queues := range was {
		for _, q := range queues {
			h.discard(q)
		}
	}
	for _, a := range h.apps {
		h.want(a)
	}
	signal(h.inbox.wakeC) // for the file
}

// assign returns the queues of the app's webhooks, out of those it had. With mu.
func (h *Hooks) assign(app *auth.App, had []*queue) []*queue {
	had = slices.Clone(had)
	next := make([]*queue, len(app.Webhooks))
	adopt := func(i int, fits func(*queue) bool) {
		if j := slices.IndexFunc(had, fits); j >= 0 && next[i] == nil {
			next[i] = had[j]
			had = slices.Delete(had, j, j+1)
		}
	}
	for i, w := range app.Webhooks {
		url := sha256.Sum256([]byte(w.URL))
		adopt(i, func(q *queue) bool { return q.url == url })
	}
	for i := range app.Webhooks {
		adopt(i, func(q *queue) bool { return q.place == i })
	}
	for _, q := range had {
		h.discard(q)
	}
	for i, w := range app.Webhooks {
		if next[i] == nil {
			h.lastQueue++
			next[i] = newQueue(h.lastQueue, app.ID)
		}
		h.configure(next[i], i, w)
	}
	return next
}

// configure gives the queue its webhook. With mu.
func (h *Hooks) configure(q *queue, place int, w *auth.Webhook) {
	url := sha256.Sum256([]byte(w.URL))
	if h.disk != nil && (q.hook == nil || q.place != place || q.url != url) {
		h.pending.rows = append(h.pending.rows, row{q.id, q.app, place, url, q.dropped})
		q.noted = q.dropped
	}
	if q.hook != nil && (q.url != url || q.hook.Secret != w.Secret) {
		signal(q.resetC)
	}
	q.hook, q.place, q.url = w, place, url
	if q.cancel == nil && h.base != nil && !h.held && !h.ending {
		h.start(q)
	}
}

// start begins to deliver the queue. With mu.
func (h *Hooks) start(q *queue) {
	ctx, cancel := context.WithCancel(h.base)
	q.cancel = cancel
	h.deliveries.Go(func() { h.deliver(ctx, q) })
}

// discard drops a queue whose webhook is gone. With mu.
func (h *Hooks) discard(q *queue) {
	if q.cancel != nil {
		q.cancel()
	}
	events := 0
	for len(q.batches) > 0 {
		events += h.remove(q, 0).events
	}
	h.dropped.Add(int64(events))
	if h.disk != nil {
		h.pending.drops = append(h.pending.drops, q.id)
	}
	if events > 0 {
		h.log.Warn("a webhook is gone, events that waited for it are dropped", "app", q.app, "events", events)
	}
}

// Stats are counts since the start, and what waits now.
type Stats struct {
	Delivered    int64         // events taken by a receiver, once for each webhook
	Retried      int64         // requests that failed, to be tried again
	Dropped      int64         // events that were given up
	SpooledBytes int64         // bytes that wait
	Age          time.Duration // for how long the oldest batch has waited
}

// Stats returns what has become of the events.
func (h *Hooks) Stats() Stats {
	s := Stats{Delivered: h.delivered.Load(), Retried: h.retried.Load(), Dropped: h.dropped.Load()}
	now := time.Now().UnixMilli()
	h.mu.Lock()
	defer h.mu.Unlock()
	s.SpooledBytes = h.size
	for _, queues := range h.routes {
		for _, q := range queues {
			if len(q.batches) > 0 {
				s.Age = max(s.Age, time.Duration(now-q.batches[0].time)*time.Millisecond)
			}
		}
	}
	return s
}

// Close closes the file. Call it once, when Run has returned or was never
// called.
func (h *Hooks) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.disk == nil {
		return nil
	}
	return h.disk.close()
}
