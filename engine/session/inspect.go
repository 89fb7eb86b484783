package session

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"signalbox/engine/registry"
	"signalbox/engine/telemetry"
)

// Socket is a session as operators see it.
type Socket struct {
	Conn          registry.Ref
	Addr          netip.Addr // not valid: not known
	Opened        time.Time
	Expires       time.Time // zero: never
	Key           string    // its id
	Subscriptions int
	Channels      []string // names and patterns, at most maxNames
	Queued        int      // bytes in user space
}

// maxNames is how many of a session's subscriptions a Socket lists.
const maxNames = 100

// Farewell is the end of a session.
type Farewell struct {
	telemetry.Close
	Conn       registry.Ref
	App, Peer  string
	Addr       netip.Addr // not valid: not known
	Opened, At time.Time
}

// Sockets returns the peer's sockets, at most limit, and how many it has.
func (h *Hub) Sockets(ctx context.Context, app, peer string, limit int) ([]Socket, int, error) {
	refs := h.App(app).Space.Sockets([]byte(peer))
	asked := refs[:min(limit, len(refs))]
	var mu sync.Mutex
	var sockets []Socket
	t := newTally(len(asked))
	for _, ref := range asked {
		h.loops[ref.Loop()].Post(func(l *Loop) {
			if s := l.session(ref); s != nil {
				socket := s.describe()
				mu.Lock()
				sockets = append(sockets, socket)
				mu.Unlock()
			}
			t.add(0)
		})
	}
	_, err := t.wait(ctx)
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(sockets), len(refs), err
}

func (s *Session) describe() Socket {
	d := Socket{
		Conn: s.ref(), Addr: addrOf(s.conn), Opened: s.opened(), Key: s.grant.Key().ID,
		Subscriptions: len(s.subs), Queued: s.conn.Queued(),
	}
	if s.expires != 0 {
		d.Expires = time.UnixMilli(s.expires)
	}
	for i := range s.subs[:min(maxNames, len(s.subs))] {
		d.Channels = append(d.Channels, s.subs[i].name())
	}
	return d
}

// opened returns when the session was opened, to the second.
func (s *Session) opened() time.Time {
	return s.loop.hub.start.Add(time.Duration(s.loop.opened[s.slot]) * time.Second)
}

// addrOf returns the client's address, if the connection knows it.
func addrOf(c Conn) netip.Addr {
	if a, ok := c.(interface{ Addr() netip.Addr }); ok {
		return a.Addr()
	}
	return netip.Addr{}
}

// maxFarewells is how many ends of sessions a loop remembers.
const maxFarewells = 200

// farewells are the last ends of sessions on a loop, in a ring. Loop-owned.
type farewells struct {
	list []Farewell
	next int // to be overwritten, once list is full
}

func (f *farewells) add(e Farewell) {
	if len(f.list) < maxFarewells {
		f.list = append(f.list, e)
		return
	}
	f.list[f.next] = e
	f.next = (f.next + 1) % maxFarewells
}

// note counts, remembers and logs how the session has ended.
func (s *Session) note(end telemetry.Close) {
	l := s.loop
	l.counts.Closed(end)
	e := Farewell{
		Close: end, Conn: s.ref(), App: s.app.ID, Peer: s.peer.ID,
		Addr: addrOf(s.conn), Opened: s.opened(), At: time.Now(),
	}
	l.farewells.add(e)
	if s.logs() {
		s.log("session closed", slog.Int("code", int(end.Code)), slog.String("by", string(end.By)))
	}
}

// logs reports whether anybody wants to know of single sessions.
func (s *Session) logs() bool {
	return s.loop.hub.log.Enabled(context.Background(), slog.LevelDebug)
}

// log logs something about the session.
func (s *Session) log(message string, attrs ...slog.Attr) {
	attrs = append([]slog.Attr{slog.String("conn", s.ref().String()), slog.String("app", s.app.ID)}, attrs...)
	s.loop.hub.log.LogAttrs(context.Background(), slog.LevelDebug, message, attrs...)
}

// Farewells returns how the last sessions ended, the latest first.
func (h *Hub) Farewells(ctx context.Context) ([]Farewell, error) {
	var mu sync.Mutex
	var all []Farewell
	t := newTally(len(h.loops))
	for _, l := range h.loops {
		l.Post(func(l *Loop) {
			mu.Lock()
			all = append(all, l.farewells.list...)
			mu.Unlock()
			t.add(0)
		})
	}
	_, err := t.wait(ctx)
	mu.Lock()
	defer mu.Unlock()
	slices.SortStableFunc(all, func(a, b Farewell) int { return b.At.Compare(a.At) })
	return slices.Clone(all[:min(maxFarewells, len(all))]), err
}

// tallies are copies of what the loops have counted, as of when each was last
// asked.
type tallies struct {
	mu sync.Mutex
	// Guarded by mu.
	latest []*telemetry.Loop // by loop; nil: never
}

// Counts returns what all loops have counted. A loop that does not answer before
// ctx is done counts as of when it last did.
func (h *Hub) Counts(ctx context.Context) *telemetry.Loop {
	t := newTally(len(h.loops))
	for _, l := range h.loops {
		l.Post(func(l *Loop) {
			c := l.tally()
			h.tallies.mu.Lock()
			h.tallies.latest[l.index] = c
			h.tallies.mu.Unlock()
			t.add(0)
		})
	}
	_, _ = t.wait(ctx) // who is late is as before
	h.tallies.mu.Lock()
	defer h.tallies.mu.Unlock()
	all := telemetry.NewLoop()
	all.Publishes, all.Directs = h.published.Load(), h.sent.Load()
	for _, c := range h.tallies.latest {
		if c != nil {
			all.Add(c)
		}
	}
	return all
}

// tally copies the loop's counts.
func (l *Loop) tally() *telemetry.Loop {
	c := l.counts.Clone()
	c.Sessions, c.Backlog = uint64(l.open), uint64(l.slow.sum)
	l.hub.mu.RLock()
	defer l.hub.mu.RUnlock()
	for id, a := range l.hub.apps {
		c.Apps[id] = a.delivered[l.index].n
	}
	return c
}

// delivered counts an app's deliveries on one loop; the padding keeps loops off
// each other's cache lines. Loop-owned.
type delivered struct {
	n uint64
	_ [56]byte
}
