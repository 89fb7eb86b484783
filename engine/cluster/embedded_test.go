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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	t       testing.TB
	file    string // PEM of its own certificate
	cert    *x509.Certificate
	private *ecdsa.PrivateKey
	issued  int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert = a.template("ca")
	a.cert.IsCA, a.cert.BasicConstraintsValid, a.cert.KeyUsage = true, true, x509.KeyUsageCertSign
	a.private = a.sign(a.cert, a.file)
	return a
}

func (a *authority) template(name string) *x509.Certificate {
	a.issued++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.issued), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

// issue writes a certificate for a name, good for both sides of a route, and its key.
func (a *authority) issue(name string) (cert, key string) {
	a.t.Helper()
	template := a.template(name)
	template.DNSNames, template.KeyUsage = []string{name}, x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	dir := a.t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	secret, err := x509.MarshalPKCS8PrivateKey(a.sign(template, cert))
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(key, "PRIVATE KEY", secret)
	return cert, key
}

// sign writes a certificate for a new key, which it returns. The first one signs itself.
func (a *authority) sign(template *x509.Certificate, path string) *ecdsa.PrivateKey {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.private
	if signer == nil {
		signer = private
	}
	public, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(path, "CERTIFICATE", public)
	return private
}

func (a *authority) write(path, kind string, text []byte) {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: text}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// TestRoutesByTLS has nodes make routes to such as they were told of by address, and a
// successor to its predecessor, all with certificates for names.
func TestRoutesByTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var log lines
	launch := func(name, certified, listen string, held bool, routes ...string) *node {
		c := config(EmbeddedNATS, name)
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.CAFile = ca.file
		c.CertFile, c.KeyFile = ca.issue(certified)
		c.Embedded = Embedded{Listen: listen, Routes: routes, Held: held, Secret: "open sesame, please"}
		return start(t, c)
	}
	seed := launch("seed", "localhost", "127.0.0.1:0", false)
	route := fmt.Sprintf("localhost:%d", seed.RouteAddr().Port)
	nodes := []*node{seed, launch("a", "a.example", "127.0.0.1:0", false, route), launch("b", "b.example", "127.0.0.1:0", false, route)}
	for _, n := range nodes {
		n.knows(2)
	}
	nodes = append(nodes, launch("seed", "localhost", seed.RouteAddr().String(), true))
	for _, n := range nodes {
		n.knows(3)
	}
	if strings.Contains(log.String(), "PRODUCTION") {
		t.Errorf("the log says that certificates are not verified:\n%s", log.String())
	}
}
