package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// certified writes a certificate for 127.0.0.1 that signs itself, and its key.
func certified(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

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
	cert, key := certified(t)
	config := Config{
		URLs: EmbeddedNATS, Name: "east", Version: "v1", CAFile: cert, CertFile: cert, KeyFile: key, MaxMessageSize: 1 << 10,
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
		"as a node":       {func(*Config) {}, 1},
		"another secret":  {func(c *Config) { c.Embedded.Secret = secret + "x" }, 0},
		"no certificate":  {func(c *Config) { c.CAFile, c.CertFile, c.KeyFile = "", "", "" }, 0},
		"another address": {func(c *Config) { c.Embedded.Listen = "127.0.0.1:1" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c2 := config
			c.change(&c2)
			r, err := Probe(t.Context(), c2, 1500*time.Millisecond)
			if err != nil {
				t.Fatal(err)
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
