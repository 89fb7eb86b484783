package secure

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACME says how certificates are obtained (RFC 8555), with the challenge that is
// answered on the TLS port itself (tls-alpn-01, RFC 8737).
type ACME struct {
	Domains   []string
	Directory string       // URL of the authority's directory; empty: Let's Encrypt
	Email     string       // where the authority may write to; may be empty
	CacheDir  string       // where account and certificates are kept
	Client    *http.Client // nil: http.DefaultClient
}

const (
	firstRetry = time.Minute // autocert remembers a failure as long
	lastRetry  = time.Hour
	// renewalLook is how often a certificate is looked at that may have been
	// renewed meanwhile.
	renewalLook = time.Minute
)

// authority obtains certificates and keeps them fresh. Handshakes are given what
// there is: none of them waits for the network.
type authority struct {
	// Immutable.
	manager autocert.Manager
	domains []*domain
	logger  *slog.Logger
}

// domain is a name to have a certificate for.
type domain struct {
	name string
	cert atomic.Pointer[tls.Certificate] // nil: not yet
}

func newAuthority(o ACME, logger *slog.Logger) (*authority, error) {
	if o.CacheDir == "" {
		return nil, errors.New("ACME needs a directory to keep its account and certificates in")
	}
	a := &authority{logger: logger}
	var names []string
	for _, name := range o.Domains {
		name = strings.ToLower(name)
		if err := validDomain(name); err != nil {
			return nil, err
		}
		a.domains = append(a.domains, &domain{name: name})
		names = append(names, name)
	}
	a.manager = autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      autocert.DirCache(o.CacheDir),
		HostPolicy: autocert.HostWhitelist(names...),
		Email:      o.Email,
		Client:     &acme.Client{DirectoryURL: o.Directory, HTTPClient: o.Client, UserAgent: "signalbox"},
	}
	return a, nil
}

// validDomain refuses what no authority gives a certificate for by way of the TLS
// port.
func validDomain(name string) error {
	_, err := netip.ParseAddr(name)
	labels := strings.Split(name, ".")
	if err == nil || len(labels) < 2 || slices.Contains(labels, "") || strings.ContainsAny(name, "*/: ") {
		return fmt.Errorf("ACME: %q is no domain name such as chat.example.org", name)
	}
	// Clients ask for it in this form (RFC 6066 §3).
	if strings.ContainsFunc(name, func(r rune) bool { return r < '!' || r > '~' }) {
		return fmt.Errorf("ACME: %q must be given as DNS has it, in ASCII, as xn--…", name)
	}
	return nil
}

var errNoCertificate = errors.New("secure: no certificate yet")

// choose returns the certificate for a client that asks for one of the domains,
// or an authority's challenge. Both results are nil for others.
func (a *authority) choose(hello *tls.ClientHelloInfo, name string) (*tls.Certificate, error) {
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto {
		return a.manager.GetCertificate(hello) // looks at challenges under way alone
	}
	for _, d := range a.domains {
		if d.name == name {
			return d.certificate()
		}
	}
	return nil, nil
}

// first returns the first domain's certificate.
func (a *authority) first() (*tls.Certificate, error) { return a.domains[0].certificate() }

func (d *domain) certificate() (*tls.Certificate, error) {
	if cert := d.cert.Load(); cert != nil {
		return cert, nil
	}
	return nil, errNoCertificate
}

// Run obtains and renews certificates until ctx is done. The address is listened
// on: the authority connects to it. It does nothing without ACME.
func (c *Certificates) Run(ctx context.Context) {
	if c.acme == nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, d := range c.acme.domains {
		wg.Go(func() { c.acme.keep(ctx, d) })
	}
}

// keep keeps a domain's certificate fresh. autocert renews by itself; what it has
// is fetched from there.
func (a *authority) keep(ctx context.Context, d *domain) {
	retry := firstRetry
	for {
		cert, err := a.obtain(ctx, d.name)
		wait := renewalLook
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.logger.Error("no TLS certificate from the ACME authority", "domain", d.name, "error", err, "retry", retry.String())
			wait, retry = retry, min(2*retry, lastRetry)
		default:
			retry = firstRetry
			if old := d.cert.Swap(cert); old == nil || !old.Leaf.Equal(cert.Leaf) {
				a.logger.Info("TLS certificate obtained", "domain", d.name, "until", cert.Leaf.NotAfter)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// obtain asks autocert, which knows no context: when ctx is done first, it is
// left alone until it gives up, minutes later.
func (a *authority) obtain(ctx context.Context, name string) (*tls.Certificate, error) {
	type result struct {
		cert *tls.Certificate
		err  error
	}
	resultC := make(chan result, 1)
	go func() {
		cert, err := a.manager.GetCertificate(&tls.ClientHelloInfo{
			ServerName:   name,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, // an ECDSA key, please
		})
		resultC <- result{cert, err}
	}()
	select {
	case r := <-resultC:
		return r.cert, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
