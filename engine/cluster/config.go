package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"signalbox/engine/quota"
)

// EmbeddedNATS, as Config.URLs, has the process run a NATS server of its own.
const EmbeddedNATS = "embedded"

// Config is what a node joins a cluster with.
type Config struct {
	URLs string // of NATS servers of one cluster, comma-separated, or EmbeddedNATS
	Name string // of the node, for people: logs, metrics, the console

	CredentialsFile   string // a user's JWT and seed; empty: none
	CAFile            string // PEM, who may have signed the servers' certificates; empty: the system's
	CertFile, KeyFile string // PEM, this node's own certificate; empty: none

	Embedded Embedded // used with EmbeddedNATS

	MaxMessageSize int           // the cap on a message's data, in bytes
	Ledger         *quota.Ledger // usage that the nodes share; may be nil
	Connections    func() int    // counts the sockets here, for other nodes to show; may be nil
	Logger         *slog.Logger  // nil: slog.Default
	Version        string        // of the build

	times times // of tests
}

// Embedded is how the NATS servers in the nodes' processes find one another. With
// a certificate, its key and a CA, routes are TLS in which both sides show theirs.
type Embedded struct {
	Listen string   // host:port to which other nodes make routes
	Routes []string // host:port of other nodes, of which one that is there will do
	Held   bool     // another process of this host has Listen until TakeRoutes
	Secret string   // that all nodes share; may be empty where Listen is loopback
}

const (
	maxName = 64

	// MinSecret is the shortest Embedded.Secret, in bytes.
	MinSecret = 16
)

const (
	// linkDescriptors is how many descriptors the link to NATS takes: its own, and those
	// of look-ups and of the connection that is to replace it.
	linkDescriptors = 8
	// routeDescriptors is how many another node's routes take: the three of NATS' pool, as
	// many again while one server takes another's place, and those that both ends have
	// begun at the same time.
	routeDescriptors = 8
	// usualNodes is how many other nodes with a server of NATS in their process are reckoned
	// with: who they are shows in time, and may be in nobody's configuration.
	usualNodes = 32
)

// Descriptors is how many descriptors a node of this configuration has open for its
// cluster, in one of at most some thirty nodes or as many as Routes has.
func (c *Config) Descriptors() int {
	if c.URLs != EmbeddedNATS {
		return linkDescriptors
	}
	return linkDescriptors + routeDescriptors*max(len(c.Embedded.Routes), usualNodes)
}

// Check finds what makes no sense, without looking at files. Its errors hold no
// secret.
func (c *Config) Check() error {
	if err := checkName(c.Name); err != nil {
		return err
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("cluster: a certificate and its key go together")
	}
	if c.URLs == EmbeddedNATS {
		return c.checkEmbedded()
	}
	servers := strings.Split(c.URLs, ",")
	for i, text := range servers {
		if !validServer(text) { // which may hold a password, or a token
			return fmt.Errorf("cluster: NATS server %d of %d is no URL of a NATS server, as nats://host:4222 is", i+1, len(servers))
		}
	}
	return nil
}

// validServer reports whether text is the URL of a NATS server.
func validServer(text string) bool {
	u, err := url.Parse(text)
	return err == nil && slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) &&
		u.Hostname() != "" && strings.Trim(u.Path, "/") == ""
}

// checkName wants a name that is short and needs no quoting anywhere.
func checkName(name string) error {
	ok := name != "" && len(name) <= maxName
	for _, c := range []byte(name) {
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._-", c) >= 0)
	}
	if !ok {
		return fmt.Errorf("cluster: a node's name is 1 to %d letters, digits, dots, hyphens and underscores, not %.80q", maxName, name)
	}
	return nil
}

func (c *Config) checkEmbedded() error {
	if _, err := hostOf(c.Embedded.Listen); err != nil {
		return fmt.Errorf("cluster: cannot listen for routes on %q: %w", c.Embedded.Listen, err)
	}
	for _, r := range c.Embedded.Routes {
		if host, err := hostOf(r); err != nil || host == "" {
			return fmt.Errorf("cluster: %q is no route: host:port of another node", r)
		}
	}
	switch n := len(c.Embedded.Secret); {
	case n == 0 && !c.Embedded.OnLoopback():
		return fmt.Errorf("cluster: routes on %s can be reached from other machines: they need a shared secret", c.Embedded.Listen)
	case n > 0 && n < MinSecret:
		return fmt.Errorf("cluster: the shared secret of routes must have at least %d characters", MinSecret)
	case c.CertFile != "" && c.CAFile == "":
		return errors.New("cluster: routes with certificates need the CA that has signed them")
	case c.CAFile != "" && c.CertFile == "":
		return errors.New("cluster: routes by TLS need a certificate of this node and its key")
	}
	return nil
}

func hostOf(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", errors.New("want host:port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", errors.New("want a port from 0 to 65535")
	}
	return host, nil
}

// OnLoopback reports whether only this host can make routes to Listen.
func (e *Embedded) OnLoopback() bool {
	host, err := hostOf(e.Listen)
	ip, ipErr := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || ipErr == nil && ip.IsLoopback())
}
