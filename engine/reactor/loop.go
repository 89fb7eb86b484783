package reactor

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"signalbox/engine/telemetry"
)

// loop is our side of one gnet event loop.
type loop struct {
	// Immutable after Run has begun.
	*Reactor
	index     int
	upper     Loop
	counts    *telemetry.Loop // loop-owned
	turnTask  gnet.Runnable
	sweepTask gnet.Runnable
	newsTask  gnet.Runnable
	ring      *ring // nil: none

	// Any goroutine (atomic).
	el   atomic.Pointer[gnet.EventLoop]
	bell atomic.Pointer[doorbell]

	// Loop-owned. Both queues are in the order of their deadlines.
	epoll     int                  // descriptor; -1: not known
	turned    bool                 // there was a Turn since a socket was last read
	heads     []deadline           // connections that have not sent their request head
	lingering []deadline           // connections that are to end
	lingers   int64                // bytes queued on those, as of their Finish or the last sweep
	clients   map[*Conn]netip.Addr // addresses that proxies have told; zero: nobody's
	broken    []*Conn              // a write failed; to be closed
	opened    []byte               // memory for application data out of records
	sealed    []byte               // memory for records, borrowed until the next seal

	// Guarded by newsMu.
	newsMu sync.Mutex
	news   []*Conn // whose handshakes have something to tell

	handshaker *handshaker
}

// deadline is when a connection must have got further.
type deadline struct {
	c  *Conn
	at time.Time
}

func newLoop(r *Reactor, index int) *loop {
	l := &loop{Reactor: r, index: index, epoll: -1, clients: map[*Conn]netip.Addr{}, handshaker: newHandshaker(), counts: telemetry.NewLoop()}
	if r.cfg.Counts != nil {
		l.counts = r.cfg.Counts[index]
	}
	l.turnTask = gnet.RunnableFunc(func(context.Context) error {
		if !l.promised() && (!l.turned || !l.ringBell()) {
			l.turn()
		}
		return nil
	})
	l.newsTask = gnet.RunnableFunc(func(context.Context) error {
		l.hearNews()
		return nil
	})
	l.sweepTask = gnet.RunnableFunc(func(context.Context) error {
		l.sweep(time.Now())
		return nil
	})
	return l
}

// start pairs the loop with gnet's. On the loop's goroutine, before any of its
// connections is opened.
func (l *loop) start(el gnet.EventLoop) {
	l.el.Store(&el)
	l.epoll = epollOf(el)
	l.upper.Start()
}

// execute runs the task on the loop soon. Any goroutine. Before the loop has
// started and once the reactor stops, nothing happens.
func (l *loop) execute(task gnet.Runnable) {
	if el := l.el.Load(); el != nil && !l.stopping.Load() {
		_ = (*el).Execute(context.Background(), task) // fails only while stopping
	}
}

// Waker wakes one loop. Any goroutine.
type Waker struct{ loop *loop }

// Wake has the loop's Turn called before it waits for I/O again. If a Turn has been
// called since a socket was last read, or WakeFair, then it does as WakeFair does:
// gnet runs tasks as long as there are any, so that Turns which follow each other
// would keep all sockets waiting.
func (w *Waker) Wake() { w.loop.execute(w.loop.turnTask) }

// WakeFair has the loop's Turn called after the sockets that are ready now.
func (w *Waker) WakeFair() {
	if !w.loop.ringBell() {
		w.Wake()
	}
}

// ringBell rings the loop's doorbell and reports whether there is one. Any
// goroutine.
func (l *loop) ringBell() bool {
	d := l.bell.Load()
	return d != nil && d.ring()
}

// promised reports whether the doorbell is rung and not yet heard.
func (l *loop) promised() bool {
	d := l.bell.Load()
	return d != nil && d.rung.Load()
}

func (l *loop) turn() {
	l.turned = true
	l.upper.Turn()
	l.closeBroken()
}

// sweep closes the connections whose time is over.
func (l *loop) sweep(now time.Time) {
	if l.handshakes != nil && l.index == 0 {
		l.handshakes.Sweep(now)
	}
	for len(l.heads) > 0 && (l.heads[0].c.state > stateHead || now.After(l.heads[0].at)) {
		if c := l.heads[0].c; c.state <= stateHead {
			c.abort()
		}
		l.heads[0] = deadline{}
		l.heads = l.heads[1:]
	}
	if len(l.heads) == 0 {
		l.heads = nil
	}
	kept := l.lingering[:0]
	l.lingers = 0
	for _, d := range l.lingering {
		switch c := d.c; {
		case c.state == stateClosed:
		case now.After(d.at):
			c.abort()
		default:
			c.shutdownIfSent()
			l.lingers += int64(c.Queued())
			kept = append(kept, d)
		}
	}
	clear(l.lingering[len(kept):])
	l.lingering = kept
	l.closeBroken()
}

// closeBroken closes the connections on which a write has failed. It is not
// done where it fails, because that may be in the midst of a fan-out.
func (l *loop) closeBroken() {
	for len(l.broken) > 0 {
		last := len(l.broken) - 1
		c := l.broken[last]
		l.broken[last] = nil
		l.broken = l.broken[:last]
		c.abort()
	}
}
