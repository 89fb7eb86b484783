package secure

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// TestTorn runs whole connections of which the server gets a few bytes at a time,
// one at the least: so they are torn at every byte.
func TestTorn(t *testing.T) {
	s := newServer(t)
	for _, version := range versions {
		for _, cut := range []int{1, 2, 3, 7, 64, 1000, 64 << 10} {
			t.Run(fmt.Sprintf("%s cut %d", tls.VersionName(version), cut), func(t *testing.T) {
				nc, endC := s.connect(t, cut, nil)
				c := tls.Client(nc, s.client(version))
				for _, size := range []int{1, 100, 16 << 10, 40_000} {
					exchange(t, c, bytes.Repeat([]byte("signal"), size/6+1)[:size])
				}
				if got := c.ConnectionState(); got.Version != version || got.NegotiatedProtocol != "http/1.1" {
					t.Errorf("got version %x, protocol %q", got.Version, got.NegotiatedProtocol)
				}
				if err := c.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("got %v, want the server's close_notify", err)
				}
				if err := await(t, endC); err != io.EOF {
					t.Errorf("the loop got %v, want %v", err, io.EOF)
				}
			})
		}
	}
}

// TestPipelined sends data with the client's Finished.
func TestPipelined(t *testing.T) {
	s := newServer(t)
	for _, version := range versions {
		nc, _ := s.connect(t, 64<<10, nil)
		gather := &gatherConn{Conn: nc}
		c := tls.Client(gather, s.client(version))
		if version == tls.VersionTLS12 {
			// The server's Finished comes last: data cannot be behind the client's.
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
		}
		gather.hold = true
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("early")); err != nil {
			t.Fatal(err)
		}
		if err := gather.release(); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "early" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// gatherConn holds back what is written, but for the first write, the ClientHello.
type gatherConn struct {
	net.Conn
	hold bool
	sent bool
	held []byte
}

func (c *gatherConn) Write(p []byte) (int, error) {
	if !c.hold || !c.sent {
		c.sent = true
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

func (c *gatherConn) release() error {
	c.hold = false
	_, err := c.Conn.Write(c.held)
	return err
}

// TestRefused shakes hands that must not succeed; the client is told.
func TestRefused(t *testing.T) {
	s := newServer(t)
	tests := []struct {
		name   string
		change func(*tls.Config)
		want   string
	}{
		{"another protocol", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, "no application protocol"},
		{"a challenge without ACME", func(c *tls.Config) { c.NextProtos = []string{"acme-tls/1"} }, "no application protocol"},
		{"TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "protocol version not supported"},
		{"no common cipher", func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
		}, "handshake failure"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			nc, endC := s.connect(t, 64<<10, nil)
			cfg := s.client(0)
			test.change(cfg)
			if err := tls.Client(nc, cfg).Handshake(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the client got %v, want %q", err, test.want)
			}
			if err := await(t, endC); err == nil {
				t.Error("the server took it")
			}
		})
	}
}

// TestNoProtocol lets clients in that name none.
func TestNoProtocol(t *testing.T) {
	s := newServer(t)
	nc, _ := s.connect(t, 64<<10, nil)
	cfg := s.client(0)
	cfg.NextProtos = nil
	exchange(t, tls.Client(nc, cfg), []byte("hello"))
}

// TestResumption comes again with a ticket.
func TestResumption(t *testing.T) {
	s := newServer(t)
	for _, version := range versions {
		cfg := s.client(version)
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for _, want := range []bool{false, true, true} {
			nc, _ := s.connect(t, 64<<10, nil)
			c := tls.Client(nc, cfg)
			exchange(t, c, []byte("hello"))
			if got := c.ConnectionState().DidResume; got != want {
				t.Errorf("%s: got resumed %v, want %v", tls.VersionName(version), got, want)
			}
		}
	}
}

// TestOver has goroutines use a connection and takes it back, with a message half
// read and the next one behind it.
func TestOver(t *testing.T) {
	s := newServer(t)
	for _, version := range versions {
		nc, endC := s.connect(t, 64<<10, func(l *looper, plain []byte) error {
			if string(plain) != "over" {
				return l.send(plain)
			}
			if err := converse(l.conn.Over(&loopConn{Conn: l.nc, inC: l.inC})); err != nil {
				return err
			}
			l.conn.Back()
			return l.open(nil)
		})
		c := tls.Client(nc, s.client(version))
		for _, step := range []struct{ send, want string }{{"over", "there"}, {"and back", " back"}, {"again", "again"}} {
			if _, err := io.WriteString(c, step.send); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(step.want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != step.want {
				t.Fatalf("after %q: got %q, %v; want %q", step.send, got, err, step.want)
			}
		}
		_ = c.Close()
		_ = await(t, endC)
	}
}

// converse is what the goroutine does on the connection.
func converse(c net.Conn) error {
	if _, err := io.WriteString(c, "there"); err != nil {
		return err
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "and" {
		return fmt.Errorf("got %q, %v", got, err)
	}
	return nil
}

// loopConn reads what the loop would.
type loopConn struct {
	net.Conn
	inC    <-chan []byte
	unread []byte
}

func (c *loopConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		c.unread = <-c.inC
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

var errTaken = errors.New("the test has taken the connection")

// established returns both ends of a connection, the server's without a loop.
func established(t testing.TB, s *server, cfg *tls.Config) (*Conn, *tls.Conn, *gatherConn) {
	t.Helper()
	connC := make(chan *Conn, 1)
	nc, endC := s.connect(t, 64<<10, func(l *looper, _ []byte) error {
		connC <- l.conn
		return errTaken
	})
	gather := &gatherConn{Conn: nc}
	c := tls.Client(gather, cfg)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	conn := <-connC
	if err := await(t, endC); !errors.Is(err, errTaken) {
		t.Fatal(err)
	}
	gather.hold, gather.sent = true, true
	return conn, c, gather
}

// TestAllocations pins what a message costs.
func TestAllocations(t *testing.T) {
	s := newServer(t)
	conn, c, gather := established(t, s, s.client(tls.VersionTLS13))
	message := bytes.Repeat([]byte("m"), 200)
	var plain, sealed []byte
	if got := leastAllocs(func() {
		var err error
		if sealed, err = conn.Seal(sealed[:0], message); err != nil {
			t.Fatal(err)
		}
	}); got > 0 {
		t.Errorf("Seal: got %v allocations, want none", got)
	}
	const many = 300
	for range many {
		if _, err := c.Write(message); err != nil {
			t.Fatal(err)
		}
	}
	record := len(gather.held) / many
	if got := leastAllocs(func() {
		var err error
		plain, _, err = conn.Open(plain[:0], gather.held[:record])
		gather.held = gather.held[record:]
		if err != nil || len(plain) != len(message) {
			t.Fatal(len(plain), err)
		}
	}); got > 2 {
		t.Errorf("Open: got %v allocations, want at most 2, crypto/tls's own", got)
	}
}

// leastAllocs is the least of many runs: the race detector has pools forget at
// random.
func leastAllocs(f func()) float64 {
	least := testing.AllocsPerRun(1, f)
	for range 100 {
		least = min(least, testing.AllocsPerRun(1, f))
	}
	return least
}
