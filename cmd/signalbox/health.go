package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// healthCmd asks a running server's admin address. A container without a shell
// can have no other health check than the binary itself.
type healthCmd struct {
	AdminListen string        `placeholder:"ADDR" default:"127.0.0.1:8081" help:"The server's --admin-listen (default: ${default})."`
	Ready       bool          `help:"Ask whether it takes connections, which it does not while it drains."`
	Timeout     time.Duration `placeholder:"D" default:"2s" help:"How long to wait for the answer (default: ${default})."`
}

// Validate is called by kong once the flags are parsed.
func (c *healthCmd) Validate() error { return atLeast("timeout", c.Timeout, time.Millisecond) }

// Run is silent if the server is well.
func (c *healthCmd) Run() error {
	addr, err := reachable(c.AdminListen)
	if err != nil {
		return err
	}
	path := "/healthz"
	if c.Ready {
		path = "/readyz"
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Transport{}).RoundTrip(request) // no proxy, no redirects
	if err != nil {
		return fmt.Errorf("no answer from %s: %w", addr, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s%s says %s", addr, path, answer.Status)
	}
	return nil
}

// reachable returns where a server that listens on addr is reached from its own
// host.
func reachable(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if port == "" || port == "0" {
		return "", errors.New("--admin-listen names no port")
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if err == nil && ip.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port), nil
}
