package reactor

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// noise returns n bytes in which no loss or change of order goes unseen.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return string(b)
}

// TestWriteFillsTheSocket writes more than the kernel takes, in pieces of many
// sizes, to a client that reads only afterwards.
func TestWriteFillsTheSocket(t *testing.T) {
	w := run(t, Config{})
	all := noise(24 << 20)
	for _, size := range []int{1 << 10, 65_536, 65_537, 1 << 20, 8 << 20, len(all)} {
		c, p := w.open()
		w.loops[0].do(t, func() {
			for piece := range slices.Chunk([]byte(all), size) {
				p.conn.Write(piece)
				clear(piece) // it is borrowed no longer
			}
			if p.conn.Queued() == 0 {
				t.Error("the kernel has taken it all: nothing was tested")
			}
		})
		c.expect(all)
		w.loops[0].do(t, func() {
			if n := p.conn.Queued(); n > 0 {
				t.Errorf("pieces of %d: %d bytes are queued after all has come", size, n)
			}
			p.conn.Write([]byte("after"))
		})
		c.expect("after")
	}
}

// TestFinishWithOutput ends connections with output queued whose clients go on
// sending: all of it, and the end, reach them.
func TestFinishWithOutput(t *testing.T) {
	w := run(t, Config{})
	all := noise(8 << 20)
	c, p := w.open()
	w.loops[0].do(t, func() {
		p.conn.Write([]byte(all))
		p.conn.Finish()
		p.conn.Finish()
		p.conn.Write([]byte("nothing comes behind the end"))
		w.lingerLong()
	})
	sentC := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, strings.Repeat("unread", 1<<20))
		sentC <- err
	}()
	c.expect(all)
	c.expectEnd()
	if err := await(t, sentC, "the server does not read what it drops"); err != nil {
		t.Errorf("sending to a connection that ends: %v", err)
	}
	_ = c.CloseWrite()
	w.expectNone()
	select {
	case <-p.closedC:
		t.Error("the Receiver hears of a connection that it has finished")
	default:
	}
}

// lingerLong has connections that are to end wait for their clients as long as a
// test does. On the loop of a reactor with one.
func (w *world) lingerLong() {
	lingering := w.Reactor.loops[0].lingering
	for i := range lingering {
		lingering[i].at = time.Now().Add(patience)
	}
}

// expectNone waits until no connection is left.
func (w *world) expectNone() {
	w.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for w.Conns() > 0 {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("%d connections are left", w.Conns())
		}
	}
}

// TestLingerEnds has a client that neither reads nor closes.
func TestLingerEnds(t *testing.T) {
	w := run(t, Config{})
	for _, queued := range []int{0, 32 << 20} {
		_, p := w.open()
		w.loops[0].do(t, func() {
			p.conn.Write(make([]byte, queued))
			p.conn.Finish()
			if p.conn.state != stateLinger {
				t.Errorf("%d bytes queued: got state %v, want that it lingers", queued, p.conn.state)
			}
		})
	}
	w.expectNone()
	w.loops[0].do(t, func() {
		if n := len(w.Reactor.loops[0].lingering); n > 0 {
			t.Errorf("%d connections are still listed", n)
		}
	})
}

// TestLingerIsBounded has clients that do not read leave more queued than may be
// kept for them: those that come too late are cut off at once.
func TestLingerIsBounded(t *testing.T) {
	const queued = 16 << 20
	w := run(t, Config{MaxLinger: 2 * queued})
	var conns []*Conn
	for range 4 {
		_, p := w.open()
		conns = append(conns, p.conn)
	}
	w.loops[0].do(t, func() { // all of it, or the first may be over before the last
		for _, c := range conns {
			c.Write(make([]byte, queued))
			c.Finish()
		}
		l := w.Reactor.loops[0]
		l.closeBroken()
		n, kept := 0, int64(0)
		for _, c := range conns {
			if c.state == stateLinger {
				n++
				kept += int64(c.Queued())
			}
		}
		if n == 0 || n == len(conns) || kept > l.cfg.MaxLinger+queued {
			t.Errorf("%d connections linger with %d bytes", n, kept)
		}
		if l.sweep(time.Now()); l.lingers > kept {
			t.Errorf("got %d bytes after a sweep, want at most %d", l.lingers, kept)
		}
	})
	w.expectNone()
	w.loops[0].do(t, func() {
		l := w.Reactor.loops[0]
		if l.sweep(time.Now()); l.lingers != 0 {
			t.Errorf("%d bytes are counted of none", l.lingers)
		}
	})
}

func TestSettle(t *testing.T) {
	w := run(t, Config{})
	c, _ := w.open()
	ctx, cancel := contextOf(50 * time.Millisecond)
	defer cancel()
	w.Settle(ctx)
	if ctx.Err() == nil {
		t.Error("settled with a connection open")
	}
	_ = c.Close()
	ctx, cancel = contextOf(patience)
	defer cancel()
	if w.Settle(ctx); ctx.Err() != nil || w.Conns() > 0 {
		t.Errorf("not settled: %d connections", w.Conns())
	}
}

// TestFanOutOverResets writes to many connections in one loop, every other of
// which was reset: the rest get everything, and every Receiver hears of its end
// once, after the fan-out.
func TestFanOutOverResets(t *testing.T) {
	w := run(t, Config{})
	const n = 100
	var healthy []*client
	var taps []*tap
	var reset []*tap
	for i := range n {
		c, p := w.open()
		taps = append(taps, p)
		if i%2 == 0 {
			healthy = append(healthy, c)
			continue
		}
		reset = append(reset, p)
	}
	part := noise(1 << 10)
	w.loops[0].do(t, func() {
		for _, p := range reset { // the loop cannot read of it before it writes
			_ = unix.SetsockoptLinger(p.conn.gc.Fd(), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			_ = unix.Shutdown(p.conn.gc.Fd(), unix.SHUT_RDWR)
		}
		for range 3 {
			for _, p := range taps {
				p.conn.Write([]byte(part))
				select {
				case <-p.closedC:
					t.Error("closed in the midst of a fan-out")
				default:
				}
			}
		}
	})
	for _, c := range healthy {
		c.expect(part + part + part)
	}
	for _, p := range reset {
		await(t, p.closedC, "a Receiver has not heard of the end")
	}
	if got := w.Conns(); got != len(healthy) {
		t.Errorf("got %d connections, want %d", got, len(healthy))
	}
}

// TestResetByPeer is a storm of connections that are reset at once.
func TestResetByPeer(t *testing.T) {
	w := run(t, Config{})
	good, _ := w.open()
	for range 200 {
		c, p := w.open()
		_ = c.SetLinger(0)
		_ = c.Close()
		await(t, p.closedC, "not closed")
	}
	good.send("still here")
	good.expect("still here")
}

// TestNotReady holds a Receiver: its input is kept in order and handed over by
// Resume, also piece by piece.
func TestNotReady(t *testing.T) {
	c, f, _, gate := openFake(t, Config{})
	gate.admit = func(p *tap) *HTTPError { p.busy = true; return nil }
	all := noise(10_000)
	c.feed([]byte(goodHead + all[:10]))
	p := <-gate.tapC
	f.sent(t)
	for _, b := range []byte(all[10:9_000]) {
		c.feed([]byte{b})
	}
	p.busy, p.piece = false, 7
	var got strings.Builder
	for len(c.unread()) > 0 {
		if p.busy {
			p.busy = false
		}
		c.Resume()
		got.WriteString(f.sent(t))
		if len(c.unread()) == 500 { // more comes in the midst of it
			c.feed([]byte(all[9_000:]))
			got.WriteString(f.sent(t))
		}
	}
	if got.String() != all[:got.Len()] || got.Len() < 9_000 {
		t.Errorf("got %d bytes, in order: %v", got.Len(), got.String() == all[:got.Len()])
	}
	if c.Resume(); f.sent(t) != "" {
		t.Error("Resume hands over input twice")
	}
}

// TestRestIsSmall deals with all but a few bytes of a large input: those must
// not keep the rest in memory.
func TestRestIsSmall(t *testing.T) {
	c, f, _, gate := openFake(t, Config{})
	gate.admit = func(p *tap) *HTTPError { p.busy, p.mute = true, true; return nil }
	c.feed([]byte(goodHead))
	p := <-gate.tapC
	f.sent(t)
	for range 16 {
		c.feed(make([]byte, 64<<10))
	}
	p.piece = 1<<20 - 3
	if c.Resume(); len(c.unread()) != 3 || cap(c.unread()) > 1<<10 {
		t.Errorf("got %d bytes in %d, want 3 in few", len(c.unread()), cap(c.unread()))
	}
}

func TestOverflow(t *testing.T) {
	w := run(t, Config{MaxUnread: 1000})
	w.onAdmit(func(p *tap) *HTTPError { p.busy = true; return nil })
	c, p := w.open()
	c.send(strings.Repeat("x", 1000))
	select {
	case <-p.overflowC:
		t.Fatal("overflow within the limit")
	default:
	}
	c.send("y")
	await(t, p.overflowC, "no overflow beyond the limit")
	w.loops[0].do(t, func() {
		p.busy = false
		p.conn.Resume()
		p.conn.Finish()
	})
	c.expect(strings.Repeat("x", 1000) + "y")
	c.expectEnd()
}

// TestEndsWithinBegin has the loop end a connection just before its input is
// handed over.
func TestEndsWithinBegin(t *testing.T) {
	for name, end := range map[string]func(*Conn){"finished": (*Conn).Finish, "closed": (*Conn).closed} {
		t.Run(name, func(t *testing.T) {
			c, f, l, gate := openFake(t, Config{})
			c.feed([]byte(goodHead))
			<-gate.tapC
			f.sent(t)
			l.begin = func() { end(c) }
			c.feed([]byte("too late"))
			if got := f.sent(t); got != "" {
				t.Errorf("got %q, want nothing", got)
			}
		})
	}
}

// TestWriteFailsWithin has gnet close a connection inside the Receiver's own
// write, wherever that is: the Receiver hears of it once, and its input is not
// taken for unread again.
func TestWriteFailsWithin(t *testing.T) {
	tests := []struct {
		name string
		feed func(c *Conn, fail func())
	}{
		{"Admit", func(c *Conn, fail func()) { fail(); c.feed([]byte(goodHead)) }},
		{"Receive", func(c *Conn, fail func()) { c.feed([]byte(goodHead)); fail(); c.feed([]byte("abc")) }},
		{"Receive of kept input", func(c *Conn, fail func()) {
			c.feed([]byte(goodHead))
			c.setUnread([]byte("abc"))
			fail()
			c.feed([]byte("def"))
		}},
		{"Resume", func(c *Conn, fail func()) {
			c.feed([]byte(goodHead))
			c.setUnread([]byte("abc"))
			fail()
			c.Resume()
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, f, _, gate := openFake(t, Config{})
			test.feed(c, func() {
				f.queued = 1 // so that Write goes by gnet
				f.write = func() { f.write = nil; c.closed() }
			})
			p := <-gate.tapC
			select {
			case unread := <-p.closedC:
				if unread != nil {
					t.Errorf("got unread input %q, want none", unread)
				}
			default:
				t.Error("the Receiver has not heard of the end")
			}
			if c.state != stateClosed || c.rest != nil || c.Queued() != 0 {
				t.Errorf("got state %v, unread %q", c.state, c.unread())
			}
			c.Write(nil)
			c.Finish()
			c.Resume()
		})
	}
}

// TestClosedTellsUnread closes a connection whose Receiver is held.
func TestClosedTellsUnread(t *testing.T) {
	c, _, _, gate := openFake(t, Config{})
	gate.admit = func(p *tap) *HTTPError { p.busy = true; return nil }
	c.feed([]byte(goodHead + "abc"))
	c.feed([]byte("def"))
	p := <-gate.tapC
	c.closed()
	if got := <-p.closedC; string(got) != "abcdef" {
		t.Errorf("got unread %q, want abcdef", got)
	}
}

// TestHalfClose has the client end its side with input on the way: it is dealt
// with, and the answer reaches it.
func TestHalfClose(t *testing.T) {
	w := run(t, Config{})
	c := w.dial()
	c.send(goodHead + "last words")
	_ = c.CloseWrite()
	c.expectSwitch()
	c.expect("last words")
	await(t, await(t, w.gate.tapC, "not admitted").closedC, "not closed")
	c.expectEnd()
}

// TestDescriptorReuse checks that no bytes of one connection reach another when
// descriptors are used again and again.
func TestDescriptorReuse(t *testing.T) {
	w := run(t, Config{Loops: 2})
	for round := range 50 {
		var conns []*client
		for range 10 {
			c := w.dial()
			c.send(goodHead)
			c.expectSwitch()
			conns = append(conns, c)
		}
		for i, c := range conns {
			own := bytes.Repeat([]byte{byte(round), byte(i)}, 500)
			c.send(string(own))
			if i%3 == 0 {
				_ = c.SetLinger(0)
				_ = c.Close()
				continue
			}
			c.expect(string(own))
			_ = c.Close()
		}
	}
}
