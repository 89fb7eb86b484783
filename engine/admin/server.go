package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"signalbox/engine/auth"
	"signalbox/engine/cluster"
	"signalbox/engine/quota"
	"signalbox/engine/registry"
	"signalbox/engine/session"
	"signalbox/engine/telemetry"
	"signalbox/protocol"
)

// Backend is the server as the console sees it. Its methods are called from
// many goroutines at once.
type Backend interface {
	// Keys returns the apps and keys in force.
	Keys() *auth.Set
	// Usage returns the app's use in the current period.
	Usage(app string) quota.Usage
	// CountChannels returns how many channels the app has.
	CountChannels(app string) int
	// FindChannels returns, in the order of their names, at most limit of the
	// app's channels that have peers, come after the name after and are wanted,
	// and whether there are more.
	FindChannels(app, after string, limit int, wanted func(string) bool) ([]registry.Listed, bool)
	// Peers returns the roster of a channel.
	Peers(ctx context.Context, app, channel string) ([]protocol.Peer, error)
	// Sockets returns a peer's sockets, at most limit, and how many there are.
	Sockets(ctx context.Context, app, peer string, limit int) ([]session.Socket, int, error)
	// Kick closes the peer's sockets and returns how many that was.
	Kick(ctx context.Context, app, peer string) (int, error)
	// Farewells returns how the last sessions ended, the latest first.
	Farewells(ctx context.Context) ([]session.Farewell, error)
	// Capacity returns how many sockets are open and how many can be.
	Capacity() (open, capacity int)
	// Cluster returns how the cluster is, nil if the server stands alone.
	Cluster() *cluster.Stats
	// Reload reads the apps file again.
	Reload() error
}

// Options are what a Server is made from. All are required, but those that say
// otherwise.
type Options struct {
	Backend  Backend
	Series   *telemetry.Series
	Registry *prometheus.Registry
	Logger   *slog.Logger

	Hosts []string // that requests may be for, beside loopback
	Token string   // the admin token; empty: none is asked for

	// Ready says why the server does not want traffic.
	Ready func() error
	// Public is the public address. If it speaks TLS, NameFor returns the host by
	// which clients must name it for its certificate to be right, given the one by
	// which it is reached; nil: it is plain.
	Public  net.Addr
	NameFor func(host string) string
	// AppsFile is where keys are created and revoked; empty: nowhere.
	AppsFile string

	Version, Commit string
}

// Server serves the admin address.
type Server struct {
	// Immutable.
	Options
	guard      *Guard
	mux        *http.ServeMux
	started    time.Time
	profilingC chan struct{} // holds a token while a profile is taken
}

// timeouts of the address. An answer has writeTimeout; a profile may take
// WriteTimeout in all.
const (
	writeTimeout   = 10 * time.Second
	backendTimeout = 5 * time.Second

	// ReadTimeout bounds a request, WriteTimeout any answer.
	ReadTimeout  = 10 * time.Second
	WriteTimeout = maxProfile + 15*time.Second
)

// New returns a server that serves nothing yet.
func New(o Options) *Server {
	s := &Server{
		Options: o, guard: newGuard(o.Hosts, o.Token), mux: http.NewServeMux(), started: time.Now(),
		profilingC: make(chan struct{}, 1),
	}
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn), MaxRequestsInFlight: 4, Timeout: writeTimeout,
	}))
	s.mux.HandleFunc("GET /debug/pprof/{name}", s.serveProfile)
	s.mux.HandleFunc("GET /debug/pprof/{$}", s.serveProfiles)
	s.routeConsole()
	return s
}

// routeConsole has the mux serve the console.
func (s *Server) routeConsole() {
	s.mux.Handle("GET /{$}", http.RedirectHandler(consolePath, http.StatusFound))
	s.mux.HandleFunc("GET "+consolePath, servePage)
	s.handle("GET /console/session", s.serveSession)
	s.handle("GET /console/api/overview", s.serveOverview)
	s.handle("GET /console/api/apps", s.serveApps)
	s.handle("GET /console/api/channels", s.serveChannels)
	s.handle("GET /console/api/roster", s.serveRoster)
	s.handle("GET /console/api/peer", s.servePeer)
	s.handle("GET /console/api/disconnects", s.serveDisconnects)
	s.handle("GET /console/api/keys", s.serveKeys)
	s.handle("POST /console/api/kick", s.serveKick)
	s.handle("POST /console/api/keys", s.serveCreateKey)
	s.handle("POST /console/api/keys/revoke", s.serveRevokeKey)
	s.handle("POST /console/api/tokens", s.serveMint)
}

// handle has the mux answer with what call returns.
func (s *Server) handle(pattern string, call func(http.ResponseWriter, *http.Request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), backendTimeout)
		defer cancel()
		answer, err := call(w, r.WithContext(ctx))
		if err == nil {
			writeJSON(w, http.StatusOK, answer)
			return
		}
		var f *failure
		if !errors.As(err, &f) {
			s.Logger.Warn("console call failed", "call", pattern, "error", err)
			f = errUnavailable
		}
		writeFailure(w, f)
	})
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A recorder in a test has no deadline to set.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	protect(w.Header(), s.socketOrigin(r))
	switch r.URL.Path {
	case "/healthz":
		s.serveHealth(w, r, nil)
		return
	case "/readyz":
		s.serveHealth(w, r, s.Ready())
		return
	}
	if f := s.guard.check(r); f != nil {
		s.Logger.Debug("admin request refused", "status", f.status, "path", r.URL.Path, "client", r.RemoteAddr)
		writeFailure(w, f)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// serveHealth answers 200, or 503 when the server does not want traffic. Without its
// link to NATS it does: its own clients are served.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request, notReady error) {
	type health struct {
		Status  string `json:"status"`
		Cluster string `json:"cluster,omitempty"` // up or down; none: the server stands alone
	}
	link := ""
	if c := s.Backend.Cluster(); c != nil {
		link = linkState(c)
	}
	switch {
	case isChange(r):
		w.Header().Set("Allow", "GET, HEAD")
		writeFailure(w, &failure{http.StatusMethodNotAllowed, "method_not_allowed", "The method is not allowed here; see Allow."})
	case notReady != nil:
		s.Logger.Debug("not ready", "error", notReady)
		writeJSON(w, http.StatusServiceUnavailable, health{"unavailable", link})
	default:
		writeJSON(w, http.StatusOK, health{"ok", link})
	}
}

// socketHost is the host and port at which the client of r reaches the public
// address: the one it is at, or that of r where it is every address, or that of a
// certificate if it is for neither.
func (s *Server) socketHost(r *http.Request) string {
	host, port, err := net.SplitHostPort(s.Public.String())
	if err != nil {
		return s.Public.String()
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() || host == "" {
		if host = hostname(r.Host); host == "" || !s.guard.allowsHost(r.Host) {
			host = "127.0.0.1"
		}
	}
	if s.NameFor != nil {
		if name := strings.ToLower(s.NameFor(host)); isName(name) { // fit to stand in a header
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}

// socketOrigin is the origin of the public address.
func (s *Server) socketOrigin(r *http.Request) string {
	if s.NameFor != nil {
		return "wss://" + s.socketHost(r)
	}
	return "ws://" + s.socketHost(r)
}
