package secure

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
)

// Conn is the server's side of a TLS connection whose handshake is through.
type Conn struct {
	tls  *tls.Conn
	wire wire
}

// openSpace is how much room Open has for one read, in bytes, at least.
const openSpace = 1 << 10

// Open takes the bytes that have come, which are borrowed until it returns, and
// appends the application data in them to dst: at most as many bytes as came,
// and 16 KiB that an earlier owner of the Conn has left in it. reply, if any, is
// to be sent whether or not there is an error. The error is io.EOF if the client
// has said that it is done; any other is a breach, told to the client in reply.
// plain counts with an error, too.
func (c *Conn) Open(dst, in []byte) (plain, reply []byte, err error) {
	c.wire.in = in
	for err == nil {
		var n int
		dst = slices.Grow(dst, openSpace)
		n, err = c.tls.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
	}
	if err == errWait {
		err = nil
	}
	reply = c.wire.out
	c.wire.in, c.wire.out = nil, nil
	return dst, reply, err
}

// Seal appends b to dst as records. It fails once the connection is broken or
// shut.
func (c *Conn) Seal(dst, b []byte) ([]byte, error) {
	if len(b) == 0 {
		return dst, nil
	}
	c.wire.out = dst
	_, err := c.tls.Write(b)
	dst = c.wire.out
	c.wire.out = nil
	return dst, err
}

// Shut appends to dst what tells the client that nothing follows, close_notify.
func (c *Conn) Shut(dst []byte) []byte {
	c.wire.out = dst
	_ = c.tls.CloseWrite() // fails if an alert has said more than that
	dst = c.wire.out
	c.wire.out = nil
	return dst
}

// Over returns the connection for use by goroutines, over the socket nc, until
// Back. All that has come before has been given to Open.
func (c *Conn) Over(nc net.Conn) net.Conn {
	c.wire.nc = nc
	return &stream{c.tls, nc}
}

// Back ends what Over began. Nobody uses that connection any more; nc stays open.
// What is read but not used up comes with the next Open.
func (c *Conn) Back() { c.wire.nc = nil }

// stream is a TLS connection over a socket, with an end to its write side that
// the socket sees, too.
type stream struct {
	*tls.Conn
	nc net.Conn
}

// CloseWrite tells the client that nothing follows, and the socket, too.
func (s *stream) CloseWrite() error {
	err := s.Conn.CloseWrite()
	if half, ok := s.nc.(interface{ CloseWrite() error }); ok {
		err = errors.Join(err, half.CloseWrite())
	}
	return err
}

var _ io.ReadWriteCloser = (*stream)(nil)
