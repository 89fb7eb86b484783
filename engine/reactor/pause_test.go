package reactor

import (
	"bytes"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sendAll sends so many bytes, each other than the one before it, and tells when the
// kernel has them all.
func (c *client) sendAll(n int) (text []byte, sentC chan error) {
	text, sentC = make([]byte, n), make(chan error, 1)
	for i := range text {
		text[i] = byte(i % 251)
	}
	go func() {
		_, err := c.Write(text)
		sentC <- err
	}()
	return text, sentC
}

// settled waits until the loop leaves what has come in the socket, and returns how
// much waits for the Receiver.
func (w *world) settled(p *tap) (unread int) {
	w.t.Helper()
	const rounds = 50 // of the loop, in each of which it would have read
	for calm, start := 0, time.Now(); calm < rounds; calm++ {
		if time.Since(start) > patience {
			w.t.Fatal("it reads on and on")
		}
		w.loops[0].do(w.t, func() {
			left, err := unix.IoctlGetInt(p.conn.gc.Fd(), unix.TIOCINQ)
			if now := len(p.conn.unread()); err != nil || left == 0 || now != unread {
				calm, unread = 0, now
			}
		})
	}
	return unread
}

// TestPause: input that nobody wants stays with the client, however much it sends.
func TestPause(t *testing.T) {
	const size = 32 << 20 // more than all kernel buffers hold
	w := run(t, Config{})
	w.onAdmit(func(p *tap) *HTTPError { p.busy, p.mute = true, true; return nil })
	c, p := w.open()
	var got bytes.Buffer
	p.receive = func(b []byte) { got.Write(b) }
	text, sentC := c.sendAll(size)
	if unread := w.settled(p); unread <= pauseAt || unread > pauseAt+readBuffer {
		t.Errorf("%d bytes wait, want somewhat more than %d", unread, pauseAt)
	}
	// gnet asks for input again whenever a write has had to wait.
	for n := range 10 {
		_ = c.SetDeadline(time.Now().Add(patience)) // this takes a while
		w.loops[0].do(t, func() { p.conn.Write(make([]byte, 8<<20)) })
		if unread := w.settled(p); unread > pauseAt+(n+2)*readBuffer { // the kernel may take all of it
			t.Errorf("%d bytes wait after write %d", unread, n)
		}
		if _, err := io.CopyN(io.Discard, c.in, 8<<20); err != nil {
			t.Fatal(err)
		}
		if unread := w.settled(p); unread > pauseAt+(n+2)*readBuffer {
			t.Errorf("%d bytes wait after write %d has left", unread, n)
		}
	}
	select {
	case err := <-sentC:
		t.Fatalf("all is sent while nobody takes it: %v", err)
	case <-p.overflowC:
		t.Fatal("overflow")
	default:
	}
	w.loops[0].do(t, func() {
		p.busy = false
		if more := p.conn.Resume(); !more {
			t.Error("nothing is said to be left in the socket")
		}
	})
	if err := await(t, sentC, "the client is not read again"); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	await(t, p.closedC, "the end is not read")
	if !bytes.Equal(got.Bytes(), text) {
		t.Errorf("got %d bytes, want %d, or others", got.Len(), len(text))
	}
}

// TestPausePiecewise: a Receiver that takes little at a time, and is not ready in
// between, gets all.
func TestPausePiecewise(t *testing.T) {
	const size = 4 << 20
	w := run(t, Config{MaxUnread: 256 << 10})
	w.onAdmit(func(p *tap) *HTTPError { p.busy, p.mute, p.piece = true, true, 10_000; return nil })
	c, p := w.open()
	var got bytes.Buffer
	p.receive = func(b []byte) { got.Write(b) }
	text, sentC := c.sendAll(size)
	for n, start := 0, time.Now(); n < size; {
		if time.Since(start) > patience {
			t.Fatalf("only %d bytes have come", n)
		}
		w.loops[0].do(t, func() {
			p.busy = false
			p.conn.Resume()
			n = got.Len()
		})
	}
	if err := await(t, sentC, "the client is not read"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), text) {
		t.Errorf("got %d bytes, want %d, or others", got.Len(), len(text))
	}
}

// TestPauseEnds: a connection that is not read ends as any other.
func TestPauseEnds(t *testing.T) {
	open := func(t *testing.T) (*world, *client, *tap) {
		w := run(t, Config{})
		w.onAdmit(func(p *tap) *HTTPError { p.busy, p.mute = true, true; return nil })
		c, p := w.open()
		c.sendAll(32 << 20)
		if unread := w.settled(p); unread <= pauseAt {
			t.Fatalf("only %d bytes wait", unread)
		}
		return w, c, p
	}
	t.Run("finished", func(t *testing.T) {
		w, c, p := open(t)
		w.loops[0].do(t, func() {
			p.conn.Write([]byte("bye"))
			p.conn.Finish()
		})
		c.expect("bye")
		c.expectEnd() // no reset: what the client goes on sending is read
	})
	t.Run("reset by the client", func(t *testing.T) {
		_, c, p := open(t)
		if err := c.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if unread := await(t, p.closedC, "the reset is not noticed"); len(unread) <= pauseAt {
			t.Errorf("got %d bytes that were unread", len(unread))
		}
	})
	t.Run("stopped", func(t *testing.T) {
		w, _, p := open(t)
		w.stop()
		await(t, p.closedC, "the connection has not ended")
	})
}
