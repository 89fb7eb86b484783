package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"signalbox/engine/api"
	"signalbox/engine/auth"
	"signalbox/engine/cluster"
	"signalbox/engine/handover"
	"signalbox/engine/hooks"
	"signalbox/engine/quota"
	"signalbox/engine/reactor"
	"signalbox/engine/registry"
	"signalbox/engine/secure"
	"signalbox/engine/session"
	"signalbox/engine/telemetry"
)

// Server is a Signalbox, or an echo server on the same reactor.
type Server struct {
	// Immutable after New; nil in an echo server, but for log and reactor.
	cfg          Config
	log          *slog.Logger
	reactor      *reactor.Reactor
	loops        []reactor.Loop
	hub          *session.Hub
	bus          *cluster.NATS // nil: the server stands alone
	gate         *gate
	ledger       *quota.Ledger
	hooks        *hooks.Hooks
	sidecar      *api.Server
	series       *telemetry.Series // nil without an admin address
	watch        *watcher
	certificates *secure.Certificates // nil: plain
	tlsWatch     *watcher             // of their files
	unixLn       *net.UnixListener    // nil if the public address is TCP's
	apiLn        net.Listener
	adminLn      net.Listener
	admin        *http.Server // nil without an admin address

	listeners map[string]handover.Listener // of net/http, for a successor

	// Upgrade's.
	upgradeMu   sync.Mutex
	successor   *handover.Successor // held on to until the process ends
	supersededC chan struct{}       // closed when it serves

	// takeOver's.
	takenC     chan struct{} // closed when what the predecessor had is this server's
	ledgerOpen bool

	startErr error         // why a successor cannot serve; set before the reactor ends
	readyC   chan struct{} // closed when connections are accepted
	drainC   chan struct{} // closed when the server drains, with no successor
	serving  atomic.Bool   // connections are accepted and the server is not draining
	reloadMu sync.Mutex    // one reload at a time
}

// New opens the files and addresses of a server. Its error is one line for the
// operator.
func New(cfg Config) (_ *Server, err error) {
	if err := cfg.normalise(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, log: slog.New(telemetry.Sample(cfg.Logger.Handler())), listeners: map[string]handover.Listener{},
		readyC: make(chan struct{}), drainC: make(chan struct{}), takenC: make(chan struct{}), supersededC: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	keys := cfg.Apps
	if cfg.AppsFile != "" {
		s.watch = watch(cfg.AppsFile) // first, so that no change falls between
		if keys, err = s.loadApps(); err != nil {
			return nil, err
		}
	}
	if cfg.Predecessor != nil { // which still has the directory
		s.ledger = quota.Hold(cfg.DataDir, time.Now)
	} else if s.ledger, err = quota.Open(cfg.DataDir, time.Now); err != nil {
		return nil, err
	}
	s.ledger.LogTo(s.log)
	if s.hooks, err = hooks.Open(hooks.Options{
		Dir: cfg.DataDir, Hold: cfg.Predecessor != nil, MaxSpool: cfg.HookSpool, Agent: "signalbox/" + cfg.Version, Logger: s.log,
	}); err != nil {
		return nil, err
	}
	s.hooks.Set(keys)
	bus, err := s.joinCluster(keys)
	if err != nil {
		return nil, err
	}
	counts := make([]*telemetry.Loop, cfg.Loops)
	for i := range counts {
		counts[i] = telemetry.NewLoop()
	}
	if err := s.openAddresses(counts); err != nil {
		return nil, err
	}
	s.hub = session.NewHub(session.Config{
		Loops: cfg.Loops, Limits: cfg.Limits, Keys: keys, Ledger: s.ledger, Bus: bus, Logger: s.log, Counts: counts,
		Events: func(app string) registry.Events { return s.hooks.App(app) },
	})
	for i := range cfg.Loops {
		l := s.hub.Loop(i)
		l.Bind(s.reactor.Waker(i))
		s.loops = append(s.loops, l)
	}
	s.gate.hub = s.hub
	s.sidecar = api.New(api.Options{
		Backend:        backend{s.hub},
		Logger:         s.log,
		MaxMessageSize: cfg.Limits.MaxMessageSize,
		HandBack:       s.handBack,
	})
	if s.adminLn != nil {
		s.serveAdmin()
	}
	return s, nil
}

// maxUnread is how many bytes of input are kept at most for a session that waits. The
// reactor stops to read long before, but takes some more whenever the client has fallen
// behind with reading and caught up.
const maxUnread = 8 << 20

func (s *Server) openAddresses(counts []*telemetry.Loop) (err error) {
	s.gate = &gate{refuse: s.cfg.Refuse, counts: counts, log: s.log}
	if n := s.cfg.Limits.ConnectRate; n > 0 {
		s.gate.rate = quota.NewAddrRate(n)
	}
	tlsConfig, err := s.openTLS()
	if err != nil {
		return err
	}
	if err := s.openUnix(); err != nil {
		return err
	}
	addr, behind := s.cfg.Listen, 0
	if p := s.cfg.Predecessor; p != nil {
		addr, behind = p.Addr, p.Sockets
	}
	s.reactor, err = reactor.New(reactor.Config{
		Listen:           addr,
		Behind:           behind,
		Unix:             s.unixLn,
		Proxies:          s.cfg.TrustedProxies,
		TLS:              tlsConfig,
		Loops:            s.cfg.Loops,
		Others:           s.cfg.descriptors(),
		HandshakeTimeout: s.cfg.Limits.HandshakeTimeout,
		MaxUnread:        maxUnread + s.cfg.Limits.MaxMessageSize,
		MaxLinger:        s.cfg.Limits.MaxBacklogTotal,
		IOURing:          reactor.IOURing(s.cfg.IOURing),
		Gate:             s.gate,
		Sidecar:          func(c net.Conn, read []byte) { s.sidecar.Handoff(c, read) },
		Logger:           s.log,
		Counts:           counts,
	})
	if err != nil {
		return err
	}
	if s.apiLn, err = s.listen("api", s.cfg.APIListen, 0); err != nil {
		return err
	}
	if s.adminLn, err = s.listen("admin", s.cfg.AdminListen, adminReserve); err == nil && s.adminLn != nil {
		err = s.checkAdmin()
	}
	return err
}

// adminReserve is how many connections the admin address may have when the
// server is full.
const adminReserve = 8

// listen opens an address for net/http, none if it is empty. The predecessor's
// listener of that name comes first.
func (s *Server) listen(name, addr string, reserve int64) (ln net.Listener, err error) {
	if addr == "" {
		return nil, nil
	}
	if p := s.cfg.Predecessor; p != nil {
		ln = p.Listener(name)
	}
	if ln == nil {
		if ln, err = net.Listen("tcp", addr); err != nil {
			return nil, fmt.Errorf("cannot listen on %s: %w", addr, reason(err))
		}
	}
	s.listeners[name] = ln.(handover.Listener)
	return s.reactor.Share(ln, reserve), nil
}

// reason strips from a network error what the caller says already.
func reason(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}

// Addr returns the public address.
func (s *Server) Addr() net.Addr { return s.reactor.Addr() }

// APIAddr returns the address for REST alone, nil if there is none.
func (s *Server) APIAddr() net.Addr { return addrOf(s.apiLn) }

// AdminAddr returns the admin address, nil if there is none.
func (s *Server) AdminAddr() net.Addr { return addrOf(s.adminLn) }

func addrOf(ln net.Listener) net.Addr {
	if ln == nil {
		return nil
	}
	return ln.Addr()
}

var errNotReady = errors.New("engine: starting or draining")

func (s *Server) ready() error {
	if !s.serving.Load() {
		return errNotReady
	}
	return nil
}

// handBack takes a connection from the sidecar whose next request is an upgrade.
func (s *Server) handBack(c net.Conn, read []byte) {
	if err := s.reactor.Enroll(c, read); err != nil {
		s.log.Debug("connection lost on its way back to the loops", "error", err)
	}
}

// Ready is closed once Run accepts connections.
func (s *Server) Ready() <-chan struct{} { return s.readyC }

// Draining is closed when the server drains because it was told to end, and not
// because its successor serves.
func (s *Server) Draining() <-chan struct{} { return s.drainC }

// Run serves until ctx is done, then drains and returns nil. It is called once,
// and releases everything New has opened.
func (s *Server) Run(ctx context.Context) error {
	defer s.release()
	var wg sync.WaitGroup
	defer wg.Wait()
	background, stop := context.WithCancel(context.Background())
	defer stop()
	defer s.closeAddresses()
	if s.hub != nil {
		wg.Go(func() { s.ledger.Run(background) })
		wg.Go(func() { newReclaimer(s.log).run(background) })
		wg.Go(func() { s.hooks.Run(background) })
		s.serveHTTP(background, &wg)
		if s.cfg.Predecessor != nil {
			wg.Go(func() { s.takeOver(background) })
		}
		if s.series != nil {
			wg.Go(func() { s.countSeconds(background) })
		}
		if s.watch != nil {
			wg.Go(func() { s.watch.run(background, s.reloadAndLog) })
		}
		s.keepCertificates(background, &wg)
	}
	endedC := make(chan error, 1)
	wg.Go(func() { endedC <- s.reactor.Run(s.loops, s.started) })
	select {
	case err := <-endedC: // the loops must not end by themselves
		return errors.Join(err, s.startErr)
	case <-ctx.Done():
		if s.endsAlone() {
			s.drain()
		} else {
			s.leave()
		}
	case <-s.supersededC:
		s.leave()
	}
	if s.unixLn != nil {
		_ = s.unixLn.Close() // a second time, after leave
	}
	s.leaveCluster()
	s.reactor.Stop()
	err := <-endedC
	s.awaitTakeOver()
	return err
}

func (s *Server) started() {
	if !s.takeConnects() {
		return
	}
	if s.unixLn != nil {
		s.unixLn.SetUnlinkOnClose(true) // the path is this process's now
	}
	if s.bus != nil {
		s.bus.Start(s.hub.Remote())
	}
	s.serving.Store(true)
	close(s.readyC)
	attrs := []any{"addr", s.Addr().String(), "loops", len(s.loops), "capacity", s.reactor.Capacity()}
	if s.apiLn != nil {
		attrs = append(attrs, "api", s.apiLn.Addr().String())
	}
	if s.adminLn != nil {
		attrs = append(attrs, "admin", s.adminLn.Addr().String())
	}
	s.log.Info("listening", attrs...)
}

// serveHTTP serves the addresses that are net/http's own, once the loops run: before,
// a predecessor does.
func (s *Server) serveHTTP(ctx context.Context, wg *sync.WaitGroup) {
	onceReady := func(serve func()) {
		wg.Go(func() {
			select {
			case <-s.readyC:
				serve()
			case <-ctx.Done():
			}
		})
	}
	if s.apiLn != nil {
		onceReady(func() {
			if err := s.sidecar.Serve(s.apiLn); err != nil && !errors.Is(err, net.ErrClosed) {
				s.log.Error("the REST address has failed", "error", err)
			}
		})
	}
	if s.admin != nil {
		onceReady(func() { _ = s.admin.Serve(s.adminLn) }) // until the listener is closed
	}
}

// settleTime is how long clients have to answer the last close frames of a
// drain.
const settleTime = time.Second

// drain closes all sessions in batches, so that their clients do not come back
// all at once.
func (s *Server) drain() {
	close(s.drainC)
	if s.hub == nil {
		return
	}
	s.gate.draining.Store(true)
	s.evict()
}

// evict closes all sessions and lets REST requests finish.
func (s *Server) evict() {
	s.log.Info("draining", "connections", s.reactor.Conns(), "timeout", s.cfg.DrainTimeout.String())
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.DrainTimeout+settleTime)
	defer cancel()
	s.hub.Drain(ctx, s.cfg.DrainTimeout)
	settle, cancelSettle := context.WithTimeout(ctx, settleTime)
	defer cancelSettle()
	s.reactor.Settle(settle)
	s.closeSidecar(settleTime)
}

// closeSidecar lets REST requests in progress finish for so long.
func (s *Server) closeSidecar(patience time.Duration) {
	if s.sidecar == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.sidecar.Shutdown(ctx); err != nil {
		s.log.Debug("REST requests were cut off", "error", err)
	}
}

// closeAddresses ends what net/http serves.
func (s *Server) closeAddresses() {
	s.closeSidecar(0)
	if s.admin != nil {
		_ = s.admin.Close() // its listener goes with it
	}
}

// release closes what New has opened.
func (s *Server) release() {
	for _, ln := range []net.Listener{s.apiLn, s.adminLn} {
		if ln != nil {
			_ = ln.Close() // a second time, often
		}
	}
	if s.unixLn != nil {
		_ = s.unixLn.Close() // a second time, often
	}
	s.leaveCluster() // a second time, often
	if s.reactor != nil {
		s.reactor.Release()
	}
	if s.hooks != nil {
		if err := s.hooks.Close(); err != nil {
			s.log.Error("the file of events for webhooks was not closed", "error", err)
		}
	}
	if s.ledger != nil {
		if err := s.ledger.Close(); err != nil {
			s.log.Error("usage was not saved", "error", err)
		}
	}
}

// Reload reads the file of apps again, and the certificates. If it is bad, the
// apps stay as they are; so do certificates, which is logged.
func (s *Server) Reload() error {
	s.reloadCertificates()
	if s.cfg.AppsFile == "" {
		return nil
	}
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	keys, err := s.loadApps()
	if err != nil {
		return err
	}
	s.hooks.Set(keys) // first, so that they hear of who is closed or comes
	s.hub.SetKeys(keys)
	s.log.Info("apps read", "file", s.cfg.AppsFile, "apps", len(keys.Apps()))
	return nil
}

func (s *Server) reloadAndLog() {
	if err := s.Reload(); err != nil {
		s.log.Error("apps not read, the old ones stay in force", "error", err)
	}
}

func (s *Server) loadApps() (*auth.Set, error) {
	keys, warnings, err := auth.Load(s.cfg.AppsFile)
	for _, w := range warnings {
		s.log.Warn("apps file", "warning", w.String())
	}
	return keys, err
}
