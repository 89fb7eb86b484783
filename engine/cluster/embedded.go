package cluster

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	clusterName   = "signalbox"
	startPatience = 5 * time.Second
	routePoll     = 20 * time.Millisecond
)

// startServer runs a server of NATS in this process: for this node alone, and
// with routes to those of others.
func (b *NATS) startServer(c *Config) error {
	b.token, b.wantsRoutes, b.embedded = rand.Text(), len(c.Embedded.Routes) > 0, *c
	if c.Embedded.Held {
		c.Embedded = c.guest()
	}
	s, err := b.runServer(c, c.Name+"-"+b.id.String())
	if err != nil {
		return err
	}
	b.server.Store(s)
	return nil
}

func (b *NATS) runServer(c *Config, name string) (*server.Server, error) {
	// The server would say only in its log that it cannot listen, and then wait.
	ln, err := net.Listen("tcp", c.Embedded.Listen)
	if err != nil {
		return nil, fmt.Errorf("cluster: embedded NATS: %w", err)
	}
	_ = ln.Close()
	options, err := c.serverOptions()
	if err != nil {
		return nil, err
	}
	options.ServerName, options.Authorization, options.MaxPayload = name, b.token, int32(max(b.maxPayload, 1<<20))
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("cluster: embedded NATS: %w", err)
	}
	s.SetLogger(serverLog{b.log}, false, false)
	s.Start()
	if !s.ReadyForConnections(startPatience) {
		s.Shutdown()
		return nil, fmt.Errorf("cluster: embedded NATS cannot listen on %s", c.Embedded.Listen)
	}
	return s, nil
}

// guest is how a server has routes to others' while another process of this host
// has the address: to that process as well.
func (c *Config) guest() Embedded {
	e := c.Embedded
	if host, port, err := net.SplitHostPort(e.Listen); err == nil && port != "0" {
		if host == "" || net.ParseIP(host).IsUnspecified() {
			host = "localhost"
		}
		e.Routes = append(slices.Clip(e.Routes), net.JoinHostPort(host, port))
	}
	host, _, _ := net.SplitHostPort(e.Listen)
	e.Listen = net.JoinHostPort(host, "0")
	return e
}

// TakeRoutes has other nodes make routes to Embedded.Listen, which another process
// has held until now. A server that listens there takes the place of the one that
// did not; the link breaks off for a moment.
func (b *NATS) TakeRoutes() error {
	old := b.server.Load()
	if old == nil || !b.embedded.Embedded.Held {
		return nil
	}
	c := b.embedded
	c.Embedded.Routes = append(slices.Clip(c.Embedded.Routes), old.ClusterAddr().String())
	s, err := b.runServer(&c, old.Name()+"-2")
	if err != nil {
		return err
	}
	tick := time.NewTicker(routePoll)
	defer tick.Stop()
	for wait := startPatience; s.NumRemotes() < old.NumRemotes() && wait > 0; wait -= routePoll {
		<-tick.C
	}
	b.server.Store(s)
	err = b.conn.ForceReconnect()
	if err != nil { // it is closed
		s.Shutdown()
	}
	old.Shutdown()
	old.WaitForShutdown()
	return err
}

// serverOptions are those of the server in this process. c has been checked.
func (c *Config) serverOptions() (*server.Options, error) {
	host, port, err := net.SplitHostPort(c.Embedded.Listen)
	if err != nil {
		return nil, fmt.Errorf("cluster: address for routes: %w", err)
	}
	o := &server.Options{
		// Without a listener for clients the server would never begin with routes, so
		// there is one, on a loopback port, for those who know a token: this node.
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		NoSigs: true, NoSystemAccount: true,
		PingInterval: pingInterval, MaxPingsOut: 2,
		Cluster: server.ClusterOpts{
			Name: clusterName, Host: host, NoAdvertise: true, PingInterval: pingInterval, MaxPingsOut: 2,
		},
	}
	if o.Cluster.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("cluster: address for routes: %w", err)
	}
	if o.Cluster.Port == 0 {
		o.Cluster.Port = server.RANDOM_PORT
	}
	if o.Cluster.TLSConfig, err = c.routeTLS(); err != nil {
		return nil, err
	}
	o.Cluster.TLSTimeout = dialTimeout.Seconds()
	secret := c.Embedded.Secret
	if secret != "" {
		o.Cluster.Username, o.Cluster.Password = clusterName, secret
	}
	for _, route := range c.Embedded.Routes {
		u := &url.URL{Scheme: "nats", Host: route}
		if secret != "" {
			u.User = url.UserPassword(clusterName, secret)
		}
		o.Routes = append(o.Routes, u)
	}
	return o, nil
}

// routeTLS is how routes are encrypted: both sides show a certificate that the CA
// has signed. For which name does not matter: nodes tell each other of further ones by
// address, and whoever makes a route is asked no more than that. Without a certificate
// they are not encrypted.
func (c *Config) routeTLS() (*tls.Config, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	own, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("cluster: certificate for routes: %w", err)
	}
	text, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("cluster: CA of routes: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("cluster: CA of routes: no certificate in %s", c.CAFile)
	}
	accepts := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own},
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	dials := accepts.Clone()
	dials.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return accepts, nil }
	dials.InsecureSkipVerify = true // of the name, that is
	dials.VerifyConnection = func(s tls.ConnectionState) error { return signedBy(pool, s.PeerCertificates) }
	return dials, nil
}

// signedBy verifies a server's chain of certificates, but for its name.
func signedBy(pool *x509.CertPool, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errors.New("cluster: no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: pool, Intermediates: intermediates})
	return err
}

// stopServer ends the server in this process, if there is one.
func (b *NATS) stopServer() {
	if s := b.server.Load(); s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// routed reports whether the way to other nodes is there, as far as it was asked
// for.
func (b *NATS) routed() bool {
	s := b.server.Load()
	return s == nil || !b.wantsRoutes || s.NumRoutes() > 0
}

// RouteAddr is where the embedded server takes routes; nil if there is none.
func (b *NATS) RouteAddr() *net.TCPAddr {
	s := b.server.Load()
	if s == nil {
		return nil
	}
	return s.ClusterAddr()
}

// inProcess connects this node to the server in its process.
type inProcess struct{ bus *NATS }

func (p inProcess) InProcessConn() (net.Conn, error) {
	conn, err := p.bus.server.Load().InProcessConn()
	if err != nil {
		return nil, err
	}
	return p.bus.socket.wrap(conn), nil
}

// unverified is in the server's warning that certificates of routes are not verified. It
// does not know of signedBy.
const unverified = "hostname of solicited routes will not be verified"

// serverLog is the embedded server's log. It has its own idea of what matters.
type serverLog struct{ log *slog.Logger }

func (l serverLog) say(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "embedded NATS", "says", strings.TrimSpace(fmt.Sprintf(format, v...)))
	}
}

func (l serverLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l serverLog) Warnf(format string, v ...any) {
	if !strings.Contains(format, unverified) {
		l.say(slog.LevelWarn, format, v)
	}
}
func (l serverLog) Fatalf(format string, v ...any) { l.say(slog.LevelError, format, v) }
func (l serverLog) Errorf(format string, v ...any) { l.say(slog.LevelWarn, format, v) }
func (l serverLog) Debugf(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l serverLog) Tracef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
