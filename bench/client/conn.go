package client

import (
	"bytes"
	"crypto/tls"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"signalbox/protocol/frame"
)

// Script is what a connection says until it is ready. With neither Welcome nor
// Acks it is ready once it is upgraded.
type Script struct {
	Request []byte      // the HTTP upgrade request, see Upgrade
	Welcome bool        // the server sends a welcome frame first
	Hello   []byte      // masked frames said then, none if empty
	Acks    int         // acks that answer Hello
	Lines   *Lines      // nil: a text frame is one message, as this server's
	TLS     *tls.Config // nil: plain
}

// Spec says how to open a connection.
type Spec struct {
	Index   int // the caller's number for it
	Loop    int // the loop it lives on
	Addr    netip.AddrPort
	Source  netip.Addr // address to bind, the system's choice if zero
	RecvBuf int        // bytes of kernel receive buffer, the system's choice if 0
	Script  Script
	Handler Handler
}

// Handler gets what happens to a connection, on its loop's thread.
type Handler interface {
	// Ready tells that the script is through.
	Ready(c *Conn)
	// Text takes a text frame that the script has not used up. payload is
	// borrowed until it returns.
	Text(c *Conn, payload []byte)
	// Closed tells that the connection has ended or could not be opened. It is
	// called once, and not after Close.
	Closed(c *Conn, why Cause)
}

type state uint8

const (
	waiting    state = iota // for its turn to be dialled
	connecting              // the request is not sent yet
	shaking                 // the TLS handshake runs
	upgrading               // waiting for the 101
	joining                 // waiting for the welcome or the acks
	ready
	closed
)

// during is what a state is called in a Cause.
func (s state) during() string {
	switch s {
	case waiting, connecting, shaking:
		return "connect"
	case upgrading:
		return "upgrade"
	case joining:
		return "subscribe"
	}
	return "open"
}

// Conn is one client connection. All its methods belong to its loop's thread.
type Conn struct {
	// Immutable after open.
	Index   int
	Loop    *Loop
	DueAt   int64 // when it was to be dialled, as Now
	spec    Spec
	opening *opening // nil if opened by Loop.Dial

	// Loop-owned.
	ReadyAt int64 // as Now, 0 before
	fd      int
	serial  int32 // tells events of this socket from those of an earlier one
	state   state
	welcome bool     // still to come
	acks    int      // still to come
	dirty   bool     // on the loop's list of those to flush
	polled  bool     // EPOLLOUT is asked for
	stalled bool     // EPOLLIN is not asked for
	session *session // nil: plain
	in      []byte
	out     []byte // as it is to be sent: with TLS, records
}

// IsReady reports whether the connection is open and its script is through.
func (c *Conn) IsReady() bool { return c.state == ready }

// Send queues masked frames, see AppendText. They leave at the end of the
// loop's turn. The bytes are copied.
func (c *Conn) Send(frames []byte) {
	if c.state == closed {
		return
	}
	c.queue(frames)
	if !c.dirty {
		c.dirty = true
		c.Loop.dirty = append(c.Loop.dirty, c)
	}
}

// queue appends b to what is to be sent.
func (c *Conn) queue(b []byte) {
	if c.session == nil {
		c.out = append(c.out, b...)
		return
	}
	// It fails once the server has ended the connection, which receive sees.
	c.out, _ = c.session.seal(c.out, b)
}

// Stall stops reading, so that the server's output piles up.
func (c *Conn) Stall() {
	c.stalled = true
	c.poll()
}

// Resume reads again after Stall.
func (c *Conn) Resume() {
	c.stalled = false
	c.poll()
}

// Close ends the connection without a close handshake, as a cut cable or a
// killed client does. Handler.Closed is not called.
func (c *Conn) Close() {
	if c.state != closed {
		c.drop()
	}
}

// fail ends the connection and tells why.
func (c *Conn) fail(why Cause) {
	if c.state == closed {
		return
	}
	why.During = c.state.during()
	c.drop()
	c.spec.Handler.Closed(c, why)
	if c.opening != nil {
		c.opening.failed(why)
	}
}

func (c *Conn) drop() {
	l := c.Loop
	if c.state != ready && c.state != waiting {
		l.opens--
	}
	c.state = closed
	if c.fd >= 0 {
		l.conns[c.fd] = nil
		_ = unix.Close(c.fd)
		c.fd = -1
	}
	c.in, c.out = nil, nil
	if c.session != nil {
		c.session.end()
	}
}

// become marks the script as through.
func (c *Conn) become() {
	c.state = ready
	c.ReadyAt = Now()
	c.Loop.opens--
	c.spec.Handler.Ready(c)
	if c.opening != nil {
		c.opening.succeeded()
		c.opening = nil
	}
}

// event handles what epoll tells.
func (c *Conn) event(events uint32) {
	if c.state == connecting {
		if errno := socketError(c.fd); errno != 0 {
			c.fail(Cause{Errno: errno})
			return
		}
		if c.spec.Script.TLS != nil {
			c.secure()
		} else {
			c.request()
		}
		return
	}
	if events&unix.EPOLLOUT != 0 {
		c.flush()
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 && c.state != closed {
		c.receive()
	}
}

// request sends the upgrade request once the socket is connected.
func (c *Conn) request() {
	c.queue(c.spec.Script.Request)
	c.spec.Script.Request = nil
	c.state = upgrading
	c.flush()
}

// flush sends what is queued and asks to be told when the rest fits.
func (c *Conn) flush() {
	for len(c.out) > 0 && c.state != closed {
		n, errno := send(c.fd, c.out)
		if errno == unix.EAGAIN {
			break
		}
		if errno != 0 {
			// What the server said before it closed is still to be read.
			c.out = c.out[:0]
			break
		}
		c.out = c.out[:copy(c.out, c.out[n:])]
	}
	if c.state != closed && (len(c.out) > 0) != c.polled {
		c.polled = len(c.out) > 0
		c.poll()
	}
}

// poll tells epoll what is of interest now.
func (c *Conn) poll() {
	if c.state == closed {
		return
	}
	var events uint32
	if !c.stalled {
		events |= unix.EPOLLIN
	}
	if c.polled {
		events |= unix.EPOLLOUT
	}
	event := unix.EpollEvent{Events: events, Fd: int32(c.fd), Pad: c.serial}
	if err := unix.EpollCtl(c.Loop.epoll, unix.EPOLL_CTL_MOD, c.fd, &event); err != nil {
		c.fail(Cause{Text: "epoll_ctl: " + err.Error()})
	}
}

// receive reads once and handles all whole frames there are.
func (c *Conn) receive() {
	l := c.Loop
	if c.session != nil {
		c.receiveRecords()
		return
	}
	have := copy(l.buf, c.in)
	n, errno := recv(c.fd, l.buf[have:min(have+readSize, len(l.buf))])
	switch {
	case errno == unix.EAGAIN:
		return
	case errno != 0:
		c.fail(Cause{Errno: errno})
		return
	case n == 0:
		c.fail(Cause{})
		return
	}
	l.bytes += uint64(n)
	l.readAt = Now()
	c.handle(l.buf[:have+n])
}

// handle handles all whole frames in buf and keeps the rest.
func (c *Conn) handle(buf []byte) {
	used, err := c.consume(buf)
	if c.state == closed {
		return
	}
	if err != nil {
		c.fail(Cause{Text: err.Error()})
		return
	}
	c.in = append(c.in[:0], buf[used:]...)
}

// consume handles what is whole in buf and returns how much that was.
func (c *Conn) consume(buf []byte) (used int, err error) {
	if c.state == upgrading {
		end := bytes.Index(buf, headEnd)
		if end < 0 {
			if len(buf) > maxHead {
				err = errHead
			}
			return 0, err
		}
		used = end + len(headEnd)
		if status := checkUpgrade(buf[:used]); status == 0 {
			c.fail(Cause{Text: errAnswer})
			return 0, nil
		} else if status != switchingProtocols {
			c.fail(Cause{Status: status})
			return 0, nil
		}
		c.upgraded()
	}
	for c.state != closed {
		h, size, err := parseHeader(buf[used:])
		if err != nil {
			return used, err
		}
		if size == 0 || len(buf)-used < size+h.length {
			return used, nil
		}
		payload := buf[used+size : used+size+h.length]
		used += size + h.length
		c.frame(h.op, payload)
	}
	return used, nil
}

// upgraded begins the script's second half.
func (c *Conn) upgraded() {
	c.state = joining
	c.welcome, c.acks = c.spec.Script.Welcome, c.spec.Script.Acks
	if !c.welcome {
		c.greet()
	}
}

// greet says hello.
func (c *Conn) greet() {
	if hello := c.spec.Script.Hello; len(hello) > 0 {
		c.spec.Script.Hello = nil
		c.Send(hello)
	}
	if c.acks == 0 {
		c.become()
	}
}

// frame handles one frame.
func (c *Conn) frame(op frame.Opcode, payload []byte) {
	switch op {
	case frame.OpText:
		if l := c.spec.Script.Lines; l != nil {
			c.lines(l, payload)
			return
		}
		c.Loop.frames++
		if c.state == joining && c.join(payload) {
			return
		}
		c.spec.Handler.Text(c, payload)
	case frame.OpPing:
		c.Loop.pongs = AppendFrame(c.Loop.pongs[:0], frame.OpPong, payload)
		c.Send(c.Loop.pongs)
	case frame.OpPong:
	case frame.OpClose:
		code, err := frame.ParseClose(payload)
		if err != nil {
			c.fail(Cause{Text: err.Error()})
			return
		}
		c.Send(AppendFrame(nil, frame.OpClose, payload))
		c.flush()
		c.fail(Cause{Code: code})
	default:
		c.fail(Cause{Text: "unexpected opcode " + strconv.Itoa(int(op))})
	}
}

// join follows the script and reports whether the frame was for it.
func (c *Conn) join(payload []byte) bool {
	switch KindOf(payload) {
	case Welcome:
		if c.welcome {
			c.welcome = false
			c.greet()
		}
		return true
	case Ack:
		if c.acks--; c.acks == 0 {
			c.become()
		}
		return true
	case Error:
		c.fail(Cause{Text: errorCode(payload)})
		return true
	}
	return false
}

// socketError returns what became of a connect.
func socketError(fd int) syscall.Errno {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return unix.EBADF
	}
	return syscall.Errno(v)
}
