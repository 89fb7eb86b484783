package reactor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"signalbox/engine/secure"
	"signalbox/engine/telemetry"
)

// MaxHead is the longest request head, in bytes: a token with both of its
// metadata bags near their caps makes a URL of 16 KB.
const MaxHead = 32 << 10

// Receiver is the upper half of an upgraded connection.
type Receiver interface {
	// Receive takes the bytes that have come and returns how many are dealt
	// with; the rest comes again with more behind it. It may change buf.
	Receive(buf []byte) int
	// Ready tells that input has come, and reports whether it is wanted now; see
	// Conn.Resume.
	Ready() bool
	// Overflow tells that too much input has come while it was not.
	Overflow()
	// Behind tells that something batched is queued, at least in part.
	Behind()
	// Closed tells that the connection is gone; unread is what had come.
	Closed(unread []byte)
}

// Loop is what runs on an event loop beside its sockets.
type Loop interface {
	// Start is called once, before any connection is opened.
	Start()
	// Begin is called before input is handed to a Receiver.
	Begin()
	// Turn is called after Wake.
	Turn()
}

// Gate decides about a finished upgrade request. It either returns an HTTPError,
// with which the request is answered; or it writes response, the 101 answer, to
// c and returns the connection's Receiver, nil if it finished c itself. r and
// response are borrowed until it returns; frames may be appended to response, to
// go with it in one write.
type Gate interface {
	Admit(loop int, c *Conn, r *Request, response []byte) (Receiver, *HTTPError)
}

// IOURing says whether batches are sent by io_uring.
type IOURing string

const (
	IOURingOff  IOURing = "off"
	IOURingAuto IOURing = "auto" // where the kernel lets us
	IOURingOn   IOURing = "on"   // or New fails
)

// Config is what a Reactor is made of.
type Config struct {
	Listen           string            // host:port, if Unix is nil
	Unix             *net.UnixListener // whoever made it closes it, before Stop
	Behind           int               // listening sockets of the process whose place on Listen this one takes; 0: none
	Loops            int
	Others           int  // descriptors that the rest of the process may yet open at a time, beside the sidecar's
	AnyPath          bool // upgrade on any path, not only /v1
	HandshakeTimeout time.Duration
	TLS              *tls.Config // nil: plain
	Proxies          Proxies
	MaxUnread        int   // bytes of input kept for a Receiver that is not ready
	MaxLinger        int64 // bytes queued on ending connections before further ones are cut off; 0: no limit
	IOURing          IOURing
	Gate             Gate
	// Sidecar takes connections whose first request is no upgrade, with the
	// bytes already read. It must not block. nil answers 404.
	Sidecar func(c net.Conn, read []byte)
	Logger  *slog.Logger
	Counts  []*telemetry.Loop // where each loop counts; nil: for itself
}

// Reactor is a set of event loops listening on one address.
type Reactor struct {
	// Immutable after New.
	cfg   Config
	addr  net.Addr
	loops []*loop

	handshakes *secure.Handshakes // nil: plain

	budget

	// Any goroutine (atomic).
	conns    atomic.Int64 // connections of the loops
	stopping atomic.Bool
	claimed  atomic.Int32 // loops that have found their gnet event loop

	hold    *holder
	started func()
	engine  gnet.Engine    // set before bootedC is closed
	bootErr error          // set before bootedC is closed
	bootedC chan struct{}  // closed when all loops run and have their doorbells
	endedC  chan struct{}  // closed when no loop runs any more
	boot    sync.WaitGroup // afterBoot
	ticked  bool           // OnTick has been called; the ticker's

	registerMu sync.Mutex
	enrollMu   sync.RWMutex  // held for reading while a connection enters a loop or a listener is in use
	enrollC    chan struct{} // holds one token for each

	byLoop sync.Map // gnet.EventLoop → *loop
}

// New reserves the address. The loops do not run before Run.
func New(cfg Config) (*Reactor, error) {
	hold, err := holdOf(&cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", cfg.Listen, err)
	}
	r := &Reactor{
		cfg: cfg, addr: hold.addr, hold: hold,
		bootedC: make(chan struct{}), endedC: make(chan struct{}), enrollC: make(chan struct{}, enrolling),
	}
	if err := r.measure(cfg.Loops, cfg.Others); err != nil {
		hold.release()
		return nil, err
	}
	if cfg.TLS != nil {
		r.handshakes = secure.NewHandshakes(cfg.TLS)
	}
	for i := range cfg.Loops {
		r.loops = append(r.loops, newLoop(r, i))
	}
	if err := r.openRings(newRing); err != nil {
		r.Release()
		return nil, err
	}
	return r, nil
}

// Addr returns the address listened on.
func (r *Reactor) Addr() net.Addr { return r.addr }

// Capacity returns how many connections the descriptor limit allows.
func (r *Reactor) Capacity() int { return int(r.capacity) }

// Conns returns the number of open connections.
func (r *Reactor) Conns() int { return int(r.conns.Load()) }

// Waker returns what wakes the i-th loop.
func (r *Reactor) Waker(i int) *Waker { return &Waker{r.loops[i]} }

// Run runs the loops, each driving the element of loops with its index, until
// Stop. It is called once. started, if not nil, is called once connections are
// accepted.
func (r *Reactor) Run(loops []Loop, started func()) error {
	for i, l := range loops {
		r.loops[i].upper = l
	}
	r.started = started
	err := gnet.Run(&events{Reactor: r}, r.target(),
		gnet.WithNumEventLoop(r.cfg.Loops),
		gnet.WithReusePort(true),
		gnet.WithReuseAddr(true),
		gnet.WithReadBufferCap(readBuffer),
		gnet.WithTCPNoDelay(gnet.TCPNoDelay),
		gnet.WithTicker(true),
		gnet.WithLogger(logger{r.cfg.Logger}),
	)
	r.hold.release()
	stopped := r.stopping.Swap(true)
	close(r.endedC)
	if r.handshakes != nil {
		r.handshakes.Close()
	}
	r.boot.Wait()
	r.closeDoorbells()
	r.closeRings()
	switch {
	case err != nil:
		return err
	case r.bootErr != nil:
		return r.bootErr
	case !stopped:
		return errEnded
	}
	return nil
}

var (
	errEnded    = errors.New("reactor: the event loops ended by themselves")
	errStopping = errors.New("reactor: stopping")
)

// readBuffer is how much a loop reads from a socket at a time, in bytes.
const readBuffer = 64 << 10

// Stop has Run return, and ends every connection that is still open. Run has
// been called.
func (r *Reactor) Stop() {
	select {
	case <-r.bootedC:
	case <-r.endedC:
		return
	}
	r.enrollMu.Lock() // a loop that has ended would never take those on their way
	r.stopping.Store(true)
	r.enrollMu.Unlock()
	r.halt()
}

// halt ends the loops.
func (r *Reactor) halt() {
	// Stop polls twice a second for what Run's return tells; only its first
	// step is wanted.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.engine.Stop(ctx)
}

// Release gives the address up if Run was never called.
func (r *Reactor) Release() {
	r.hold.release()
	r.closeRings()
}

// Settle waits until no connection is left, or ctx is done.
func (r *Reactor) Settle(ctx context.Context) {
	t := time.NewTicker(settlePoll)
	defer t.Stop()
	for r.conns.Load() > 0 {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

const settlePoll = 10 * time.Millisecond

// sweepEvery is how often the loops look for overdue handshakes and closes.
const sweepEvery = 200 * time.Millisecond

// events is the Reactor as gnet sees it.
type events struct {
	gnet.BuiltinEventEngine
	*Reactor
}

// OnBoot keeps the engine's handle.
func (e *events) OnBoot(eng gnet.Engine) gnet.Action {
	e.engine = eng
	return gnet.None
}

// OnTick runs on a goroutine of its own. Its first call tells that all loops
// run.
func (e *events) OnTick() (time.Duration, gnet.Action) {
	if !e.ticked {
		e.ticked = true
		e.hold.release()
		e.boot.Go(e.afterBoot)
	}
	for _, l := range e.loops {
		l.execute(l.sweepTask)
	}
	return sweepEvery, gnet.None
}

// afterBoot gives the loops their doorbells, by which each meets its gnet event
// loop: without, a loop that has no connection yet could not be posted to.
func (r *Reactor) afterBoot() {
	if err := r.hangDoorbells(); err != nil {
		r.bootErr = fmt.Errorf("reactor: no doorbell: %w", err)
		close(r.bootedC)
		r.halt()
		return
	}
	close(r.bootedC)
	r.acceptUnix()
	if r.started != nil {
		r.started()
	}
}

// OnOpen begins a connection, on its loop.
func (e *events) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	l := e.claim(gc.EventLoop())
	if d, ok := gc.Context().(*doorbell); ok {
		d.loop = l
		l.bell.Store(d)
		return nil, gnet.None
	}
	return nil, l.open(gc)
}

// OnTraffic hands over what has been read.
func (e *events) OnTraffic(gc gnet.Conn) gnet.Action {
	switch c := gc.Context().(type) {
	case *Conn:
		c.loop.turned = false
		return c.traffic()
	case *doorbell:
		_, _ = gc.Discard(-1)
		c.heard()
	}
	return gnet.None
}

// OnClose ends a connection, on its loop.
func (e *events) OnClose(gc gnet.Conn, _ error) gnet.Action {
	if c, ok := gc.Context().(*Conn); ok {
		c.closed()
	}
	return gnet.None
}

// claim returns our loop for gnet's, pairing them when they first meet.
func (r *Reactor) claim(el gnet.EventLoop) *loop {
	if l, ok := r.byLoop.Load(el); ok {
		return l.(*loop)
	}
	l := r.loops[r.claimed.Add(1)-1]
	r.byLoop.Store(el, l)
	l.start(el)
	return l
}
