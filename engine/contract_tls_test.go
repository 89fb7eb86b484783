package engine_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signalbox/engine"
	"signalbox/engine/secure"
)

// writePair writes a certificate that signs itself.
func writePair(t testing.TB, pair secure.Pair, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"signalbox.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, pair.Key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	writeFile(t, pair.Cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// startTLS starts a server whose certificate is called name.
func startTLS(t testing.TB, name string, apps ...*appSpec) (*server, secure.Pair) {
	t.Helper()
	dir := t.TempDir()
	pair := secure.Pair{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	writePair(t, pair, name)
	s := startServer(t, 2, func(cfg *engine.Config) {
		cfg.TLS.Pairs = []secure.Pair{pair}
		cfg.Limits.HandshakeTimeout = 2 * patience // a connection may be silent while the file is looked at
	}, apps...)
	return s, pair
}

// dialTLS connects, whoever the server says it is.
func (s *server) dialTLS(t testing.TB) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true, ServerName: "signalbox.test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// TestContractTLS makes REST calls on one connection, and then upgrades it.
func TestContractTLS(t *testing.T) {
	app := newApp("app_tls")
	s, _ := startTLS(t, "one", app)
	c := s.dialTLS(t)
	in := bufio.NewReader(c)
	for range 3 {
		body := `{"peerId":"alice"}`
		fmt.Fprintf(c, "POST /v1/tokens HTTP/1.1\r\nHost: signalbox.test\r\nAuthorization: Bearer %s:%s\r\nContent-Length: %d\r\n\r\n%s",
			app.sk.ID, app.sk.Secret, len(body), body)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(text), `"token"`) || err != nil {
			t.Fatalf("got status %d, %q, %v", resp.StatusCode, text, err)
		}
	}
	fmt.Fprintf(c, "GET /v1?key=%s HTTP/1.1\r\nHost: signalbox.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", app.pk.ID, upgradeKey)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", resp, err)
	}
	head := make([]byte, 24)
	if _, err := io.ReadFull(in, head); err != nil || !strings.Contains(string(head), `{"type":"welcome"`) {
		t.Errorf("got %q, %v; want a welcome", head, err)
	}
}

// TestContractTLSPlainClient tells a client that speaks no TLS what is wrong.
func TestContractTLSPlainClient(t *testing.T) {
	s, _ := startTLS(t, "one", newApp("app_tls"))
	got := s.call(t, "http://"+s.addr+"/v1/usage", "GET", "", "")
	if got.status != http.StatusBadRequest {
		t.Errorf("got status %d, want 400", got.status)
	}
}

// TestContractTLSReload replaces the certificate: new connections get the new
// one, those that are open stay, and a broken pair changes nothing.
func TestContractTLSReload(t *testing.T) {
	s, pair := startTLS(t, "one", newApp("app_tls"))
	presented := func() string {
		c := s.dialTLS(t)
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := presented(); got != "one" {
		t.Fatalf("got certificate %q, want one", got)
	}
	open := s.dialTLS(t)
	writePair(t, pair, "two")
	eventually(t, "the new certificate", func() bool { return presented() == "two" })
	writeFile(t, pair.Cert, "no certificate")
	_ = s.Reload()
	if got := presented(); got != "two" {
		t.Errorf("after a broken file: got certificate %q, want two", got)
	}
	fmt.Fprintf(open, "GET /nothing HTTP/1.1\r\nHost: signalbox.test\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(open), nil); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("on the open connection: got %v, %v", resp, err)
	}
}
