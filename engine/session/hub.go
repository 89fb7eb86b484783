package session

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"signalbox/engine/auth"
	"signalbox/engine/cluster"
	"signalbox/engine/quota"
	"signalbox/engine/registry"
	"signalbox/engine/telemetry"
	"signalbox/protocol"
)

// Limits bound what one client may cost.
type Limits struct {
	MaxMessageSize   int           // bytes of data
	MaxSubscriptions int           // a connection
	MessageRate      int           // client frames a second a connection; 0: unlimited
	MessageBurst     int           // client frames at once
	ConnectRate      int           // connects a minute a source address; 0: unlimited
	PingInterval     time.Duration // ± 10 %; no answer for two closes
	HandshakeTimeout time.Duration // from accept to the end of the request head
	MaxBacklog       int           // bytes queued for a slow reader
	MaxBacklogTotal  int64         // bytes queued for all of them; 0: no limit
	PresenceWindow   time.Duration // the longest that deltas are gathered
	SnapshotDelay    time.Duration // between a subscribe's ack and its snapshot
}

// frameSlack is what a client frame may be longer than its data, in bytes.
const frameSlack = 1 << 10

// maxFrame is the longest frame or reassembled message taken, in bytes.
func (l Limits) maxFrame() int { return l.MaxMessageSize + frameSlack }

// backlog is MaxBacklog, but never less than two largest messages.
func (l Limits) backlog() int {
	const envelope = 8 << 10 // names and metadata around the data
	return max(l.MaxBacklog, 2*(l.MaxMessageSize+envelope))
}

// Config is what a Hub is made of. All fields but Events and Counts are required.
type Config struct {
	Loops  int
	Limits Limits
	Keys   *auth.Set
	Ledger *quota.Ledger
	Bus    cluster.Bus
	Logger *slog.Logger
	// Events returns what hears of an app's peers and channels, the same each
	// time; nil: nothing does. Any goroutine.
	Events func(app string) registry.Events
	Counts []*telemetry.Loop // where each loop counts; nil: for itself
}

// App is what the server keeps of an app for as long as it runs.
type App struct {
	ID    string
	Quota *quota.App
	Space *registry.Space

	delivered []delivered // by loop
}

// Hub is all event loops and what they share.
type Hub struct {
	// Immutable after NewHub.
	limits Limits
	loops  []*Loop
	ledger *quota.Ledger
	bus    cluster.Bus
	alone  bool // bus.Alone
	log    *slog.Logger
	events func(app string) registry.Events
	start  time.Time
	step   int64 // how far a loop's sum may be from what backlog has of it, bytes

	// Any goroutine (atomic).
	keys      atomic.Pointer[auth.Set]
	backlog   atomic.Int64  // bytes queued for slow readers, of all loops
	relieving atomic.Bool   // the slowest readers are being closed
	leaving   atomic.Bool   // a drain has begun
	published atomic.Uint64 // by REST
	sent      atomic.Uint64 // by REST
	tallies   tallies

	mu sync.RWMutex
	// Guarded by mu.
	apps map[string]*App
}

// NewHub returns a hub whose loops wait to be driven.
func NewHub(cfg Config) *Hub {
	h := &Hub{
		limits: cfg.Limits,
		ledger: cfg.Ledger,
		bus:    cfg.Bus,
		alone:  cfg.Bus.Alone(),
		log:    cfg.Logger,
		events: cfg.Events,
		start:  time.Now(),
		step:   cfg.Limits.tellStep(cfg.Loops),
		apps:   map[string]*App{},
	}
	for i := range cfg.Loops {
		counts := telemetry.NewLoop()
		if cfg.Counts != nil {
			counts = cfg.Counts[i]
		}
		h.loops = append(h.loops, newLoop(h, i, counts))
	}
	h.tallies.latest = make([]*telemetry.Loop, cfg.Loops)
	h.keys.Store(cfg.Keys)
	h.setPlans(cfg.Keys)
	return h
}

// Loop returns the i-th event loop.
func (h *Hub) Loop(i int) *Loop { return h.loops[i] }

// Keys returns the apps and keys in force.
func (h *Hub) Keys() *auth.Set { return h.keys.Load() }

// SetKeys puts new apps and keys in force. Sessions of a key that is now
// revoked or of an app that is now suspended are closed; gone counts as
// revoked and suspended.
func (h *Hub) SetKeys(s *auth.Set) {
	h.keys.Store(s)
	h.setPlans(s)
	for _, l := range h.loops {
		l.Post(func(l *Loop) { l.recheck(0) })
	}
}

func (h *Hub) setPlans(s *auth.Set) {
	for _, a := range s.Apps() {
		h.App(a.ID).Quota.SetPlan(a.Plan)
	}
}

// App returns the app's running state.
func (h *Hub) App(id string) *App {
	h.mu.RLock()
	a := h.apps[id]
	h.mu.RUnlock()
	if a != nil {
		return a
	}
	var events registry.Events
	if h.events != nil {
		events = h.events(id) // not under the lock, which loops take: it may have to wait
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if a = h.apps[id]; a == nil {
		a = &App{ID: id, Quota: h.ledger.App(id), Space: registry.NewSpace(len(h.loops)), delivered: make([]delivered, len(h.loops))}
		a.Space.App, a.Space.Events = id, events
		h.apps[id] = a
	}
	return a
}

// standing returns the close code for who came with this key under the keys in
// force, 0 if it is in good standing.
func (h *Hub) standing(key *auth.Key) protocol.CloseCode {
	keys := h.keys.Load()
	if a := keys.App(key.App.ID); a == nil || a.Suspended {
		return protocol.CloseSuspended
	}
	if k := keys.Key(key.ID); k == nil || k.Revoked || k.App.ID != key.App.ID {
		return protocol.CloseUnauthorized
	}
	return 0
}

// time returns the time since the hub was made; it never jumps.
func (h *Hub) time() time.Duration { return time.Since(h.start) }

// clock is time in milliseconds.
func (h *Hub) clock() int64 { return h.time().Milliseconds() }
