package reactor

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// fakeConn is a gnet.Conn of which tests drive every step: its descriptor is
// one end of a socket pair.
type fakeConn struct {
	gnet.Conn
	fd, peer int
	ctx      any
	queued   int    // OutboundBuffered
	write    func() // called by Write; nil: the bytes are sent
}

func (f *fakeConn) Fd() int              { return f.fd }
func (f *fakeConn) Context() any         { return f.ctx }
func (f *fakeConn) SetContext(ctx any)   { f.ctx = ctx }
func (f *fakeConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }
func (f *fakeConn) OutboundBuffered() int {
	return f.queued
}
func (f *fakeConn) Write(b []byte) (int, error) {
	if f.write != nil {
		f.write()
		return 0, unix.EPIPE
	}
	return unix.Write(f.fd, b)
}

// openFake opens a connection on a loop that does not run.
func openFake(t *testing.T, cfg Config) (*Conn, *fakeConn, *testLoop, *tapGate) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fds[0]); _ = unix.Close(fds[1]) })
	w := prepare(t, cfg)
	t.Cleanup(w.Release)
	l := w.Reactor.loops[0]
	l.upper = w.loops[0]
	f := &fakeConn{fd: fds[0], peer: fds[1]}
	if action := l.open(f); action != gnet.None {
		t.Fatalf("open: action %v", action)
	}
	return f.ctx.(*Conn), f, w.loops[0], w.gate
}

// sent returns what has arrived at the other end.
func (f *fakeConn) sent(t *testing.T) string {
	t.Helper()
	buf := make([]byte, 1<<20)
	n, err := unix.Read(f.peer, buf)
	if err != nil && err != unix.EAGAIN {
		t.Fatal(err)
	}
	return string(buf[:max(n, 0)])
}

// TestHeadTorn feeds a head with bytes behind it in two pieces, cut everywhere,
// and in single bytes.
func TestHeadTorn(t *testing.T) {
	const behind = "\x81\x85\r\n\r\nframes"
	stream := goodHead + behind
	var cuts [][]string
	for at := range len(stream) + 1 {
		cuts = append(cuts, []string{stream[:at], stream[at:]})
	}
	cuts = append(cuts, strings.Split(stream, ""))
	for _, pieces := range cuts {
		c, f, _, _ := openFake(t, Config{})
		var got strings.Builder
		for _, piece := range pieces {
			c.feed([]byte(piece))
			got.WriteString(f.sent(t))
		}
		head, rest, ok := strings.Cut(got.String(), "\r\n\r\n")
		if !ok || !strings.HasPrefix(head, "HTTP/1.1 101 ") || rest != behind {
			t.Fatalf("cut at %d: got %q, want a 101 and %q", len(pieces[0]), got.String(), behind)
		}
	}
}

// TestHeadAnswers sends whole requests over sockets.
func TestHeadAnswers(t *testing.T) {
	const get = "GET /v1?token=t HTTP/1.1"
	long := strings.Repeat("x", 20<<10)
	tests := []struct {
		name   string
		head   string
		status int
	}{
		{"good", goodHead, 101},
		{"any case", strings.NewReplacer("Upgrade: websocket", "uPGRADE:WebSocket", "Connection: Upgrade", "connection: keep-alive, uPgrade").Replace(goodHead), 101},
		{"20 KB token", headOf("GET /v1?token=" + long + " HTTP/1.1"), 101},
		{"20 KB header", headOf(get, "+X-Long: "+long), 101},
		{"nothing but the path", headOf("GET /v1 HTTP/1.1"), 101},
		{"absolute target", headOf("GET http://signalbox.test/v1?token=t HTTP/1.1"), 101},
		{"absolute target elsewhere", headOf("GET http://signalbox.test/v2 HTTP/1.1"), 404},
		{"target without a host", headOf("GET mailto:/v1 HTTP/1.1"), 404},
		{"empty body", headOf(get, "+Content-Length: 0"), 101},
		{"exactly the cap", padded(MaxHead), 101},
		{"one over the cap", padded(MaxHead + 1), 431},
		{"no end in sight", "GET /v1?token=" + strings.Repeat("x", MaxHead), 431},
		{"other path", headOf("GET /v2 HTTP/1.1"), 404},
		{"path with more", headOf("GET /v1/ HTTP/1.1"), 404},
		{"escaped path", headOf("GET /%76%31 HTTP/1.1"), 404},
		{"other method", headOf("POST /v1 HTTP/1.1"), 404},
		{"no upgrade", headOf(get, "Upgrade:-"), 404},
		{"upgrade to another protocol", headOf(get, "Upgrade: h2c"), 400},
		{"no connection header", headOf(get, "Connection:-"), 400},
		{"connection does not name upgrade", headOf(get, "Connection: keep-alive"), 400},
		{"no key", headOf(get, "Sec-WebSocket-Key:-"), 400},
		{"short key", headOf(get, "Sec-WebSocket-Key: dGhlIHNhbXBsZQ=="), 400},
		{"key no base64", headOf(get, "Sec-WebSocket-Key: ????????????????????????"), 400},
		{"key of 17 bytes", headOf(get, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTE="), 400},
		{"no version", headOf(get, "Sec-WebSocket-Version:-"), 400},
		{"version 12", headOf(get, "Sec-WebSocket-Version: 12"), 426},
		{"no host", headOf(get, "Host:-"), 400},
		{"two hosts", headOf(get, "+Host: other.test"), 400},
		{"two keys", headOf(get, "+Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 400},
		{"two versions", headOf(get, "+Sec-WebSocket-Version: 13"), 400},
		{"two upgrades, one of them ours", headOf(get, "+Upgrade: h2c"), 400},
		{"body", headOf(get, "+Content-Length: 5"), 400},
		{"two lengths", headOf(get, "+Content-Length: 0", "+Content-Length: 0"), 400},
		{"chunked", headOf(get, "+Transfer-Encoding: chunked"), 400},
		{"HTTP/1.0", headOf("GET /v1 HTTP/1.0"), 400},
		{"HTTP/2.0", headOf("GET /v1 HTTP/2.0"), 400},
		{"no protocol", headOf("GET /v1"), 400},
		{"spaces in the target", headOf("GET /v1?token=a b HTTP/1.1"), 400},
		{"tab in the target", headOf("GET /v1?token=a\tb HTTP/1.1"), 400},
		{"NUL in the target", headOf("GET /v1?token=\x00 HTTP/1.1"), 400},
		{"NUL in a value", headOf(get, "+X-Nul: a\x00b"), 400},
		{"NUL in a name", headOf(get, "+X-\x00: a"), 400},
		{"space before the colon", headOf(get, "+X-Space : a"), 400},
		{"no colon", headOf(get, "+Nonsense"), 400},
		{"no name", headOf(get, "+: a"), 400},
		{"folded", headOf(get, "+X-Folded: a", "+ b"), 400},
		{"bare LF", headOf(get, "+X-A: a\nX-B: b"), 400},
		{"an end in bare LFs", headOf(get, "+X-A: a\n\nX-B: b"), 400},
		{"bare CR", headOf(get, "+X-A: a\rb"), 400},
	}
	w := run(t, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := dialTo(t, w.Addr().String())
			c.send(test.head)
			if test.status == 101 {
				c.expectSwitch()
				c.send("ping")
				c.expect("ping")
				return
			}
			resp, body := c.expectStatus(test.status)
			if !strings.HasPrefix(body, `{"error":"`) || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("got body %q of type %q", body, resp.Header.Get("Content-Type"))
			}
			if got := resp.Header.Get("Sec-WebSocket-Version"); (got == "13") != (test.status == 426) {
				t.Errorf("got Sec-WebSocket-Version %q", got)
			}
			c.expectEnd()
		})
	}
}

// padded returns a good head of so many bytes.
func padded(n int) string {
	head := headOf("GET /v1 HTTP/1.1", "+X-Pad: ")
	return strings.Replace(head, "X-Pad: ", "X-Pad: "+strings.Repeat("x", n-len(head)), 1)
}

func TestHeadOnAnyPath(t *testing.T) {
	w := run(t, Config{AnyPath: true})
	c := w.dial()
	c.send(headOf("GET /anything HTTP/1.1"))
	c.expectSwitch()
}

func TestRequest(t *testing.T) {
	w := run(t, Config{})
	c := w.dial()
	c.send(headOf("GET /v1?token=a%20b&key=k;x HTTP/1.1", "+oRiGiN: https://app.example"))
	c.expectSwitch()
	r := await(t, w.gate.tapC, "not admitted").request
	if token, _ := r.Param("token"); r.Origin != "https://app.example" || r.Addr.String() != "127.0.0.1" || string(token) != "a b" {
		t.Errorf("got %+v", r)
	}
}

func TestGateRefuses(t *testing.T) {
	w := run(t, Config{})
	w.onAdmit(func(*tap) *HTTPError {
		return &HTTPError{Status: 401, Code: "invalid_token", Message: "no", Header: "Retry-After: 1"}
	})
	c := w.dial()
	c.send(goodHead + "frames behind a request that is refused")
	resp, body := c.expectStatus(401)
	if body != `{"error":"invalid_token","message":"no"}` || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("got %q, %v", body, resp.Header)
	}
	c.expectEnd()
}

// TestSlowHeads lets the handshake of many connections run out of time, some of
// them in the midst of it, and one not.
func TestSlowHeads(t *testing.T) {
	w := run(t, Config{})
	good, _ := w.open()
	w.loops[0].do(t, func() { w.cfg.HandshakeTimeout = time.Second }) // of those to come
	var slow []*client
	for i := range 200 {
		c := w.dial()
		c.send(goodHead[:i%len(goodHead)])
		slow = append(slow, c)
	}
	for _, c := range slow {
		if _, err := io.ReadAll(c.in); err != nil && !isReset(err) {
			t.Fatalf("a slow head is not closed: %v", err)
		}
	}
	good.send("still here")
	good.expect("still here")
	w.loops[0].do(t, func() {
		if n := len(w.Reactor.loops[0].heads); n > 0 {
			t.Errorf("%d heads are still waited for", n)
		}
	})
}

func isReset(err error) bool { return strings.Contains(err.Error(), "reset by peer") }

// browserHead is a head as browsers send it, with a token of the usual size.
var browserHead = headOf("GET /v1?token="+strings.Repeat("x", 250)+" HTTP/1.1",
	"+Pragma: no-cache", "+Cache-Control: no-cache", "+Origin: https://app.example", "+Accept-Language: en-GB,en;q=0.9",
	"+User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"+Accept-Encoding: gzip, deflate, br, zstd", "+Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")

// TestHandshakeAllocations expects of an upgrade one allocation, the Upgrader's,
// and an Origin's; two more are for the race detector, under which sync.Pool
// forgets.
func TestHandshakeAllocations(t *testing.T) {
	for _, tc := range []struct {
		name, head string
		most       float64
	}{
		{"plain", goodHead, 3},
		{"of a browser", browserHead, 4},
	} {
		h, head := newHandshaker(), []byte(tc.head)
		got := testing.AllocsPerRun(100, func() {
			o := outlineOf(head)
			if !o.isUpgrade(false) || h.shake(head, &o) != nil {
				t.Fatal("refused")
			}
			if token, _ := h.request.Param("token"); len(token) == 0 {
				t.Fatal("no token")
			}
		})
		if got > tc.most {
			t.Errorf("%s: got %v allocations, want at most %v", tc.name, got, tc.most)
		}
	}
}

func BenchmarkHandshake(b *testing.B) {
	for name, text := range map[string]string{"plain": goodHead, "browser": browserHead} {
		b.Run(name, func(b *testing.B) {
			h, head := newHandshaker(), []byte(text)
			b.ReportAllocs()
			for b.Loop() {
				o := outlineOf(head)
				if !o.isUpgrade(false) || h.shake(head, &o) != nil {
					b.Fatal("refused")
				}
				h.request.Param("token")
			}
		})
	}
}
