package reactor

import (
	"errors"
	"io"

	"github.com/panjf2000/gnet/v2"

	"signalbox/engine/secure"
)

// transport is the TLS of a connection. Loop-owned.
type transport struct {
	hs   *secure.Handshake // from the end of the ClientHello on, while it lasts
	conn *secure.Conn      // from then on
}

var notTLS = &HTTPError{400, "invalid_request", "this port speaks TLS: use wss: or https:", ""}

// records takes what gnet has read of a connection with TLS.
func (c *Conn) records(buf []byte) gnet.Action {
	switch c.state {
	case stateHello:
		return c.readHello(buf)
	case stateShake:
		if err := c.tls.hs.Feed(buf); err != nil {
			c.noteTLS(err)
			return gnet.Close
		}
	case stateHead, stateOpen:
		return c.decrypt(buf)
	}
	return gnet.None
}

// readHello waits for the end of the ClientHello and begins the handshake.
func (c *Conn) readHello(buf []byte) gnet.Action {
	hello := append(c.unread(), buf...)
	c.rest = nil
	whole, err := secure.Hello(hello)
	switch {
	case errors.Is(err, secure.ErrPlain):
		c.refuse(notTLS)
	case err != nil:
		c.noteTLS(err)
		return gnet.Close
	case whole:
		c.state = stateShake
		c.tls.hs = c.loop.handshakes.Begin(hello, func() { c.loop.hear(c) })
	default:
		c.setUnread(hello)
	}
	return gnet.None
}

// hear has the loop look at a connection's handshake soon. Any goroutine.
func (l *loop) hear(c *Conn) {
	l.newsMu.Lock()
	l.news = append(l.news, c)
	first := len(l.news) == 1
	l.newsMu.Unlock()
	if first {
		l.execute(l.newsTask)
	}
}

// hearNews looks at the handshakes that have something to tell.
func (l *loop) hearNews() {
	l.newsMu.Lock()
	news := l.news
	l.news = nil
	l.newsMu.Unlock()
	for _, c := range news {
		if c.state == stateShake && c.shake() == gnet.Close {
			_ = c.gc.EventLoop().Close(c.gc) // not abort: one that was handed over is to go, too
		}
	}
	l.closeBroken()
}

// shake sends what the handshake has for the client, and ends it if it is over.
func (c *Conn) shake() gnet.Action {
	out, ended, err := c.tls.hs.Take(c.loop.sealed[:0])
	c.loop.sealed = recycled(out)
	c.transmit(out)
	if !ended || c.state != stateShake || c.broken {
		return gnet.None
	}
	hs := c.tls.hs
	c.tls.hs = nil
	if err != nil {
		c.noteTLS(err)
		if errors.Is(err, secure.ErrDropped) {
			return gnet.Close
		}
		c.Finish() // the alert may still be on its way
		return gnet.None
	}
	var unread []byte
	c.tls.conn, unread = hs.Finish()
	c.state = stateHead
	return c.decrypt(unread)
}

// comeBack goes on where the sidecar has ended, which may have left more than read
// in the TLS connection.
func (c *Conn) comeBack(read []byte) gnet.Action {
	plain, reply, err := c.tls.conn.Open(read, nil)
	c.transmit(reply)
	if err != nil {
		return gnet.Close
	}
	return c.feed(plain)
}

// end gives up a handshake that still runs.
func (t *transport) end() {
	if t.hs != nil {
		t.hs.Abandon()
	}
}

// noteTLS tells who looks closely why a connection ends.
func (c *Conn) noteTLS(err error) {
	c.loop.cfg.Logger.Debug("TLS connection ended", "error", err)
}

// decrypt deals with the application data in records.
func (c *Conn) decrypt(buf []byte) gnet.Action {
	plain, reply, err := c.tls.conn.Open(c.loop.opened[:0], buf)
	c.loop.opened = recycled(plain)
	c.transmit(reply)
	action := gnet.None
	if len(plain) > 0 {
		action = c.feed(plain)
	}
	if err == nil || action != gnet.None || c.state == stateLinger || c.state == stateClosed {
		return action
	}
	if errors.Is(err, io.EOF) { // as when the socket ends
		c.transmit(c.tls.conn.Shut(nil))
		return gnet.Close
	}
	c.noteTLS(err)
	recv, unread := c.recv, c.unread()
	c.Finish() // the alert in reply is to arrive
	c.rest = nil
	if recv != nil {
		recv.Closed(unread)
	}
	return gnet.None
}

// seal returns b as records, in memory that holds until the next seal; nil if
// that fails. A connection that is refused before its handshake gets b itself.
func (c *Conn) seal(b []byte) []byte {
	if c.tls.conn == nil {
		return b
	}
	sealed, err := c.tls.conn.Seal(c.loop.sealed[:0], b)
	c.loop.sealed = recycled(sealed)
	if err != nil {
		c.fail()
		return nil
	}
	return sealed
}

// farewell tells the client that nothing follows.
func (c *Conn) farewell() {
	if c.tls.conn == nil || c.broken {
		return
	}
	sealed := c.tls.conn.Shut(c.loop.sealed[:0])
	c.loop.sealed = recycled(sealed)
	c.transmit(sealed)
}

// maxRecycled is how much memory a loop keeps for the next records, in bytes.
const maxRecycled = 256 << 10

// recycled returns b's memory for the next use, unless that is too much of it.
func recycled(b []byte) []byte {
	if cap(b) > maxRecycled {
		return nil
	}
	return b[:0]
}
