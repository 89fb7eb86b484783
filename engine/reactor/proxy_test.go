package reactor

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

// proxyV2 returns a PROXY header of version 2.
func proxyV2(command, family byte, addresses string) string {
	return string(proxySign) + string([]byte{0x20 | command, family, byte(len(addresses) >> 8), byte(len(addresses))}) + addresses
}

var (
	fromTCP4 = proxyV2(1, 0x11, "\xcb\x00\x71\x07\x7f\x00\x00\x01\x04\x00\x00\x50")
	fromTCP6 = proxyV2(1, 0x21, string(netip.MustParseAddr("2001:db8::7").AsSlice())+string(netip.IPv6Loopback().AsSlice())+"\x04\x00\x00\x50")
)

func believing(words ...string) (p Proxies) {
	for _, word := range words {
		p.Prefixes = append(p.Prefixes, netip.MustParsePrefix(word))
	}
	return p
}

// TestProxied has proxies, and others, tell whose connection it is.
func TestProxied(t *testing.T) {
	near := believing("127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48")
	for _, test := range []struct {
		name      string
		proxies   Proxies
		first     string // before the head
		forwarded []string
		want      string
	}{
		{"says nothing", near, "", nil, "127.0.0.1"},
		{"version 1", near, "PROXY TCP4 203.0.113.7 127.0.0.1 1024 80\r\n", nil, "203.0.113.7"},
		{"version 1, IPv6", near, "PROXY TCP6 2001:db8::7 ::1 1024 80\r\n", nil, "2001:db8::7"},
		{"version 1, IPv4 in IPv6", near, "PROXY TCP6 ::ffff:203.0.113.7 ::1 1024 80\r\n", nil, "203.0.113.7"},
		{"version 1, unknown", near, "PROXY UNKNOWN\r\n", nil, "127.0.0.1"},
		{"version 2", near, fromTCP4, nil, "203.0.113.7"},
		{"version 2, IPv6", near, fromTCP6, nil, "2001:db8::7"},
		{"version 2, more", near, proxyV2(1, 0x11, "\xcb\x00\x71\x07\x7f\x00\x00\x01\x04\x00\x00\x50"+"\x04\x00\x03abc"), nil, "203.0.113.7"},
		{"version 2, local", near, proxyV2(0, 0, ""), nil, "127.0.0.1"},
		{"version 2, local with addresses", near, proxyV2(0, 0x11, "\xcb\x00\x71\x07\x7f\x00\x00\x01\x04\x00\x00\x50"), nil, "127.0.0.1"},
		{"forwarded", near, "", []string{"203.0.113.7"}, "203.0.113.7"},
		{"forwarded, spoofed before", near, "", []string{"1.1.1.1, 10.0.0.1, 203.0.113.7"}, "203.0.113.7"},
		{"forwarded by two", near, "", []string{"1.1.1.1, 203.0.113.7, 10.0.0.1"}, "203.0.113.7"},
		{"forwarded in two headers", near, "", []string{"1.1.1.1, 203.0.113.7", " 10.0.0.1"}, "203.0.113.7"},
		{"forwarded with a port", near, "", []string{"203.0.113.7:1024"}, "203.0.113.7"},
		{"forwarded, IPv6", near, "", []string{"[2001:db8::7]:1024,2001:db8:1::1"}, "2001:db8::7"},
		{"forwarded for proxies only", near, "", []string{"10.0.0.2,10.0.0.1"}, "10.0.0.2"},
		{"forwarded, garbage", near, "", []string{"203.0.113.7, unknown, 10.0.0.1"}, "10.0.0.1"},
		{"forwarded, empty", near, "", []string{""}, "127.0.0.1"},
		{"header of a client, forwarded by it", near, fromTCP4, []string{"1.1.1.1"}, "203.0.113.7"},
		{"header of a proxy, forwarded", near, "PROXY TCP4 10.0.0.1 127.0.0.1 1024 80\r\n", []string{"203.0.113.7"}, "203.0.113.7"},
		{"version 1, unknown, forwarded by the client", near, "PROXY UNKNOWN\r\n", []string{"203.0.113.7"}, "127.0.0.1"},
		{"version 2, local, forwarded by the client", near, proxyV2(0, 0, ""), []string{"203.0.113.7"}, "127.0.0.1"},
		{"version 2, unix, forwarded by the client", near, proxyV2(1, 0x31, strings.Repeat("\x00", 216)), []string{"203.0.113.7"}, "127.0.0.1"},
		{"forwarded by who is not believed", believing("10.0.0.0/8"), "", []string{"203.0.113.7"}, "127.0.0.1"},
		{"forwarded without proxies", Proxies{}, "", []string{"203.0.113.7"}, "127.0.0.1"},
		{"forwarded, unix believed alone", Proxies{Unix: true}, "", []string{"203.0.113.7"}, "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			headers := []string{}
			for _, value := range test.forwarded {
				headers = append(headers, "+X-Forwarded-For: "+value)
			}
			head := headOf("GET /v1 HTTP/1.1", headers...)
			check := func(t *testing.T, w *world, nc io.ReadWriter, send string, piece int) {
				t.Helper()
				for len(send) > 0 {
					n := min(piece, len(send))
					if _, err := io.WriteString(nc, send[:n]); err != nil {
						t.Fatal(err)
					}
					send = send[n:]
				}
				p := await(t, w.gate.tapC, "no connection was admitted")
				if got := p.request.Addr.String(); got != test.want {
					t.Errorf("address: got %s, want %s", got, test.want)
				}
				w.loops[0].do(t, func() {
					if got := p.conn.Addr().String(); got != test.want {
						t.Errorf("address later: got %s, want %s", got, test.want)
					}
				})
			}
			w := run(t, Config{Proxies: test.proxies})
			for _, piece := range []int{1 << 20, 1, 7} {
				c := w.dial()
				check(t, w, c, test.first+head, piece)
				_ = c.Close()
			}
			secured := runTLS(t, Config{Proxies: test.proxies})
			raw := secured.dial()
			raw.send(test.first)
			c := tls.Client(raw, secured.client)
			check(t, secured.world, c, head, 1<<20)
			_ = c.Close()
			w.noClients(t)
		})
	}
}

// noClients waits until every connection is gone and wants no address left behind.
func (w *world) noClients(t *testing.T) {
	t.Helper()
	w.Settle(t.Context())
	w.loops[0].do(t, func() {
		if n := len(w.Reactor.loops[0].clients); n != 0 {
			t.Errorf("%d addresses of connections that are gone", n)
		}
	})
}

// TestProxyHeaderRefused: what is no header ends a proxy's connection, and a header
// is nothing special from anybody else.
func TestProxyHeaderRefused(t *testing.T) {
	for _, test := range []struct{ name, first string }{
		{"nonsense", "PROXY nonsense\r\n"},
		{"no address", "PROXY TCP4 a b 1 2\r\n"},
		{"a line without end", "PROXY " + strings.Repeat("A", 101)},
		{"a long line", "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n"},
		{"version 3", string(proxySign) + "\x31\x11\x00\x00"},
		{"too long", string(proxySign) + "\x21\x11\xff\xff"},
		{"too short", proxyV2(1, 0x11, "\xcb\x00")},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := run(t, Config{Proxies: believing("127.0.0.1/32")})
			c := w.dial()
			c.send(test.first)
			if b, err := c.in.ReadByte(); err == nil {
				t.Errorf("got byte %q, want the end", b)
			}
		})
	}
	w, handedC := runWithSidecar(t, Config{Proxies: believing("10.0.0.0/8")})
	for _, first := range []string{"PROXY TCP4 203.0.113.7 127.0.0.1 1024 80\r\n", fromTCP4} {
		c := w.dial()
		c.send(first + goodHead)
		h := await(t, handedC, "nothing was handed over")
		_ = h.conn.Close()
		if !strings.HasPrefix(h.read, first) {
			t.Errorf("got %q, want it to begin with the header", h.read)
		}
	}
}

// TestProxiedHandoff takes the address along to the sidecar and back.
func TestProxiedHandoff(t *testing.T) {
	for _, test := range []struct{ name, first, want string }{
		{"named", fromTCP4, "203.0.113.7"},
		{"unknown", "PROXY UNKNOWN\r\n", "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, handedC := runWithSidecar(t, Config{Proxies: believing("127.0.0.1/32")})
			c := w.dial()
			c.send(test.first + "GET /v1/usage HTTP/1.1\r\n\r\n")
			h := await(t, handedC, "nothing was handed over")
			if err := w.Enroll(h.conn, []byte(headOf("GET /v1 HTTP/1.1", "+X-Forwarded-For: 1.1.1.1"))); err != nil {
				t.Fatal(err)
			}
			p := await(t, w.gate.tapC, "no connection was admitted")
			if got := p.request.Addr.String(); got != test.want {
				t.Errorf("address: got %s, want %s", got, test.want)
			}
			_ = c.Close()
			w.noClients(t)
		})
	}
}

// TestUnixSocket serves a unix socket: WebSockets, the sidecar and back, and proxies.
func TestUnixSocket(t *testing.T) {
	for name, test := range map[string]struct {
		proxies Proxies
		want    string
	}{
		"believed":     {Proxies{Unix: true}, "203.0.113.7"},
		"not believed": {believing("0.0.0.0/0", "::/0"), "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			w, handedC := runWithSidecar(t, Config{Unix: ln, Proxies: test.proxies})
			t.Cleanup(func() { _ = ln.Close() })
			nc, err := net.Dial("unix", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := io.WriteString(nc, "GET /v1/usage HTTP/1.1\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			h := await(t, handedC, "nothing was handed over")
			if err := w.Enroll(h.conn, []byte(headOf("GET /v1 HTTP/1.1", "+X-Forwarded-For: 203.0.113.7"))); err != nil {
				t.Fatal(err)
			}
			p := await(t, w.gate.tapC, "no connection was admitted")
			if got := p.request.Addr.String(); got != test.want {
				t.Errorf("address: got %s, want %s", got, test.want)
			}
			got := make([]byte, len(answer)+len("frames"))
			if _, err := io.WriteString(nc, "frames"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(nc, got); err != nil || string(got) != answer+"frames" {
				t.Errorf("got %q, %v; want the answer and an echo", got, err)
			}
		})
	}
}
