package api

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// tcpPair returns both ends of a connection; far ends with the test.
func tcpPair(t testing.TB) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if near, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := far.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return near, far
}

func TestHandoffSplitAnywhere(t *testing.T) {
	w := newWorld(t, nil)
	text := request("POST", publishTarget, `{"data":1}`, bearer(fullKey)) +
		request("GET", "/v1/usage", "", bearer(fullKey)) +
		request("GET", "/nothing", "")
	for i := 0; i <= len(text); i++ {
		near, far := tcpPair(t)
		read := []byte(text[:i])
		w.server.Handoff(near, read)
		clear(read) // Handoff has copied it
		c := newClient(t, far)
		c.write(text[i:])
		c.read("POST").want(t, 200, "")
		c.read("GET").want(t, 200, "")
		c.read("GET").want(t, 404, "not_found")
		c.write(request("GET", "/v1/usage", "", bearer(fullKey), "Connection: close"))
		c.read("GET").want(t, 200, "")
		c.ended()
	}
}

func TestHandoffOfManyPipelined(t *testing.T) {
	// More than one of net/http's buffers, all read before the handoff.
	w := newWorld(t, nil)
	const n = 200
	near, far := tcpPair(t)
	w.server.Handoff(near, []byte(strings.Repeat(request("GET", "/v1/usage", "", bearer(fullKey)), n)))
	c := newClient(t, far)
	for range n {
		c.read("GET").want(t, 200, "")
	}
}

// upgrade is a WebSocket handshake with odd but legal parts.
const upgrade = "GET /v1?token=a%2Fb&x=%7e HTTP/1.1\r\n" +
	"Host: example.org:81\r\nupgrade: h2c, WebSocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX-Two: 1\r\nX-Two: 2\r\n" +
	"Cookie: a=b; c=d\r\nOrigin: https://app.example\r\nX-Empty:\r\n\r\n"

// checkHandedBack fails the test unless read starts with a head that says what
// upgrade says, and returns what is behind it.
func checkHandedBack(t *testing.T, read []byte) []byte {
	t.Helper()
	parse := func(text []byte) (*http.Request, []byte) {
		in := bufio.NewReaderSize(bytes.NewReader(text), len(text)+1)
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		rest, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		return r, rest
	}
	want, _ := parse([]byte(upgrade))
	got, rest := parse(read)
	if got.Method != want.Method || got.RequestURI != want.RequestURI || got.Proto != want.Proto || got.Host != want.Host {
		t.Errorf("request line and host = %s %s %s %s, want %s %s %s %s", got.Method, got.RequestURI, got.Proto, got.Host,
			want.Method, want.RequestURI, want.Proto, want.Host)
	}
	if len(got.Header) != len(want.Header) {
		t.Errorf("headers = %v, want %v", got.Header, want.Header)
	}
	for name, values := range want.Header {
		if g, w := strings.Join(got.Header[name], "|"), strings.Join(values, "|"); g != w {
			t.Errorf("%s = %q, want %q", name, g, w)
		}
	}
	return rest
}

func TestHandBackAfterKeepAlive(t *testing.T) {
	usage := request("GET", "/v1/usage", "", bearer(fullKey))
	long := strings.Repeat("frame bytes ", 2000)
	tests := []struct {
		name, read, first, then string
	}{
		{"in a later packet", "", usage, upgrade},
		{"pipelined", "", usage + upgrade, ""},
		{"all read before", usage + upgrade, "", ""},
		{"with frames behind", "", usage, upgrade + "frame"},
		{"all read before, with many frames", usage + upgrade + long, "", ""},
		{"many frames on the way", usage, "", upgrade + long},
	}
	w := newWorld(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			near, far := tcpPair(t)
			w.server.Handoff(near, []byte(tt.read))
			c := newClient(t, far)
			c.write(tt.first)
			c.read("GET").want(t, 200, "")
			c.write(tt.then)
			h := <-w.handedC
			defer h.conn.Close()
			if h.conn != near {
				t.Errorf("conn = %T, want the one handed off", h.conn)
			}
			if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			late, err := io.ReadAll(h.conn)
			if err != nil {
				t.Fatal(err)
			}
			_, want, _ := strings.Cut(tt.read+tt.first+tt.then, "X-Empty:\r\n\r\n")
			if got := string(checkHandedBack(t, h.read)) + string(late); got != want {
				t.Errorf("behind the head: %d bytes, want %d the same", len(got), len(want))
			}
			if _, err := io.WriteString(h.conn, "hello"); err != nil {
				t.Fatal(err)
			}
			if err := h.conn.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(c.in); err != nil || string(got) != "hello" {
				t.Errorf("the client got %q, %v, want hello", got, err)
			}
			if got := w.server.slots.taken; got != 0 { // freed before it was handed back
				t.Errorf("slots taken = %d, want 0", got)
			}
		})
	}
}

func TestHandBackLosesNoByte(t *testing.T) {
	// What follows the head races with Hijack and net/http's read ahead.
	w := newWorld(t, nil)
	const frames = "0123456789"
	for range 200 {
		c := w.dial(t)
		c.write(upgrade)
		for i := range frames {
			c.write(frames[i : i+1])
		}
		h := <-w.handedC
		if _, ok := h.conn.(*net.TCPConn); !ok {
			t.Fatalf("conn = %T, want *net.TCPConn", h.conn)
		}
		got := checkHandedBack(t, h.read)
		late := make([]byte, len(frames)-len(got))
		if _, err := io.ReadFull(h.conn, late); err != nil {
			t.Fatal(err)
		}
		if text := string(got) + string(late); text != frames {
			t.Fatalf("behind the head: %q and %q, want %q", got, late, frames)
		}
		_ = h.conn.Close()
		_ = c.conn.Close()
	}
}

func TestUpgradeNotHandedBack(t *testing.T) {
	tests := []struct {
		name, text string
		handoff    bool
		status     int
		code       string
	}{
		{"judged by a loop already", upgrade, true, 400, "invalid_request"},
		{"with Transfer-Encoding", strings.Replace(upgrade, "Cookie:", "Transfer-Encoding: chunked\r\nCookie:", 1) + "0\r\n\r\n", false, 400, "invalid_request"},
		{"other path", strings.Replace(upgrade, "/v1?", "/v2?", 1), false, 404, "not_found"},
		{"other method", strings.Replace(upgrade, "GET", "POST", 1), false, 404, "not_found"},
		{"other protocol", strings.Replace(upgrade, "h2c, WebSocket", "h2c", 1), false, 404, "not_found"},
		{"on a call", strings.Replace(upgrade, "/v1?", "/v1/usage?", 1), false, 401, "unauthorized"},
	}
	w := newWorld(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c *client
			if tt.handoff {
				near, far := tcpPair(t)
				w.server.Handoff(near, []byte(tt.text))
				c = newClient(t, far)
			} else {
				c = w.dial(t)
				c.write(tt.text)
			}
			c.read("GET").want(t, tt.status, tt.code)
		})
	}
	t.Run("nobody to hand to", func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.HandBack = nil })
		c := w.dial(t)
		c.write(upgrade)
		c.read("GET").want(t, 400, "invalid_request")
	})
}

func TestShutdown(t *testing.T) {
	b := newBackend(t)
	b.blockC, b.startedC = make(chan struct{}), make(chan struct{}, 1)
	s := New(Options{Backend: b})
	busyNear, busyFar := tcpPair(t)
	s.Handoff(busyNear, []byte(request("POST", publishTarget, `{"data":1}`, bearer(fullKey))))
	idleNear, idleFar := tcpPair(t)
	s.Handoff(idleNear, []byte(request("GET", "/v1/usage", "", bearer(fullKey))))
	<-b.startedC
	idle := newClient(t, idleFar)
	idle.read("GET").want(t, 200, "")

	done := make(chan error, 1)
	go func() { done <- s.Shutdown(t.Context()) }()
	idle.ended() // so Shutdown has begun
	lateNear, lateFar := tcpPair(t)
	s.Handoff(lateNear, nil)
	late := newClient(t, lateFar)
	late.read("GET").want(t, http.StatusServiceUnavailable, "internal_error")
	late.ended()

	close(b.blockC)
	busy := newClient(t, busyFar)
	a := busy.read("POST")
	a.want(t, 200, "")
	busy.ended()
	if err := <-done; err != nil {
		t.Errorf("Shutdown = %v", err)
	}

	afterNear, afterFar := tcpPair(t)
	s.Handoff(afterNear, nil)
	newClient(t, afterFar).ended()
}

func TestShutdownOutOfTime(t *testing.T) {
	b := newBackend(t)
	b.blockC, b.startedC = make(chan struct{}), make(chan struct{}, 1)
	s := New(Options{Backend: b})
	near, far := tcpPair(t)
	s.Handoff(near, []byte(request("POST", publishTarget, `{"data":1}`, bearer(fullKey))))
	<-b.startedC
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); err != context.Canceled {
		t.Errorf("Shutdown = %v, want context.Canceled", err)
	}
	// The end or a reset, but no answer.
	if rest, _ := io.ReadAll(far); len(rest) > 0 {
		t.Errorf("the client got %q, want the end", rest)
	}
}

func TestHandlerWithoutServer(t *testing.T) {
	s := New(Options{Backend: newBackend(t)})
	r := httptest.NewRequest("GET", "/v1", http.NoBody)
	r.Header.Set("Upgrade", "websocket")
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusBadRequest {
		t.Errorf("status = %d, want 400: there is no connection to hand back", rec.Code)
	}
}
