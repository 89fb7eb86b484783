package client

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// session is the TLS of a connection. Its handshake runs on a goroutine; from then
// on it is its loop's alone, which opens and seals records by calls that do not
// block.
type session struct {
	tls *tls.Conn

	// The goroutine's and the loop's, then the loop's.
	shaking bool
	send    func([]byte) // any goroutine, while shaking
	in      []byte       // records, borrowed while open runs
	out     []byte       // records to be sent
	broken  *Cause       // how the server has ended the connection while shaking; the loop's

	// Guarded by mu, while shaking.
	mu   sync.Mutex
	come []byte // records that the handshake has not read
	err  error  // why no more will come
	more *sync.Cond
}

// newSession begins a handshake. send gets what is to be sent, done the result,
// both on the handshake's goroutine.
func newSession(cfg *tls.Config, send func([]byte), done func(error)) *session {
	s := &session{shaking: true, send: send}
	s.more = sync.NewCond(&s.mu)
	s.tls = tls.Client(s, cfg)
	go func() { done(s.tls.Handshake()) }()
	return s
}

// feed gives the handshake what has come.
func (s *session) feed(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.come = append(s.come, b...)
	s.more.Signal()
}

// end ends a handshake that still runs.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = net.ErrClosed
	s.more.Signal()
}

// settle makes the session its loop's. It returns the records that the handshake
// has not read.
func (s *session) settle() []byte {
	s.shaking, s.send = false, nil
	return s.come
}

// seal appends b to dst as records.
func (s *session) seal(dst, b []byte) ([]byte, error) {
	s.out = dst
	_, err := s.tls.Write(b)
	dst, s.out = s.out, nil
	return dst, err
}

// open reads the application data in records into buf, which is longer than they
// are.
func (s *session) open(buf, records []byte) (n int, err error) {
	s.in = records
	for err == nil && n < len(buf) {
		var m int
		m, err = s.tls.Read(buf[n:])
		n += m
	}
	s.in = nil
	if errors.Is(err, errNoBytes) {
		err = nil
	}
	return n, err
}

// errNoBytes is temporary: crypto/tls goes on after it where it was.
var errNoBytes net.Error = noBytes{}

type noBytes struct{}

func (noBytes) Error() string   { return "client: no bytes yet" }
func (noBytes) Timeout() bool   { return true }
func (noBytes) Temporary() bool { return true }

// Read is crypto/tls's door to what has come.
func (s *session) Read(p []byte) (int, error) {
	if !s.shaking {
		if len(s.in) == 0 {
			return 0, errNoBytes
		}
		n := copy(p, s.in)
		s.in = s.in[n:]
		return n, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.come) == 0 && s.err == nil {
		s.more.Wait()
	}
	if len(s.come) == 0 {
		return 0, s.err
	}
	n := copy(p, s.come)
	s.come = s.come[n:]
	return n, nil
}

// Write is crypto/tls's door to the server.
func (s *session) Write(p []byte) (int, error) {
	if s.shaking {
		s.send(append([]byte(nil), p...))
	} else {
		s.out = append(s.out, p...)
	}
	return len(p), nil
}

// What net.Conn has beside them means nothing here.

func (s *session) Close() error                     { return nil }
func (s *session) LocalAddr() net.Addr              { return nil }
func (s *session) RemoteAddr() net.Addr             { return nil }
func (s *session) SetDeadline(time.Time) error      { return nil }
func (s *session) SetReadDeadline(time.Time) error  { return nil }
func (s *session) SetWriteDeadline(time.Time) error { return nil }

// secure begins TLS once the socket is connected.
func (c *Conn) secure() {
	c.state = shaking
	c.session = newSession(c.spec.Script.TLS,
		func(b []byte) {
			c.Loop.Post(func() {
				if c.state == shaking {
					c.out = append(c.out, b...)
					c.flush()
				}
			})
		},
		func(err error) { c.Loop.Post(func() { c.secured(err) }) })
	c.flush() // nothing yet: the socket need not be writable
}

// secured goes on once the handshake is over.
func (c *Conn) secured(err error) {
	if c.state != shaking {
		return
	}
	broken := c.session.broken
	switch {
	case broken != nil && errors.Is(err, net.ErrClosed): // that ended it
		c.fail(*broken)
		return
	case err != nil:
		c.fail(Cause{Text: err.Error()})
		return
	case broken != nil:
		c.Resume()
	}
	rest := c.session.settle()
	c.request()
	c.take(rest)
}

// broke ends the handshake of a connection that the server has ended. That may be
// because the handshake has failed, which is to tell why then.
func (c *Conn) broke(why Cause) {
	if c.session.broken == nil {
		c.session.broken = &why
	}
	c.Stall()
	c.session.end()
}

// receiveRecords reads once and handles what the records say.
func (c *Conn) receiveRecords() {
	l := c.Loop
	n, errno := recv(c.fd, l.records)
	switch {
	case errno == unix.EAGAIN:
	case c.state == shaking && n == 0:
		c.broke(Cause{Errno: errno})
	case errno != 0:
		c.fail(Cause{Errno: errno})
	case n == 0:
		c.fail(Cause{})
	case c.state == shaking:
		c.session.feed(l.records[:n])
	default:
		l.bytes += uint64(n)
		l.readAt = Now()
		c.take(l.records[:n])
	}
}

// take handles what the records say.
func (c *Conn) take(records []byte) {
	l := c.Loop
	have := copy(l.buf, c.in)
	n, err := c.session.open(l.buf[have:], records)
	c.handle(l.buf[:have+n])
	switch {
	case errors.Is(err, io.EOF):
		c.fail(Cause{})
	case err != nil:
		c.fail(Cause{Text: err.Error()})
	}
}
