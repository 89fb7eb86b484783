package sim

import (
	"bytes"
	"encoding/binary"
	"slices"

	"signalbox/bench/client"
	"signalbox/engine/session"
	"signalbox/protocol/frame"
)

// conn is a connection without a socket, with a client at its far end that
// takes everything at once. Loop-owned.
type conn struct {
	loop    *loop
	session *session.Session // nil before it is open and after it is closed
}

// pongFrame is a client's answer to a ping.
var pongFrame = client.AppendFrame(nil, frame.OpPong, nil)

// pingFrame is the server's ping. It is the first of what a turn writes to a
// session, whatever follows it.
var pingFrame = []byte{0x80 | byte(frame.OpPing), 0}

// Write implements session.Conn.
func (c *conn) Write(b []byte) {
	l := c.loop
	l.burn()
	if bytes.HasPrefix(b, pingFrame) {
		l.pings++
		l.push(func() { l.feed(c, slices.Clone(pongFrame)) })
		if b = b[len(pingFrame):]; len(b) == 0 {
			return
		}
	}
	l.writes++
	l.bytes += int64(len(b))
	if l.hear != nil {
		l.read(c, b)
	}
}

// Batch implements session.Conn: a write costs no system call here.
func (c *conn) Batch([]byte) bool { return false }

// Queued implements session.Conn: nothing ever waits.
func (c *conn) Queued() int { return 0 }

// Finish implements session.Conn. No session is closed by the server unless it
// finds fault with what the simulation does.
func (c *conn) Finish() {
	c.session = nil
	c.loop.finished.Add(1)
}

// Resume implements session.Conn: all that has come is held.
func (c *conn) Resume() (more bool) {
	if b := c.loop.held[c]; b != nil {
		delete(c.loop.held, c)
		c.receive(b)
	}
	return false
}

// receive hands over input and keeps what the session does not take now.
func (c *conn) receive(b []byte) {
	if n := c.session.Receive(b); n < len(b) {
		c.loop.held[c] = slices.Clone(b[n:])
	}
}

// feed is the event of a frame from the client. It unmasks b in place.
func (l *loop) feed(c *conn, b []byte) {
	l.upper.Begin()
	switch {
	case c.session == nil:
	case !c.session.Ready() || l.held[c] != nil:
		l.held[c] = append(l.held[c], b...)
	default:
		c.receive(b)
	}
}

// hangUp is the event of a lost connection.
func (l *loop) hangUp(c *conn) {
	l.upper.Begin()
	if s := c.session; s != nil {
		c.session = nil
		s.Closed(l.held[c])
		delete(l.held, c)
		delete(l.missing, c)
	}
}

// read tells l.hear of every text frame that begins in b. Writes begin with a
// frame, but for those of a long snapshot, which is written in parts: what is
// missing of its last frame comes next.
func (l *loop) read(c *conn, b []byte) {
	if n := l.missing[c]; n > 0 {
		if n > len(b) {
			l.missing[c] = n - len(b)
			return
		}
		delete(l.missing, c)
		b = b[n:]
	}
	for len(b) > 0 {
		head, size := header(b)
		end := head + size
		op := frame.Opcode(b[0] & 0x0f)
		if end > len(b) {
			l.missing[c] = end - len(b)
			end = len(b)
		}
		if op == frame.OpText && l.hear != nil { // it may have heard enough
			l.hear(c, client.KindOf(b[head:end]), size)
		}
		b = b[end:]
	}
}

// header returns the size of the server frame's header that b begins with, and
// that of the payload behind it. The server's frames are not masked.
func header(b []byte) (head, size int) {
	switch b[1] {
	case 126:
		return 4, int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		return 10, int(binary.BigEndian.Uint64(b[2:]))
	}
	return 2, int(b[1])
}
