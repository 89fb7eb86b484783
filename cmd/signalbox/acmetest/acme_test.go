package acmetest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

const (
	domain = "chat.example.org"
	// patience bounds the whole test once the server is built; the authority answers
	// within seconds.
	patience = 2 * time.Minute
)

// signalbox is a running server.
type signalbox struct {
	t      *testing.T
	cmd    *exec.Cmd
	entryC chan entry
	addr   string
}

// entry is a line of its log.
type entry struct{ Msg, Addr, Domain, Error string }

// start runs the binary in dir and waits until it listens.
func start(ctx context.Context, t *testing.T, bin, dir, directory string) *signalbox {
	t.Helper()
	s := &signalbox{t: t, entryC: make(chan entry, 100)}
	s.cmd = exec.CommandContext(ctx, bin, "serve", "--listen", "127.0.0.1:0", "--log-format", "json",
		"--acme-domain", domain, "--acme-directory", directory, "--acme-email", "operator@example.org")
	s.cmd.Dir = dir
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.entryC)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var e entry
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				s.entryC <- e
			}
		}
	}()
	s.addr = s.logged("listening").Addr
	return s
}

// logged waits for a line of the log.
func (s *signalbox) logged(msg string) entry {
	s.t.Helper()
	for e := range s.entryC {
		if e.Error != "" {
			s.t.Fatalf("the server logs: %s: %s", e.Msg, e.Error)
		}
		if e.Msg == msg {
			return e
		}
	}
	s.t.Fatalf("the server has ended and not logged %q", msg)
	return entry{}
}

func (s *signalbox) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	for range s.entryC {
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the server ended with %v", err)
	}
}

// trust has servers that are started from now on trust httptest's certificate.
func trust(t *testing.T, file string) {
	t.Helper()
	pattern := httptest.NewTLSServer(nil)
	defer pattern.Close()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pattern.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file)
}

// names serves DNS over TCP: every name is this machine.
func names(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}
			m.Answer = append(m.Answer, &dns.A{Hdr: head, A: net.IPv4(127, 0, 0, 1)})
		}
		_ = w.WriteMsg(m)
	})}
	startedC := make(chan struct{})
	server.NotifyStartedFunc = func() { close(startedC) }
	go func() { _ = server.ActivateAndServe() }()
	<-startedC
	t.Cleanup(func() { _ = server.Shutdown() })
	return ln.Addr().String()
}

// TestACME starts a server without a certificate and one authority; then, without
// the authority, one that finds the certificate where the first has left it.
func TestACME(t *testing.T) {
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	dir := t.TempDir()
	bin := filepath.Join(dir, "signalbox")
	for _, args := range [][]string{{"go", "build", "-buildvcs=false", "-o", bin, "."}, {bin, "init", "--apps", filepath.Join(dir, "apps.yaml")}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args, err, out)
		}
	}

	logger, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	issuer := ca.New(logger, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	resolver := names(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	authority := httptest.NewUnstartedServer(nil) // it has its address, and answers once started
	trust(t, filepath.Join(dir, "authority.pem"))
	directory := "https://" + authority.Listener.Addr().String() + wfe.DirectoryPath
	// From here on the server waits for the authority, and not for long.
	server := start(ctx, t, bin, dir, directory)
	if _, err := dial(server.addr, nil, domain); err == nil {
		t.Error("there is a certificate before the authority has given one")
	}
	_, port, _ := net.SplitHostPort(server.addr)
	tlsPort, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	validation := va.New(logger, 1, tlsPort, true, resolver, store) // no port for http-01
	front := wfe.New(logger, store, validation, issuer, []string{"pebble.letsencrypt.org"}, true, false, 1, 1)
	authority.Config.Handler = front.Handler()
	authority.StartTLS()
	if e := server.logged("TLS certificate obtained"); e.Domain != domain {
		t.Errorf("got a certificate for %q", e.Domain)
	}

	roots := x509.NewCertPool()
	roots.AddCert(issuer.GetRootCert(0).Cert)
	first, err := dial(server.addr, roots, domain)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(server.addr, nil, ""); err != nil {
		t.Errorf("without a name: %v", err)
	}
	if _, err := dial(server.addr, nil, domain, "acme-tls/1"); err == nil {
		t.Error("a challenge is answered that the authority has not set")
	}
	server.stop()
	authority.Close()

	server = start(ctx, t, bin, dir, directory)
	server.logged("TLS certificate obtained")
	second, err := dial(server.addr, roots, domain)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Equal(second) {
		t.Error("a new certificate was obtained, the old one is still good")
	}
	server.stop()
	if info, err := os.Stat(filepath.Join(dir, "data", "acme")); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("got mode %v, %v of the directory with the keys", info.Mode(), err)
	}
}

// dial shakes hands and returns the server's certificate. Without roots it may be
// anybody's.
func dial(addr string, roots *x509.CertPool, name string, protocols ...string) (*x509.Certificate, error) {
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, InsecureSkipVerify: roots == nil, ServerName: name, NextProtos: protocols})
	if err != nil {
		return nil, err
	}
	certificates := c.ConnectionState().PeerCertificates
	if err := c.Close(); err != nil {
		return nil, err
	}
	if len(certificates) == 0 {
		return nil, errors.New("no certificate")
	}
	return certificates[0], nil
}
