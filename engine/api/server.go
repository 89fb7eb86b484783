package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxConns = 1024     // connections at a time, over all doors
	maxHead  = 32 << 10 // bytes of a request head
	maxBody  = 32 << 10 // bytes of a request body

	headTimeout    = 10 * time.Second
	bodyTimeout    = 10 * time.Second
	idleTimeout    = 60 * time.Second
	writeTimeout   = 60 * time.Second // from the end of the head to the end of the answer
	backendTimeout = 10 * time.Second

	// headSlack is what net/http reads beyond MaxHeaderBytes.
	headSlack = 4 << 10
)

// Options are what a Server is made from.
type Options struct {
	Backend Backend      // required
	Logger  *slog.Logger // nil: slog.Default

	// MaxMessageSize caps data, in bytes. 0: only the body's cap holds.
	MaxMessageSize int

	// Now is the clock that tokens are signed by. nil: time.Now.
	Now func() time.Time

	// HandBack takes over a connection that asks for a WebSocket upgrade: the
	// connection as it was given to Handoff or accepted by Serve's listener, and
	// the request's head with all bytes read behind it. It is called on the
	// goroutine that served the connection. nil: such requests are answered 400.
	HandBack func(conn net.Conn, read []byte)
}

// Server is the sidecar.
type Server struct {
	// Immutable after New.
	backend        Backend
	log            *slog.Logger
	maxMessageSize int
	now            func() time.Time
	handBack       func(net.Conn, []byte)
	http           *http.Server
	feed           *feed
	refusals       chan struct{} // holds one token for each refusal on its way

	feeding sync.Once      // starts serving feed
	running sync.WaitGroup // goroutines that Shutdown waits for, see spawn

	slots   slots       // of the open connections, see admit
	leaving atomic.Bool // each answer is the last on its connection

	// Guarded by mu.
	mu     sync.Mutex
	closed bool // no goroutine may be started any more
}

// New returns a server that serves nothing yet.
func New(o Options) *Server {
	s := &Server{
		backend:        o.Backend,
		log:            o.Logger,
		maxMessageSize: o.MaxMessageSize,
		now:            o.Now,
		handBack:       o.HandBack,
		feed:           newFeed(maxConns),
		refusals:       make(chan struct{}, maxRefusals),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead - headSlack,
		ConnContext:       withConn,
		ConnState:         s.slots.follow,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true)
	return s
}

// Handler returns the REST API without connections of its own.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serveHTTP) }

// Serve accepts connections from ln until Shutdown, when it returns nil, or
// until ln fails. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.http.Serve(&slotListener{Listener: ln, server: s}); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handoff serves a connection accepted elsewhere from which read has been
// read. It copies read, does not block, and owns conn from now on. Beyond the
// limit of connections, when none is idle, and during Shutdown, it answers 503 and
// closes conn.
func (s *Server) Handoff(conn net.Conn, read []byte) {
	c := s.admit(conn)
	if c == nil {
		return
	}
	c.handedOff = true
	c.unread = append([]byte(nil), read...)
	s.feeding.Do(func() {
		s.spawn(func() { _ = s.http.Serve(s.feed) }) // always http.ErrServerClosed
	})
	if !s.feed.push(c) {
		s.refuse(c)
	}
}

// Leave makes each answer from now on the last on its connection, so that clients
// turn to a server that takes this one's place.
func (s *Server) Leave() { s.leaving.Store(true) }

// Shutdown stops listening, lets requests in progress finish, and closes all
// connections; when ctx ends first it closes them at once and returns ctx's
// error.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close() // ctx's error is the one to tell
	}
	_ = s.feed.Close() // cannot fail
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
	return err
}

// spawn starts a goroutine that Shutdown waits for, or reports false after
// Shutdown.
func (s *Server) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Go(f)
	}
	return !s.closed
}
