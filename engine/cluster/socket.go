package cluster

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxUnread     = 32 << 20 // bytes received and not handed over yet, about
	maxQueue      = 16 << 10 // messages received and not handed over yet
	writePatience = 3 * time.Second
	ackPatience   = 2500 * time.Millisecond
)

// socket is under the connection to NATS. While too much waits for the reader it
// receives nothing, so that nothing is dropped on the way to it: NATS holds back
// first, and in the end ends the connection, which is seen. A write that fails
// ends the connection, too: nothing may be missing from the middle of it.
type socket struct {
	patience time.Duration // of a dial
	queued   func() int    // messages that wait for the reader
	wakeC    chan struct{}

	// Any goroutine (atomic).
	waiting atomic.Bool
	unread  atomic.Int64 // bytes received since nothing waited
	anew    atomic.Bool  // there is a connection of which the reader does not know yet
}

func newSocket(patience time.Duration, queued func() int) *socket {
	return &socket{patience: patience, queued: queued, wakeC: make(chan struct{}, 1)}
}

// drained lets bytes in again, if they were held back and nothing waits any more.
// Reader only.
func (s *socket) drained() {
	if s.queued() > 0 || !s.waiting.Load() {
		return
	}
	select {
	case s.wakeC <- struct{}{}:
	default:
	}
}

// Dial connects over TCP.
func (s *socket) Dial(network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: s.patience, Control: limitUnacked}
	conn, err := d.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return s.wrap(conn), nil
}

// limitUnacked has the kernel end the connection when what was sent is not
// acknowledged for so long: a writer that waits for room would hold up the pings by
// which nats.go finds out.
func limitUnacked(_, _ string, c syscall.RawConn) (err error) {
	control := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(ackPatience.Milliseconds()))
	})
	return errors.Join(control, err)
}

func (s *socket) wrap(conn net.Conn) net.Conn {
	s.unread.Store(0)
	s.anew.Store(true)
	return &socketConn{Conn: conn, socket: s, closedC: make(chan struct{})}
}

// hold reports whether bytes are to be held back: when too much waits, until
// nothing does.
func (s *socket) hold() bool {
	if s.unread.Load() <= maxUnread && s.queued() <= maxQueue/2 && !s.waiting.Load() {
		return false
	}
	// First said, then looked: either drained sees it, or nothing waits here.
	s.waiting.Store(true)
	if s.queued() > 0 {
		return true
	}
	s.waiting.Store(false)
	s.unread.Store(0)
	return false
}

type socketConn struct {
	net.Conn
	socket    *socket
	closeOnce sync.Once
	closedC   chan struct{}
}

func (c *socketConn) Read(p []byte) (int, error) {
	for c.socket.hold() {
		select {
		case <-c.socket.wakeC:
		case <-c.closedC:
			return 0, net.ErrClosed
		}
	}
	n, err := c.Conn.Read(p)
	c.socket.unread.Add(int64(n))
	return n, err
}

func (c *socketConn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		_ = c.Close()
	}
	return n, err
}

func (c *socketConn) Close() error {
	c.closeOnce.Do(func() { close(c.closedC) })
	return c.Conn.Close()
}
