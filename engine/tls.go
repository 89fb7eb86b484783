package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"path/filepath"
	"sync"

	"signalbox/engine/secure"
)

// TLS says how the public address speaks it: with certificates from files, from
// an ACME authority, or both. Without any it is plain.
type TLS struct {
	Pairs []secure.Pair // the first is for clients that ask for none of the names

	ACMEDomains   []string // names to obtain certificates for
	ACMEDirectory string   // URL of the authority's directory; empty: Let's Encrypt
	ACMEEmail     string   // may be empty
}

func (t *TLS) enabled() bool { return len(t.Pairs) > 0 || len(t.ACMEDomains) > 0 }

// acmeDir is where the account and the certificates are kept below the data
// directory.
const acmeDir = "acme"

// openTLS reads the certificates and returns the public address's configuration,
// nil if it is plain.
func (s *Server) openTLS() (*tls.Config, error) {
	t := s.cfg.TLS
	if !t.enabled() {
		return nil, nil
	}
	var acme *secure.ACME
	if len(t.ACMEDomains) > 0 {
		if s.cfg.DataDir == "" {
			return nil, errors.New("ACME needs a data directory to keep certificates in")
		}
		acme = &secure.ACME{
			Domains: t.ACMEDomains, Directory: t.ACMEDirectory, Email: t.ACMEEmail,
			CacheDir: filepath.Join(s.cfg.DataDir, acmeDir),
		}
	}
	var files []string
	for _, p := range t.Pairs {
		files = append(files, p.Cert, p.Key)
	}
	s.tlsWatch = watch(files...) // first, so that no change falls between
	var err error
	if s.certificates, err = secure.Open(t.Pairs, acme, s.log); err != nil {
		return nil, err
	}
	return s.certificates.Config(), nil
}

// keepCertificates reads certificates again when they change, and once the
// authority can connect obtains and renews others, until ctx is done.
func (s *Server) keepCertificates(ctx context.Context, wg *sync.WaitGroup) {
	if s.certificates == nil {
		return
	}
	wg.Go(func() { s.tlsWatch.run(ctx, s.reloadCertificates) })
	wg.Go(func() {
		select {
		case <-s.readyC:
			s.certificates.Run(ctx)
		case <-ctx.Done():
		}
	})
}

// reloadCertificates reads the certificates from files again, if there are any.
// Bad ones stay as they are.
func (s *Server) reloadCertificates() {
	if len(s.cfg.TLS.Pairs) == 0 {
		return
	}
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	if err := s.certificates.Reload(); err != nil {
		s.log.Error("TLS certificates not read, the old ones stay in use", "error", err)
		return
	}
	s.log.Info("TLS certificates read", "pairs", len(s.cfg.TLS.Pairs))
}
