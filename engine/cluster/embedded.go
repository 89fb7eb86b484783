package cluster

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	clusterName   = "signalbox"
	startPatience = 5 * time.Second
)

// startServer runs a server of NATS in this process: for this node alone, and
// with routes to those of others.
func (b *NATS) startServer(c *Config) error {
	options, err := c.serverOptions(b.id)
	if err != nil {
		return err
	}
	options.MaxPayload = int32(max(b.maxPayload, 1<<20))
	s, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("cluster: embedded NATS: %w", err)
	}
	s.SetLogger(serverLog{b.log}, false, false)
	s.Start()
	if !s.ReadyForConnections(startPatience) {
		s.Shutdown()
		return fmt.Errorf("cluster: embedded NATS cannot listen on %s", c.Embedded.Listen)
	}
	b.server, b.wantsRoutes, b.token = s, len(c.Embedded.Routes) > 0, options.Authorization
	return nil
}

// serverOptions are those of the server in this process. c has been checked.
func (c *Config) serverOptions(id NodeID) (*server.Options, error) {
	host, port, err := net.SplitHostPort(c.Embedded.Listen)
	if err != nil {
		return nil, fmt.Errorf("cluster: address for routes: %w", err)
	}
	o := &server.Options{
		ServerName: c.Name + "-" + id.String(),
		// Without a listener for clients the server would never begin with routes, so
		// there is one, on a loopback port, for those who know a token: this node.
		Host: "127.0.0.1", Port: server.RANDOM_PORT, Authorization: rand.Text(),
		NoSigs: true, NoSystemAccount: true,
		PingInterval: pingInterval, MaxPingsOut: 2,
		Cluster: server.ClusterOpts{
			Name: clusterName, Host: host, PingInterval: pingInterval, MaxPingsOut: 2,
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
// has signed. Without a certificate they are not.
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
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}

// stopServer ends the server in this process, if there is one.
func (b *NATS) stopServer() {
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
}

// routed reports whether the way to other nodes is there, as far as it was asked
// for.
func (b *NATS) routed() bool {
	return b.server == nil || !b.wantsRoutes || b.server.NumRoutes() > 0
}

// RouteAddr is where the embedded server takes routes; nil if there is none.
func (b *NATS) RouteAddr() *net.TCPAddr {
	if b.server == nil {
		return nil
	}
	return b.server.ClusterAddr()
}

// inProcess connects this node to the server in its process.
type inProcess struct {
	server *server.Server
	socket *socket
}

func (p inProcess) InProcessConn() (net.Conn, error) {
	conn, err := p.server.InProcessConn()
	if err != nil {
		return nil, err
	}
	return p.socket.wrap(conn), nil
}

// serverLog is the embedded server's log. It has its own idea of what matters.
type serverLog struct{ log *slog.Logger }

func (l serverLog) say(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "embedded NATS", "says", strings.TrimSpace(fmt.Sprintf(format, v...)))
	}
}

func (l serverLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l serverLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l serverLog) Fatalf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l serverLog) Errorf(format string, v ...any)  { l.say(slog.LevelWarn, format, v) }
func (l serverLog) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l serverLog) Tracef(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
