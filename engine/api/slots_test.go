package api

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// stuckConn is a connection that takes its time to close, as TLS does while the
// peer's window is shut.
type stuckConn struct {
	net.Conn
	closeC chan struct{} // Close waits for it
}

func (c *stuckConn) Close() error {
	<-c.closeC
	return c.Conn.Close()
}

// TestIdleGivesWay: when all slots are taken, a newcomer gets that of the connection
// that has been idle longest, and does not wait for its end.
func TestIdleGivesWay(t *testing.T) {
	usage := request("GET", "/v1/usage", "", bearer(fullKey))
	publish := request("POST", publishTarget, `{"data":1}`, bearer(fullKey))
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		b.blockC = make(chan struct{})
		s := New(Options{Backend: b})
		closeC := make(chan struct{})
		come := func() *client {
			near, far := net.Pipe()
			s.Handoff(&stuckConn{near, closeC}, []byte(usage))
			return newClient(t, far)
		}
		ask := func(c *client) {
			c.write(usage)
			c.read("GET").want(t, 200, "")
			synctest.Wait() // idle again
		}
		clients := make([]*client, maxConns)
		for i := range clients {
			clients[i] = come()
			clients[i].read("GET").want(t, 200, "")
			synctest.Wait()
		}
		ask(clients[0])
		clients[1].write(publish)
		synctest.Wait() // in the backend
		for range 2 {
			come().read("GET").want(t, 200, "")
			synctest.Wait()
		}
		close(closeC)
		clients[2].ended()
		clients[3].ended()
		ask(clients[0])
		ask(clients[4])
		close(b.blockC)
		clients[1].read("POST").want(t, 200, "")
		synctest.Wait()
		if got := s.slots.taken; got != maxConns {
			t.Errorf("slots taken = %d, want %d", got, maxConns)
		}
		for _, c := range clients {
			_ = c.conn.Close()
		}
		synctest.Wait()
		if got := s.slots.taken; got != 2 {
			t.Errorf("slots taken = %d, want 2 of the newcomers", got)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
}

// lateConn is a connection whose reads take a moment until what they have got is seen.
type lateConn struct {
	net.Conn
	read func() // called when a read has got something
}

func (c *lateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.read()
	}
	return n, err
}

// TestEvictedTooLate: a request that had come when its connection's slot was taken is
// answered as any other, and is the last one.
func TestEvictedTooLate(t *testing.T) {
	usage := request("GET", "/v1/usage", "", bearer(fullKey))
	publish := request("POST", publishTarget, `{"data":1}`, bearer(fullKey))
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		s := New(Options{Backend: b})
		var others []*conn
		near, far := net.Pipe()
		s.Handoff(&lateConn{near, func() {
			for len(others) < maxConns { // the last of them takes the slot of who has just asked
				o := &conn{slots: &s.slots}
				if !s.slots.take(o) {
					t.Error("refused, want the slot of the idle connection")
				}
				others = append(others, o)
			}
		}}, []byte(usage))
		c := newClient(t, far)
		c.read("GET").want(t, 200, "")
		synctest.Wait()
		b.blockC = make(chan struct{})
		c.write(publish)
		sleep(t, time.Second)
		close(b.blockC)
		c.read("POST").want(t, 200, "")
		c.ended()
		if calls := b.called(); len(calls) != 2 {
			t.Errorf("calls = %q, want both", calls)
		}
		for _, o := range others {
			s.slots.free(o)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if got := s.slots.taken; got != 0 {
			t.Errorf("slots taken = %d, want 0", got)
		}
	})
}

// TestEvictedReadsNoMore: net/http sets its own deadline after it has told that the
// connection is idle.
func TestEvictedReadsNoMore(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	defer near.Close()
	var s slots
	idle := &conn{Conn: near, slots: &s}
	for range maxConns {
		if !s.take(idle) {
			t.Fatal("refused within the limit")
		}
	}
	s.follow(idle, http.StateIdle)
	if !s.take(&conn{slots: &s}) || s.take(&conn{slots: &s}) {
		t.Error("want one newcomer let in and the next refused")
	}
	if err := idle.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go io.WriteString(far, "x") // for a read that does not fail; ends with near
	if n, err := idle.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %d, %v, want %v", n, err, os.ErrDeadlineExceeded)
	}
}
