package frame

import (
	"errors"
	"fmt"
	"testing"
)

// maxRest is what Next may leave unconsumed: a header and a control payload.
const maxRest = 139

// connection gives a Reader its bytes piece by piece, as an event loop does,
// and keeps what came out.
type connection struct {
	t     testing.TB
	limit int
	r     Reader
	rest  []byte // Not consumed yet.
	got   []message
	err   error
}

// receive presents what was left and piece behind it. It reports whether the
// connection is still good.
func (c *connection) receive(piece []byte) bool {
	c.t.Helper()
	buf := append(append([]byte(nil), c.rest...), piece...)
	for at := 0; ; {
		m, n, err := c.r.Next(buf[at:], c.limit)
		if n < 0 || n > len(buf)-at {
			c.t.Fatalf("Next consumed %d of %d bytes", n, len(buf)-at)
		}
		if err != nil {
			c.err = err
			if m.Op != 0 || c.r != (Reader{}) {
				c.t.Fatalf("after %v: message %#x, reader %+v", err, m.Op, c.r)
			}
			return false
		}
		c.checkMemory()
		if m.Op != 0 {
			c.got = append(c.got, message{m.Op, string(m.Payload)})
		}
		// What was consumed is the caller's again.
		for i := range buf[at : at+n] {
			buf[at+i] = 0xaa
		}
		at += n
		if m.Op == 0 {
			c.rest = append(c.rest[:0], buf[at:]...)
			if len(c.rest) > maxRest {
				c.t.Fatalf("%d bytes left unconsumed, want at most %d", len(c.rest), maxRest)
			}
			return true
		}
	}
}

// checkMemory holds the Reader to what doc.go says about its buffer.
func (c *connection) checkMemory() {
	c.t.Helper()
	pending := c.r.Pending()
	if pending > c.limit {
		c.t.Fatalf("%d bytes pending, over the limit of %d", pending, c.limit)
	}
	if p := c.r.partial; p != nil && cap(p.payload) > min(max(2*pending, firstGrowth), c.limit) {
		c.t.Fatalf("buffer of %d bytes for %d pending", cap(p.payload), pending)
	}
}

// check compares what came out.
func (c *connection) check(want []message, wantErr string) {
	c.t.Helper()
	if got := describe(c.err); got != wantErr {
		c.t.Errorf("error %q, want %q", got, wantErr)
	}
	if len(c.got) != len(want) {
		c.t.Fatalf("%d messages %v, want %d %v", len(c.got), c.got, len(want), want)
	}
	for i := range want {
		if c.got[i] != want[i] {
			c.t.Errorf("message %d: %v, want %v", i, c.got[i], want[i])
		}
	}
}

// describe is the close code and text of an error of this package.
func describe(err error) string {
	if err == nil {
		return ""
	}
	var e *Error
	if !errors.As(err, &e) {
		return fmt.Sprintf("%T %v", err, err)
	}
	return fmt.Sprintf("%d %s", e.Code, e)
}
