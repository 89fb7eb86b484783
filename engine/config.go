package engine

import (
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"signalbox/engine/auth"
	"signalbox/engine/cluster"
	"signalbox/engine/handover"
	"signalbox/engine/hooks"
	"signalbox/engine/reactor"
	"signalbox/engine/registry"
	"signalbox/engine/session"
)

// Limits bound what one client may cost.
type Limits = session.Limits

// IOURing says whether fan-outs are sent by io_uring.
type IOURing = reactor.IOURing

// Proxies are the peers that are believed about whose connection it is.
type Proxies = reactor.Proxies

// Refuse says how a credential is refused that cannot even be read.
type Refuse string

const (
	// RefuseHTTP answers 401, as the hosted service does.
	RefuseHTTP Refuse = "http"
	// RefuseClose completes the upgrade and closes with 4001, so that page code,
	// which sees no HTTP status, can tell.
	RefuseClose Refuse = "close"
)

// Config is what a Server is made of; begin with DefaultConfig.
type Config struct {
	Listen      string   // host:port of the public address, or unix: and a path
	APIListen   string   // host:port for REST alone; empty: none
	AdminListen string   // host:port for health checks, metrics and the console; empty: none
	AdminHosts  []string // host names that the admin address answers to, beside loopback
	AdminToken  string   // that the admin address asks for; required off loopback

	TLS TLS // of the public address

	// Cluster is the cluster to join; nil: none, the server stands alone. What it
	// says of limits, logs and builds is filled in.
	Cluster *cluster.Config

	AppsFile string    // apps and keys, read again when it changes
	Apps     *auth.Set // used when AppsFile is empty
	DataDir  string    // usage, and events for webhooks; empty: memory only

	Loops          int // event loops; 0: one a core
	DrainTimeout   time.Duration
	Limits         Limits
	IOURing        IOURing
	Refuse         Refuse
	TrustedProxies Proxies               // who is believed about clients' addresses
	Predecessor    *handover.Predecessor // the process whose place this one takes; nil: none
	HookSpool      int64                 // bytes of events that may wait for webhooks
	Logger         *slog.Logger          // nil: slog.Default

	Version, Commit string // of the build, to be shown and told to webhooks
}

// DefaultConfig returns the configuration of a server for production, without
// its addresses and files.
func DefaultConfig() Config {
	return Config{
		DrainTimeout: 10 * time.Second,
		Refuse:       RefuseHTTP,
		IOURing:      reactor.IOURingAuto,
		HookSpool:    256 << 20,
		Version:      "devel",
		Limits: Limits{
			MaxMessageSize:   64 << 10,
			MaxSubscriptions: 100,
			MessageRate:      100,
			MessageBurst:     200,
			PingInterval:     30 * time.Second,
			HandshakeTimeout: 10 * time.Second,
			MaxBacklog:       1 << 20,
			PresenceWindow:   250 * time.Millisecond,
			SnapshotDelay:    5 * time.Millisecond,
		},
	}
}

// normalise fills in what was left out and finds what makes no sense.
func (c *Config) normalise() error {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Refuse == "" {
		c.Refuse = RefuseHTTP
	}
	if c.AppsFile == "" && c.Apps == nil {
		return fmt.Errorf("engine: neither a file of apps nor apps")
	}
	if c.Limits.MaxMessageSize < 1 || c.Limits.PingInterval <= 0 || c.Limits.HandshakeTimeout <= 0 {
		return fmt.Errorf("engine: message size, ping interval and handshake timeout must be positive")
	}
	if t := c.AdminToken; t != "" && len(t) < MinAdminToken {
		return fmt.Errorf("engine: the admin token must be at least %d characters", MinAdminToken)
	}
	if c.Limits.PingInterval > maxPingInterval {
		return fmt.Errorf("engine: the ping interval must be at most %s", maxPingInterval)
	}
	if c.HookSpool < MinHookSpool {
		return fmt.Errorf("engine: the spool for webhooks must be at least %d bytes", MinHookSpool)
	}
	return loops(&c.Loops)
}

// acmeDescriptors is how many descriptors certificates from an authority take: those
// of a connection to it, of look-ups, and of files.
const acmeDescriptors = 16

// descriptors is how many descriptors there may be at a time that no client's
// connection brings: webhooks, the cluster, the certificates' authority.
func (c *Config) descriptors() int {
	n := hooks.MaxDescriptors // a reload may bring webhooks
	if c.Cluster != nil {
		n += c.Cluster.Descriptors()
	}
	if len(c.TLS.ACMEDomains) > 0 {
		n += acmeDescriptors
	}
	return n
}

// MinHookSpool is the smallest HookSpool, in bytes: a few of the largest batches.
const MinHookSpool = 4 << 20

// MinAdminToken is the shortest AdminToken, in bytes: it can be tried out from
// wherever the address is reached.
const MinAdminToken = 16

// maxPingInterval keeps times within what a session's clock can tell.
const maxPingInterval = 7 * 24 * time.Hour

// loops fills in the number of event loops and checks it.
func loops(n *int) error {
	if *n == 0 {
		*n = min(runtime.GOMAXPROCS(0), registry.MaxLoops)
	}
	if *n < 1 || *n > registry.MaxLoops {
		return fmt.Errorf("engine: event loops must be 1 to %d, not %d", registry.MaxLoops, *n)
	}
	return nil
}
