package reactor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// handed is a connection as the sidecar gets it.
type handed struct {
	conn net.Conn
	read string
}

func runWithSidecar(t *testing.T, cfg Config) (*world, <-chan handed) {
	t.Helper()
	handedC := make(chan handed, 1024)
	cfg.Sidecar = func(c net.Conn, read []byte) { handedC <- handed{c, string(read)} }
	w := run(t, cfg)
	t.Cleanup(func() {
		close(handedC)
		for h := range handedC {
			_ = h.conn.Close()
		}
	})
	return w, handedC
}

// TestHandOff hands requests to the sidecar: with every byte, the connection
// itself, and none of it left with the loops.
func TestHandOff(t *testing.T) {
	tests := []struct{ name, first, then string }{
		{"no body", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", ""},
		{"body with the head", "POST /v1/tokens HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", ""},
		{"body later", "POST /v1/tokens HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na", "bc"},
		{"pipelined", "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n" + goodHead + "frames", "more"},
		{"plain GET of our path", "GET /v1 HTTP/1.1\r\nHost: h\r\n\r\n", ""},
		{"no HTTP at all", "\x16\x03\x01\r\n\r\n", ""},
		{"nothing", "\r\n\r\n", ""},
		{"bytes of every kind", "POST / HTTP/1.1\r\n\r\n" + noise(20_000), noise(500_000)},
	}
	w, handedC := runWithSidecar(t, Config{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := dialTo(t, w.Addr().String())
			c.send(test.first)
			h := await(t, handedC, "nothing was handed over")
			defer h.conn.Close()
			if h.conn.RemoteAddr().String() != c.LocalAddr().String() {
				t.Errorf("got a connection from %v, want %v", h.conn.RemoteAddr(), c.LocalAddr())
			}
			c.send(test.then)
			_ = h.conn.SetDeadline(time.Now().Add(patience))
			rest := make([]byte, len(test.first+test.then)-len(h.read))
			if _, err := io.ReadFull(h.conn, rest); err != nil {
				t.Fatal(err)
			}
			if h.read+string(rest) != test.first+test.then {
				t.Error("the bytes have changed on their way")
			}
			if _, err := io.WriteString(h.conn, "answer"); err != nil {
				t.Fatal(err)
			}
			c.expect("answer")
			w.expectNone()
			_ = h.conn.Close()
			c.expectEnd()
		})
	}
	if n := w.lent.Load(); n != 0 {
		t.Errorf("%d connections are counted as lent", n)
	}
}

// TestEnroll gives connections back to the loops.
func TestEnroll(t *testing.T) {
	w, handedC := runWithSidecar(t, Config{Loops: 2})
	for i := range 50 {
		c := w.dial()
		c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		h := await(t, handedC, "nothing was handed over")
		head := strings.Replace(goodHead, "token=t", fmt.Sprintf("token=%d", i), 1)
		cut := i * len(head) / 40 // sometimes with frames behind it
		stream := head + "frames"
		cut = min(cut, len(stream))
		if err := w.Enroll(h.conn, []byte(stream[:cut])); err != nil {
			t.Fatal(err)
		}
		c.send(stream[cut:])
		c.expectSwitch()
		c.expect("frames")
		if got := await(t, w.gate.tapC, "not admitted").request.Target; string(got) != fmt.Sprintf("/v1?token=%d", i) {
			t.Errorf("got target %q", got)
		}
	}
	if n := w.lent.Load(); n != 0 {
		t.Errorf("%d connections are counted as lent", n)
	}
}

// TestEnrollWhileStopping races enrolments with the end.
func TestEnrollWhileStopping(t *testing.T) {
	w, handedC := runWithSidecar(t, Config{})
	var conns []handed
	for range 100 {
		w.dial().send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		conns = append(conns, await(t, handedC, "nothing was handed over"))
	}
	doneC := make(chan struct{}, len(conns))
	for _, h := range conns {
		go func() {
			_ = w.Enroll(h.conn, []byte(goodHead)) // either way
			doneC <- struct{}{}
		}()
	}
	w.stop()
	for range conns {
		await(t, doneC, "Enroll does not return")
	}
	w.expectNone()
	if n := w.lent.Load(); n != 0 {
		t.Errorf("%d connections are counted as lent", n)
	}
}

func TestEnrollForeign(t *testing.T) {
	w := run(t, Config{})
	a, b := net.Pipe()
	defer b.Close()
	if err := w.Enroll(a, nil); err == nil {
		t.Error("a foreign connection was taken")
	}
}

// TestShare serves HTTP on a listener of its own and enrols from there.
func TestShare(t *testing.T) {
	w := run(t, Config{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	shared := w.Share(ln, 1)
	acceptedC := make(chan net.Conn, 16)
	go func() {
		defer close(acceptedC)
		for {
			c, err := shared.Accept()
			if err != nil {
				return
			}
			acceptedC <- c
		}
	}()
	defer func() {
		_ = shared.Close()
		for c := range acceptedC {
			_ = c.Close()
		}
	}()
	addr := shared.Addr().String()

	first := dialTo(t, addr)
	server := await(t, acceptedC, "not accepted")
	if n := w.lent.Load(); n != 1 {
		t.Errorf("%d connections are counted as lent, want 1", n)
	}
	if err := w.Enroll(server, []byte(goodHead)); err != nil {
		t.Fatal(err)
	}
	first.expectSwitch()

	w.Reactor.lent.Add(w.Reactor.capacity) // full
	reserve := dialTo(t, addr)
	server = await(t, acceptedC, "the reserve is not accepted")
	dialTo(t, addr).expectClosed()
	_ = server.Close()
	_ = server.Close() // counts once
	reserve.expectEnd()
	dialTo(t, addr)
	_ = await(t, acceptedC, "the reserve is not free again").Close()
	w.Reactor.lent.Add(-w.Reactor.capacity)
	dialTo(t, addr)
	dialTo(t, addr)
	_ = await(t, acceptedC, "not accepted").Close()
	_ = await(t, acceptedC, "not accepted").Close()
	if n := w.lent.Load(); n != 0 {
		t.Errorf("%d connections are counted as lent", n)
	}
}

// expectClosed expects the end of the stream, in order or not.
func (c *client) expectClosed() {
	c.t.Helper()
	if b, err := c.in.ReadByte(); err == nil {
		c.t.Fatalf("got byte %q, want the end", b)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatal("the connection is open")
	}
}

// TestNoSidecar answers by itself.
func TestNoSidecar(t *testing.T) {
	w := run(t, Config{})
	c := w.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 404 {
		t.Errorf("got %v, %v", resp, err)
	}
}

// TestZoneIsOwn: of a connection that enters a loop gnet gets no zone that is net's.
func TestZoneIsOwn(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	w := run(t, Config{Loops: 1})
	go func() {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			_, _ = io.Copy(io.Discard, nc) // until it is closed
			_ = nc.Close()
		}
	}()
	nc, err := w.Share(ln, 0).Accept()
	if err != nil {
		t.Fatal(err)
	}
	addr := nc.RemoteAddr().(*net.TCPAddr)
	const zone = "lo" // as net names it of a link-local address
	addr.Zone = zone
	if err := w.Enroll(nc, nil); err != nil {
		t.Fatal(err)
	}
	if addr.Zone != zone || unsafe.StringData(addr.Zone) == unsafe.StringData(zone) {
		t.Errorf("got zone %q, of its own: %v", addr.Zone, unsafe.StringData(addr.Zone) != unsafe.StringData(zone))
	}
}
