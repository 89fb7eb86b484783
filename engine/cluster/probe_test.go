package cluster

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// TestProbeTellsNoToken: a URL's user may be all of its secret.
func TestProbeTellsNoToken(t *testing.T) {
	t.Parallel()
	const token = "hunter2"
	s := natsServerOf(t, server.Options{Port: -1, Authorization: token})
	c := config(strings.Replace(s.ClientURL(), "nats://", "nats://"+token+"@", 1), "doctor")
	r, err := Probe(t.Context(), c, 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%+v", r); r.Addr != s.Addr().String() || strings.Contains(got, token) {
		t.Errorf("got %s", got)
	}
}

// TestProbeEmbedded: a node alone refuses nothing, and who has the secret and a
// certificate finds it by its route, nobody else.
func TestProbeEmbedded(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef"
	ca := newAuthority(t)
	cert, key := ca.issue("node.example")
	config := Config{
		URLs: EmbeddedNATS, Name: "east", Version: "v1", CAFile: ca.file, CertFile: cert, KeyFile: key, MaxMessageSize: 1 << 10,
		Logger:   slog.New(slog.DiscardHandler),
		Embedded: Embedded{Listen: "127.0.0.1:0", Secret: secret},
	}
	b, err := Join(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	for reason, n := range b.Stats().Refused {
		if n > 0 {
			t.Errorf("refused %d: %s", n, reason)
		}
	}
	config.Name, config.Embedded.Listen = "doctor", b.RouteAddr().String()
	for name, c := range map[string]struct {
		change func(*Config)
		nodes  int
	}{
		"as a node":      {func(*Config) {}, 1},
		"another secret": {func(c *Config) { c.Embedded.Secret = secret + "x" }, 0},
		"no certificate": {func(c *Config) { c.CAFile, c.CertFile, c.KeyFile = "", "", "" }, 0},
		"another CA's": {func(c *Config) {
			other := newAuthority(t)
			c.CAFile = other.file
			c.CertFile, c.KeyFile = other.issue("node.example")
		}, 0},
		"another address": {func(c *Config) { c.Embedded.Listen = "127.0.0.1:1" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c2 := config
			c.change(&c2)
			var r *Report
			for listen := 1500 * time.Millisecond; listen < patience; listen *= 2 { // however slow routes come up
				var err error
				if r, err = Probe(t.Context(), c2, listen); err != nil {
					t.Fatal(err)
				}
				if len(r.Nodes) >= c.nodes && r.Routes >= c.nodes {
					break
				}
			}
			if len(r.Nodes) != c.nodes || r.Routes != c.nodes || len(r.Denied) > 0 || r.Addr != "" {
				t.Errorf("got %+v, want %d nodes", r, c.nodes)
			}
			if c.nodes > 0 && (r.Nodes[0] != ProbedNode{b.ID().String(), "east", format, "v1"}) {
				t.Errorf("got %+v", r.Nodes[0])
			}
		})
	}
}
