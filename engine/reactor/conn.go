package reactor

import (
	"bytes"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// state is how far a connection has got.
type state uint8

const (
	stateProxy  state = iota // its peer is a proxy, whose PROXY header may come
	stateHello               // its ClientHello is awaited
	stateShake               // its TLS handshake runs
	stateHead                // its request head is awaited
	stateOpen                // upgraded; recv gets its input
	stateLinger              // everything to send is handed over; input is dropped
	stateClosed              // gone, or handed to the sidecar
)

// lingerTime is how long a client has to close a connection that is to end.
const lingerTime = 3 * time.Second

// Conn is one connection. Loop-owned.
type Conn struct {
	gc      gnet.Conn
	loop    *loop
	tls     *transport // nil: plain
	recv    Receiver   // while stateOpen
	rest    *[]byte    // input not dealt with yet; nil if none, as while idle
	opened  micros
	state   state
	shut    bool // the write side is shut
	broken  bool // a write has failed
	batched bool // in the ring
}

// micros is a time in µs, so short that it wraps around: good for the length of a
// handshake.
type micros uint32

func microsOf(t time.Time) micros { return micros(t.UnixMicro()) }

// since returns the time from m to now, nothing if the clock has gone back.
func (m micros) since(now time.Time) time.Duration {
	return time.Duration(max(int32(microsOf(now)-m), 0)) * time.Microsecond
}

// open begins a connection, unless the server is full.
func (l *loop) open(gc gnet.Conn) gnet.Action {
	e, _ := gc.Context().(*enrolled)
	if e == nil && l.cfg.Unix != nil {
		return gnet.Close // nobody comes this way
	}
	now := time.Now()
	c := &Conn{gc: gc, loop: l, opened: microsOf(now), state: stateHead}
	switch {
	case e != nil && e.tls != nil:
		c.tls = &transport{conn: e.tls}
	case (e == nil || e.fresh) && l.handshakes != nil:
		c.tls, c.state = &transport{}, stateHello
	}
	switch {
	case e != nil && e.told:
		c.setAddr(e.client)
	case (e == nil || e.fresh) && l.cfg.Proxies.trust(c.Addr()):
		c.state = stateProxy
	}
	gc.SetContext(c)
	l.conns.Add(1)
	if excess := l.excessWith(gc.Fd()); excess > 0 {
		l.noteFull()
		if c.tls != nil && c.tls.conn == nil || excess > refusing { // nothing can be said before the handshake
			return gnet.Close
		}
		c.refuse(unavailable)
		return gnet.None
	}
	l.heads = append(l.heads, deadline{c, now.Add(l.cfg.HandshakeTimeout)})
	switch {
	case e == nil || e.fresh:
		return gnet.None
	case c.tls != nil:
		return c.comeBack(e.read)
	}
	return c.feed(e.read)
}

// traffic takes what gnet has read.
func (c *Conn) traffic() gnet.Action {
	buf, _ := c.gc.Peek(-1)
	action := c.input(buf)
	_, _ = c.gc.Discard(-1)
	return action
}

// input takes what has come on the socket.
func (c *Conn) input(buf []byte) gnet.Action {
	switch {
	case c.state == stateProxy:
		return c.readProxy(buf)
	case c.tls != nil:
		return c.records(buf)
	}
	return c.feed(buf)
}

// feed takes input and keeps what is not dealt with.
func (c *Conn) feed(buf []byte) gnet.Action {
	c.loop.upper.Begin() // may end this connection, too
	if c.state == stateLinger || c.state == stateClosed {
		return gnet.None
	}
	// What is about to be dealt with is no longer unread, should a write in the
	// midst of it fail and call closed.
	held := c.unread()
	c.rest = nil
	known := len(held)
	own := known > 0
	if own {
		held = append(held, buf...)
		buf = held
	}
	n, action := c.consume(buf, known)
	if c.state == stateHead || c.state == stateOpen {
		c.keep(buf, n, own)
	}
	if c.state == stateOpen && c.paused() {
		c.poll(false)
	}
	if c.state == stateOpen && len(c.unread()) > c.loop.cfg.MaxUnread {
		c.recv.Overflow()
	}
	return action
}

// smallRest is how many bytes are copied rather than have them hold on to what
// they came in.
const smallRest = 256

// keep makes buf[n:] the unread input. own tells that buf is not borrowed. It
// copies as much as was dealt with at most, or little, so that neither time nor
// memory is lost when a long backlog is dealt with in small pieces.
func (c *Conn) keep(buf []byte, n int, own bool) {
	switch rest := buf[n:]; {
	case len(rest) == 0:
		c.rest = nil
	case !own || n > 0 && len(rest) <= max(n, smallRest):
		c.setUnread(bytes.Clone(rest))
	default:
		c.setUnread(rest)
	}
}

// unread returns the input not dealt with yet.
func (c *Conn) unread() []byte {
	if c.rest == nil {
		return nil
	}
	return *c.rest
}

func (c *Conn) setUnread(b []byte) { c.rest = &b }

// consume hands input to whom it is for and returns how much is dealt with. The
// first known bytes were there before.
func (c *Conn) consume(buf []byte, known int) (n int, action gnet.Action) {
	if c.state == stateHead {
		if n, action = c.readHead(buf, known); c.state != stateOpen {
			return n, action
		}
	}
	if n < len(buf) && c.recv.Ready() {
		n += c.recv.Receive(buf[n:])
	}
	return n, action
}

// Resume hands over the input that has come while the Receiver was not ready, and
// reports whether more may have been left in the socket.
func (c *Conn) Resume() (more bool) {
	if c.state != stateOpen || c.rest == nil {
		return false
	}
	buf, paused := *c.rest, c.paused()
	c.rest = nil
	if n := c.recv.Receive(buf); c.state == stateOpen {
		c.keep(buf, n, true)
	}
	if paused && !c.paused() && c.state != stateClosed {
		c.poll(true)
	}
	return paused
}

// Write sends b and queues what the kernel does not take now. b is borrowed
// until it returns. A failure closes the connection later, not here.
func (c *Conn) Write(b []byte) {
	c.unbatch()
	if c.state == stateLinger || c.state == stateClosed || c.broken {
		return
	}
	if c.tls != nil {
		b = c.seal(b)
	}
	c.transmit(b)
}

// transmit sends b as it is.
func (c *Conn) transmit(b []byte) {
	if len(b) == 0 || c.state == stateClosed {
		return
	}
	if c.gc.OutboundBuffered() == 0 {
		n, errno := send(c.gc.Fd(), b)
		switch errno {
		case 0:
			if n == len(b) {
				return
			}
			b = b[n:]
		case unix.EAGAIN, unix.EINTR:
		default:
			c.fail()
			return
		}
	}
	_, _ = c.gc.Write(b) // a failure has called closed
	if c.state == stateOpen && c.paused() {
		c.poll(false) // gnet has asked for input, too
	}
}

// fail has the connection closed when the loop is back from what it does.
func (c *Conn) fail() {
	if c.broken {
		return
	}
	c.broken = true
	c.loop.broken = append(c.loop.broken, c)
	if len(c.loop.broken) == 1 {
		c.loop.execute(c.loop.turnTask)
	}
}

// Queued returns the bytes that wait in user space to be sent.
func (c *Conn) Queued() int {
	if c.state == stateClosed {
		return 0
	}
	return c.gc.OutboundBuffered()
}

// Finish ends the connection once everything is sent. The Receiver hears
// nothing more.
func (c *Conn) Finish() {
	c.unbatch()
	if c.state == stateLinger || c.state == stateClosed {
		return
	}
	c.recv = nil
	if c.tls != nil {
		if c.farewell(); c.state == stateClosed {
			return
		}
	}
	if c.paused() {
		c.rest = nil
		c.poll(true) // to the end
	}
	c.state = stateLinger
	c.loop.lingering = append(c.loop.lingering, deadline{c, time.Now().Add(lingerTime)})
	c.shutdownIfSent()
	l, queued := c.loop, int64(c.Queued())
	if l.cfg.MaxLinger > 0 && queued > 0 && l.lingers > l.cfg.MaxLinger/int64(l.cfg.Loops) {
		c.fail() // there is no room to wait for one more client
		return
	}
	l.lingers += queued
}

// shutdownIfSent shuts the write side of a lingering connection.
func (c *Conn) shutdownIfSent() {
	if !c.shut && !c.broken && c.gc.OutboundBuffered() == 0 {
		c.shut = true
		_ = unix.Shutdown(c.gc.Fd(), unix.SHUT_WR) // a failure ends the connection by itself
	}
}

// abort closes the connection at once.
func (c *Conn) abort() {
	if c.state != stateClosed {
		_ = c.gc.EventLoop().Close(c.gc) // calls closed
	}
}

// closed notes that gnet has closed the connection.
func (c *Conn) closed() {
	if c.state == stateClosed { // handed off
		return
	}
	c.unbatch() // its descriptor may soon be another's
	c.loop.conns.Add(-1)
	if c.tls != nil {
		c.tls.end()
		c.tls = nil
	}
	recv, unread := c.recv, c.unread()
	c.state, c.recv, c.rest = stateClosed, nil, nil
	if recv != nil {
		recv.Closed(unread)
	}
	c.forgetAddr()
}
