package api

import (
	"container/list"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"signalbox/protocol"
)

const (
	// maxRefusals bounds the goroutines that answer 503; beyond, a connection is
	// closed without a word.
	maxRefusals    = 64
	refuseDeadline = time.Second
	refuseDrain    = 64 << 10 // bytes of input read before closing
)

// conn is a connection of the sidecar, which takes up a slot while it is open
// and may have bytes that were read before it came here. net/http reads from
// one goroutine at a time.
type conn struct {
	net.Conn

	// Immutable once served.
	slots     *slots
	handedOff bool // an event loop has judged the first request

	// Owned by the goroutine that reads.
	unread []byte // to be read before what Conn has

	// Owned by the goroutine that serves.
	requests int  // begun
	last     bool // the one under way is answered without a slot, and no other

	// Guarded by slots.mu.
	placed  bool          // has a slot
	waiting *list.Element // of slots.idle, while it is there

	// Any goroutine (atomic).
	evicted atomic.Bool // another has its slot
}

// Read reads the bytes that came along, then the connection. An evicted one
// fails as if its time were up, which net/http takes without a word: its own
// deadlines may come after the one that was to end the read.
func (c *conn) Read(p []byte) (int, error) {
	if c.evicted.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	if len(c.unread) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	if len(c.unread) == 0 {
		c.unread = nil
	}
	return n, nil
}

// CloseWrite lets net/http end its side first, so that unread input does not
// turn into a reset that eats the answer.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection and frees its slot.
func (c *conn) Close() error {
	c.slots.free(c)
	return c.Conn.Close()
}

// admit takes a slot for an accepted connection, or refuses it and returns nil.
func (s *Server) admit(accepted net.Conn) *conn {
	c := &conn{Conn: accepted, slots: &s.slots}
	if !s.slots.take(c) {
		s.refuse(accepted)
		return nil
	}
	return c
}

// refuse answers 503 and closes, on a goroutine: it may be called by an event
// loop, and a peer's window may be shut.
func (s *Server) refuse(c net.Conn) {
	select {
	case s.refusals <- struct{}{}:
	default:
		_ = c.Close() // nothing to be done about it
		return
	}
	if !s.spawn(func() {
		defer func() { <-s.refusals }()
		answerBusy(c)
	}) {
		_ = c.Close()
	}
}

// answerBusy answers 503, ends its side, waits a moment for the peer to end
// its own, and closes.
func answerBusy(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(refuseDeadline))
	if _, err := c.Write(busyAnswer); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, c, refuseDrain)
}

// busyAnswer is the whole answer to a connection beyond the limit.
var busyAnswer = func() []byte {
	body := protocol.AppendString([]byte(`{"error":`), codeInternalError)
	body = append(body, `,"message":"Too many connections; try again."}`...)
	head := "HTTP/1.1 503 " + http.StatusText(http.StatusServiceUnavailable) + "\r\n" +
		"Content-Type: application/json\r\nCache-Control: no-store\r\nRetry-After: 1\r\nConnection: close\r\n" +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	return append([]byte(head), body...)
}()

// slotListener gives slots to the connections of a listener.
type slotListener struct {
	net.Listener
	server *Server
}

// Accept returns the next connection for which there is a slot.
func (l *slotListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.server.admit(accepted); c != nil {
			return c, nil
		}
	}
}

type connKey struct{}

// withConn makes a connection known to the requests on it.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection of a request, or nil without a server.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// firstRequest counts r and reports whether it is the first on its connection.
func firstRequest(r *http.Request) bool {
	c := connOf(r)
	if c == nil {
		return true
	}
	c.requests++
	return c.requests == 1
}
