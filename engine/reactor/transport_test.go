package reactor

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// tlsWorld is a running Reactor that speaks TLS.
type tlsWorld struct {
	*world
	client  *tls.Config
	handedC <-chan handed
}

func runTLS(t *testing.T, cfg Config) *tlsWorld {
	t.Helper()
	pattern := httptest.NewTLSServer(nil) // for its certificate
	defer pattern.Close()
	cfg.TLS = &tls.Config{Certificates: pattern.TLS.Certificates, NextProtos: []string{"http/1.1"}, DynamicRecordSizingDisabled: true}
	pool := x509.NewCertPool()
	pool.AddCert(pattern.Certificate())
	w := &tlsWorld{client: &tls.Config{RootCAs: pool, ServerName: "example.com"}}
	w.world, w.handedC = runWithSidecar(t, cfg)
	return w
}

// tlsClient is one TLS connection.
type tlsClient struct {
	*tls.Conn
	t  *testing.T
	in *bufio.Reader
}

// shake dials and shakes hands. The client's writes go out in pieces of at most
// cut bytes, 0: as they are.
func (w *tlsWorld) shake(t *testing.T, version uint16, cut int) *tlsClient {
	t.Helper()
	cfg := w.client.Clone()
	cfg.MinVersion, cfg.MaxVersion = version, version
	c := tls.Client(&cutConn{dialTo(t, w.Addr().String()).TCPConn, cut}, cfg)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &tlsClient{c, t, bufio.NewReader(c)}
}

// cutConn writes in pieces.
type cutConn struct {
	*net.TCPConn
	cut int
}

func (c *cutConn) Write(p []byte) (n int, err error) {
	for c.cut > 0 && len(p)-n > c.cut && err == nil {
		var m int
		m, err = c.TCPConn.Write(p[n : n+c.cut])
		n += m
	}
	if err == nil {
		var m int
		m, err = c.TCPConn.Write(p[n:])
		n += m
	}
	return n, err
}

func (c *tlsClient) exchange(send, want string) {
	c.t.Helper()
	go func() { _, _ = io.WriteString(c, send) }() // a failure shows in what comes back
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.in, got); err != nil || string(got) != want {
		c.t.Fatalf("after %.60q: got %.80q (%d bytes), %v; want %.80q", send, got[:n], n, err, want)
	}
}

// answer is what goodHead gets.
const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// TestTLS upgrades and echoes over TLS, torn anyhow.
func TestTLS(t *testing.T) {
	w := runTLS(t, Config{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, cut := range []int{0, 1, 100} {
			t.Run(fmt.Sprintf("%s cut %d", tls.VersionName(version), cut), func(t *testing.T) {
				c := w.shake(t, version, cut)
				c.exchange(goodHead+"first", answer+"first")
				p := await(t, w.gate.tapC, "no connection was admitted")
				if got := p.request.Addr.String(); got != "127.0.0.1" {
					t.Errorf("got address %s", got)
				}
				for _, size := range []int{1, 20_000, 300_000} {
					if cut == 1 {
						size = min(size, 20_000)
					}
					message := noise(size)
					c.exchange(message, message)
				}
				w.loops[0].do(t, func() { p.conn.Write([]byte("last")); p.conn.Finish() })
				if rest, err := io.ReadAll(c.in); string(rest) != "last" || err != nil {
					t.Errorf("got %.80q, %v; want \"last\" and a close_notify", rest, err)
				}
				_ = c.Close()
				w.expectNone()
			})
		}
	}
}

// TestTLSEnds ends connections in the ways clients have.
func TestTLSEnds(t *testing.T) {
	tests := []struct {
		name string
		end  func(*tlsClient)
	}{
		{"close_notify", func(c *tlsClient) { _ = c.CloseWrite() }},
		{"the socket's end", func(c *tlsClient) { _ = c.NetConn().(*cutConn).CloseWrite() }},
		{"a reset", func(c *tlsClient) {
			_ = c.NetConn().(*cutConn).SetLinger(0)
			_ = c.NetConn().Close()
		}},
		{"noise", func(c *tlsClient) { _, _ = c.NetConn().Write([]byte(strings.Repeat("noise", 10))) }},
		{"a record that is no record", func(c *tlsClient) {
			_, _ = c.NetConn().Write(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...))
		}},
	}
	w := runTLS(t, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := w.shake(t, 0, 0)
			c.exchange(goodHead+"hello", answer+"hello")
			p := await(t, w.gate.tapC, "no connection was admitted")
			test.end(c)
			if unread := await(t, p.closedC, "the Receiver hears nothing"); len(unread) > 0 {
				t.Errorf("got %d bytes unread", len(unread))
			}
			_ = c.NetConn().Close()
			w.expectNone()
		})
	}
}

// TestTLSNoHandshake opens connections that never speak TLS rightly.
func TestTLSNoHandshake(t *testing.T) {
	tests := []struct{ name, send, want string }{
		{"plain HTTP", "GET /v1 HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 "},
		{"one plain byte", "G", "HTTP/1.1 400 "},
		{"no ClientHello", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", ""},
		{"a ClientHello without end", "\x16\x03\x01\x40\x00\x01\x00\x40\x00" + strings.Repeat("a", 20_000), ""},
		{"a ClientHello that says nothing", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "\x15\x03"},
	}
	w := runTLS(t, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := dialTo(t, w.Addr().String())
			c.send(test.send)
			got, _ := io.ReadAll(c.in) // what is not read may reset the connection
			if !bytes.HasPrefix(got, []byte(test.want)) || test.want == "" && len(got) > 0 {
				t.Errorf("got %.80q, want %q", got, test.want)
			}
			_ = c.Close()
			w.expectNone()
		})
	}
}

// TestTLSTimeout ends what does not get on: a hello that never ends, a handshake,
// a head.
func TestTLSTimeout(t *testing.T) {
	w := runTLS(t, Config{})
	silent, half := dialTo(t, w.Addr().String()), dialTo(t, w.Addr().String())
	half.send("\x16\x03\x01\x00\x05\x01")
	open := dialTo(t, w.Addr().String())
	go func() { _ = tls.Client(&muteConn{TCPConn: open.TCPConn}, w.client).Handshake() }() // ends with open
	shaken := w.shake(t, 0, 0)                                                             // accepted after the others
	w.loops[0].do(t, func() {
		heads := w.Reactor.loops[0].heads
		if len(heads) != 4 {
			t.Errorf("%d heads are waited for, want 4", len(heads))
		}
		for i := range heads {
			heads[i].at = time.Now() // their time is over
		}
	})
	for _, c := range []*client{silent, half} {
		c.expectClosed()
	}
	if b, err := shaken.in.ReadByte(); err == nil {
		t.Errorf("got byte %q", b)
	}
	w.expectNone()
}

// muteConn sends the first thing alone, the ClientHello.
type muteConn struct {
	*net.TCPConn
	sent bool
}

func (c *muteConn) Write(p []byte) (int, error) {
	if c.sent {
		return len(p), nil
	}
	c.sent = true
	return c.TCPConn.Write(p)
}

// TestTLSHandOff lets the sidecar answer over TLS, and takes the connection back
// with the upgrade in pieces on both sides of the border.
func TestTLSHandOff(t *testing.T) {
	w := runTLS(t, Config{Loops: 2})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for i := range 20 {
			c := w.shake(t, version, 0)
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbo")
			h := await(t, w.handedC, "nothing was handed over")
			_, _ = io.WriteString(c, "dy")
			rest := make([]byte, 2)
			if _, err := io.ReadFull(h.conn, rest); err != nil || !strings.HasSuffix(h.read+string(rest), "\r\n\r\nbody") {
				t.Fatalf("got %q, %q, %v", h.read, rest, err)
			}
			go func() { _, _ = io.WriteString(h.conn, "answer") }()
			stream := goodHead + "frames"
			_, _ = io.WriteString(c, stream) // before what comes next, whenever it is answered
			c.exchange("", "answer")
			read := make([]byte, i*len(stream)/19)
			if _, err := io.ReadFull(h.conn, read); err != nil {
				t.Fatal(err)
			}
			if err := w.Enroll(h.conn, read); err != nil {
				t.Fatal(err)
			}
			c.exchange("more", answer+"framesmore")
			await(t, w.gate.tapC, "no connection was admitted")
			_ = c.Close()
		}
	}
	w.expectNone()
	if n := w.lent.Load(); n != 0 {
		t.Errorf("%d connections are counted as lent", n)
	}
}

// TestTLSSidecarEnds ends connections from the sidecar's side: first the write
// side, with close_notify.
func TestTLSSidecarEnds(t *testing.T) {
	w := runTLS(t, Config{})
	c := w.shake(t, 0, 0)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
	h := await(t, w.handedC, "nothing was handed over")
	if _, err := io.WriteString(h.conn, "answer"); err != nil {
		t.Fatal(err)
	}
	if err := h.conn.(*lentConn).CloseWrite(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(c.in); string(rest) != "answer" || err != nil {
		t.Errorf("got %q, %v; want \"answer\" and a close_notify", rest, err)
	}
	_ = h.conn.Close()
}

// TestTLSGoroutines holds idle connections: there is a goroutine for none of them.
func TestTLSGoroutines(t *testing.T) {
	w := runTLS(t, Config{})
	open := func() {
		w.shake(t, 0, 0).exchange(goodHead, answer)
		await(t, w.gate.tapC, "no connection was admitted")
	}
	open()
	before := runtime.NumGoroutine()
	const idle = 500
	for range idle {
		open()
	}
	if grown := runtime.NumGoroutine() - before; grown > idle/10 {
		t.Errorf("%d goroutines for %d connections", grown, idle)
	}
	if n := w.Conns(); n != idle+1 {
		t.Errorf("got %d connections, want %d", n, idle+1)
	}
}

// TestTLSStop stops with connections at every stage.
func TestTLSStop(t *testing.T) {
	w := runTLS(t, Config{Loops: 2})
	for range 20 {
		dialTo(t, w.Addr().String()).send("\x16\x03\x01")
		open := dialTo(t, w.Addr().String())
		go func() { _ = tls.Client(&muteConn{TCPConn: open.TCPConn}, w.client).Handshake() }() // ends with open
		w.shake(t, 0, 0)
		w.shake(t, 0, 0).exchange(goodHead, answer)
	}
	w.stop()
	w.expectNone()
}
