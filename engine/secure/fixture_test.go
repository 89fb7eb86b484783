package secure

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait.
const patience = time.Minute

var discard = slog.New(slog.DiscardHandler)

// issuer signs the certificates of a test.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, pool: x509.NewCertPool()}
	if i.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	i.pool.AddCert(i.cert)
	return i
}

// issue writes a pair for these names, the first of which is the subject, too.
func (i *issuer) issue(t testing.TB, pair Pair, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, key.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, pair.Cert, "CERTIFICATE", der)
	writePEM(t, pair.Key, "PRIVATE KEY", secret)
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pairIn names a pair in a directory.
func pairIn(dir, name string) Pair {
	return Pair{Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key")}
}

// server is the server's end, with the one certificate of "one.test".
type server struct {
	*issuer
	certificates *Certificates
	handshakes   *Handshakes
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{issuer: newIssuer(t)}
	pair := pairIn(t.TempDir(), "one")
	s.issue(t, pair, "one.test")
	var err error
	if s.certificates, err = Open([]Pair{pair}, nil, discard); err != nil {
		t.Fatal(err)
	}
	s.handshakes = NewHandshakes(s.certificates.Config())
	t.Cleanup(s.handshakes.Close)
	return s
}

// client is the configuration of a client that trusts the server.
func (s *server) client(version uint16) *tls.Config {
	return &tls.Config{RootCAs: s.pool, ServerName: "one.test", MinVersion: version, MaxVersion: version, NextProtos: []string{"http/1.1"}}
}

// looper does for one connection what an event loop does.
type looper struct {
	server  *server
	nc      net.Conn
	unread  []byte // before the handshake
	hs      *Handshake
	conn    *Conn
	inC     <-chan []byte
	newsC   chan struct{}
	receive func(l *looper, plain []byte) error
}

// connect returns the client's end of a connection whose server's end is served
// by an event loop of its own, which gets at most cut bytes at a time. receive
// gets what is decrypted; nil sends it back. The result of the loop comes on
// endC.
func (s *server) connect(t testing.TB, cut int, receive func(l *looper, plain []byte) error) (client net.Conn, endC <-chan error) {
	t.Helper()
	client, nc := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	_ = client.SetDeadline(time.Now().Add(patience))
	if receive == nil {
		receive = (*looper).send
	}
	l := &looper{server: s, nc: nc, newsC: make(chan struct{}, 1), receive: receive}
	c := make(chan error, 1)
	go func() {
		c <- l.run(cut)
		_ = nc.Close()
	}()
	return client, c
}

// run serves until the connection ends.
func (l *looper) run(cut int) error {
	inC, stopC := make(chan []byte), make(chan struct{})
	l.inC = inC
	var reader sync.WaitGroup
	reader.Go(func() { read(l.nc, cut, inC, stopC) })
	defer reader.Wait()
	defer l.nc.Close()
	defer close(stopC)
	for {
		var err error
		select {
		case b, ok := <-inC:
			if !ok {
				if l.hs != nil {
					l.hs.Abandon()
				}
				return io.ErrUnexpectedEOF
			}
			err = l.traffic(b)
		case <-l.newsC:
			err = l.news()
		}
		if err != nil {
			return err
		}
	}
}

// read passes on what comes, in pieces.
func read(nc net.Conn, cut int, inC chan<- []byte, stopC <-chan struct{}) {
	defer close(inC)
	buf := make([]byte, 64<<10)
	for {
		n, err := nc.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			piece := rest[:min(cut, len(rest))]
			rest = rest[len(piece):]
			select {
			case inC <- bytes.Clone(piece):
			case <-stopC:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *looper) traffic(b []byte) error {
	switch {
	case l.conn != nil:
		return l.open(b)
	case l.hs != nil:
		return l.hs.Feed(b)
	}
	l.unread = append(l.unread, b...)
	if whole, err := Hello(l.unread); err != nil || !whole {
		return err
	}
	l.hs = l.server.handshakes.Begin(l.unread, func() { l.newsC <- struct{}{} })
	return nil
}

func (l *looper) news() error {
	out, ended, err := l.hs.Take(nil)
	if len(out) > 0 {
		_, _ = l.nc.Write(out) // a failure shows in what is read
	}
	if !ended || err != nil {
		return err
	}
	var unread []byte
	l.conn, unread = l.hs.Finish()
	l.hs = nil
	return l.open(unread)
}

func (l *looper) open(b []byte) error {
	plain, reply, err := l.conn.Open(nil, b)
	if len(reply) > 0 {
		_, _ = l.nc.Write(reply)
	}
	if len(plain) > 0 {
		err = errors.Join(l.receive(l, plain), err)
	}
	if errors.Is(err, io.EOF) {
		_, _ = l.nc.Write(l.conn.Shut(nil))
	}
	return err
}

// send sends plain.
func (l *looper) send(plain []byte) error {
	sealed, err := l.conn.Seal(nil, plain)
	if err == nil {
		_, err = l.nc.Write(sealed)
	}
	return err
}

// await waits for the loop's end.
func await(t testing.TB, endC <-chan error) error {
	t.Helper()
	select {
	case err := <-endC:
		return err
	case <-time.After(patience):
		t.Fatal("the connection does not end")
		return nil
	}
}

// exchange sends a message and expects it back.
func exchange(t testing.TB, c net.Conn, message []byte) {
	t.Helper()
	var writer sync.WaitGroup
	writer.Go(func() { _, _ = c.Write(message) }) // a failure shows in what comes back
	defer writer.Wait()
	got := make([]byte, len(message))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, message) {
		_ = c.Close()
		t.Fatalf("got %d bytes, %v; want the %d sent", n, err, len(message))
	}
}
