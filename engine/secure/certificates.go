package secure

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
)

// Pair names the PEM files of a certificate chain and of its key.
type Pair struct{ Cert, Key string }

// Certificates holds the certificates of a server.
type Certificates struct {
	// Immutable after Open.
	pairs  []Pair
	acme   *authority // nil: none
	logger *slog.Logger

	// Any goroutine (atomic).
	read atomic.Pointer[[]*tls.Certificate] // by pair
}

// Open reads the pairs and prepares ACME, if options is not nil. There must be at
// least one of both. Its error is one line.
func Open(pairs []Pair, options *ACME, logger *slog.Logger) (*Certificates, error) {
	c := &Certificates{pairs: pairs, logger: logger}
	none := make([]*tls.Certificate, len(pairs))
	c.read.Store(&none)
	if err := c.Reload(); err != nil {
		return nil, err
	}
	if options != nil {
		var err error
		if c.acme, err = newAuthority(*options, logger); err != nil {
			return nil, err
		}
	}
	if len(pairs) == 0 && c.acme == nil {
		return nil, errors.New("secure: no certificate")
	}
	return c, nil
}

// Reload reads the pairs again. A pair that cannot be used stays as it was; the
// error says why.
func (c *Certificates) Reload() error {
	old := *c.read.Load()
	read := make([]*tls.Certificate, len(c.pairs))
	var errs []error
	for i, p := range c.pairs {
		cert, err := c.load(p)
		if err != nil {
			errs = append(errs, err)
			cert = old[i]
		}
		read[i] = cert
	}
	c.read.Store(&read)
	return errors.Join(errs...)
}

// load reads one pair.
func (c *Certificates) load(p Pair) (*tls.Certificate, error) {
	if info, err := os.Stat(p.Key); err == nil && info.Mode().Perm()&0o007 != 0 {
		c.logger.Warn("everybody on this machine has access to a TLS key: chmod 600 it", "file", p.Key)
	}
	cert, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", p.Cert, p.Key, err)
	}
	if time.Now().After(cert.Leaf.NotAfter) {
		c.logger.Warn("a TLS certificate has expired", "file", p.Cert, "on", cert.Leaf.NotAfter)
	}
	return &cert, nil
}

// Config returns the configuration of the server's end.
func (c *Certificates) Config() *tls.Config {
	protocols := []string{"http/1.1"}
	if c.acme != nil {
		protocols = append(protocols, acme.ALPNProto)
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     protocols,
		GetCertificate: c.choose,
		// A turn's frames leave in one record where they fit.
		DynamicRecordSizingDisabled: true,
	}
}

// NameFor returns host if there is, or will be, a certificate for it, else the first
// name that one is for; host if none is for a single name.
func (c *Certificates) NameFor(host string) string {
	var names []string
	if c.acme != nil {
		for _, d := range c.acme.domains {
			names = append(names, d.name)
		}
	}
	for _, cert := range *c.read.Load() {
		if cert.Leaf.VerifyHostname(host) == nil {
			return host
		}
		names = append(names, cert.Leaf.DNSNames...)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "*") })
	if len(names) == 0 || slices.Contains(names, host) {
		return host
	}
	return names[0]
}

// choose returns the certificate for a client: by the name that it asks for, the
// first there is if that fits none. It waits for nothing.
func (c *Certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.acme != nil {
		name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
		if cert, err := c.acme.choose(hello, name); cert != nil || err != nil {
			return cert, err
		}
	}
	read := *c.read.Load()
	for _, cert := range read {
		if hello.SupportsCertificate(cert) == nil {
			return cert, nil
		}
	}
	if len(read) > 0 {
		return read[0], nil
	}
	return c.acme.first()
}
