package secure

import (
	"container/list"
	"errors"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// maxEarly is how many bytes a client may send during its handshake, beyond what
// the handshake has used up.
const maxEarly = 128 << 10

var (
	// ErrDropped tells that a handshake has made room for others.
	ErrDropped = errors.New("secure: too many handshakes")
	// ErrEarly tells that a client sent too much before its handshake was over.
	ErrEarly = errors.New("secure: too much input during the handshake")

	errAbandoned = errors.New("secure: the handshake was abandoned")
	errChallenge = errors.New("secure: an ACME challenge was answered")
)

// Handshake is a handshake at work. Its methods are for the event loop.
type Handshake struct {
	// Immutable after Begin.
	all   *Handshakes
	news  func()
	conn  *Conn
	moreC chan struct{} // holds a token when in or gone has changed

	// Guarded by all.mu.
	parked  *list.Element // in all.parked, from the first wait for the client on
	since   time.Time     // of that wait
	waiting bool          // for the client, now

	// Guarded by mu.
	mu    sync.Mutex
	in    []byte // from the client, not read yet
	out   []byte // to the client, not taken yet
	told  bool   // news was called, and nothing has been taken since
	gone  error  // why it is to end
	ended bool
	err   error // once ended; nil: well
}

// Feed gives the handshake more of what the client has sent. b is borrowed until
// it returns. The error is ErrEarly.
func (h *Handshake) Feed(b []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.in)+len(b) > maxEarly {
		return ErrEarly
	}
	h.in = append(h.in, b...)
	h.wake()
	return nil
}

// Take appends to dst what is to be sent to the client, and reports whether the
// handshake has ended, and with what error.
func (h *Handshake) Take(dst []byte) (out []byte, ended bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	dst = append(dst, h.out...)
	h.out, h.told = nil, false
	return dst, h.ended, h.err
}

// Finish returns the connection of a handshake that has ended well, and the bytes
// of the client's that it has not read: they are for Open.
func (h *Handshake) Finish() (c *Conn, unread []byte) {
	h.conn.wire.hs = nil // nobody else is left to lock out
	return h.conn, h.in
}

// Abandon ends the handshake: its client is gone or has had its time.
func (h *Handshake) Abandon() { h.drop(errAbandoned) }

// drop has the handshake end with err.
func (h *Handshake) drop(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone == nil {
		h.gone = err
	}
	h.wake()
}

// wake lets read look again. mu is held.
func (h *Handshake) wake() {
	select {
	case h.moreC <- struct{}{}:
	default:
	}
}

// read is the wire's Read: it waits for the client, and lets others compute
// meanwhile.
func (h *Handshake) read(p []byte) (int, error) {
	for {
		h.mu.Lock()
		if h.gone != nil {
			defer h.mu.Unlock()
			return 0, h.gone
		}
		if n := copy(p, h.in); n > 0 {
			h.in = h.in[n:]
			h.mu.Unlock()
			return n, nil
		}
		tell := len(h.out) > 0 && !h.told
		h.told = h.told || tell
		h.mu.Unlock()
		if tell {
			h.news()
		}
		h.all.park(h)
		<-h.moreC
		h.all.unpark(h)
	}
}

// write is the wire's Write.
func (h *Handshake) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.out = append(h.out, p...)
	return len(p), nil
}

// run shakes hands.
func (h *Handshake) run() {
	err := h.conn.tls.Handshake()
	if err == nil && h.conn.tls.ConnectionState().NegotiatedProtocol == acme.ALPNProto {
		err = errChallenge
	}
	h.end(err)
}

// end notes how the handshake has ended and tells.
func (h *Handshake) end(err error) {
	h.mu.Lock()
	if h.gone != nil {
		err = h.gone
	}
	h.ended, h.err = true, err
	tell := !h.told
	h.told = true
	h.mu.Unlock()
	if tell {
		h.news()
	}
}
