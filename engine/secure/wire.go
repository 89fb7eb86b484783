package secure

import (
	"net"
	"time"
)

// wire is the connection that crypto/tls believes to speak over.
type wire struct {
	hs  *Handshake // while it is at work
	nc  net.Conn   // between Over and Back
	in  []byte     // borrowed while Open runs
	out []byte     // records to be sent, while Open, Seal or Shut runs
}

// errWait tells crypto/tls to come again when there are more bytes: it takes any
// error that is not temporary for the end.
var errWait net.Error = waitError{}

type waitError struct{}

func (waitError) Error() string   { return "secure: no bytes yet" }
func (waitError) Timeout() bool   { return true }
func (waitError) Temporary() bool { return true }

// Read takes what the client has sent.
func (w *wire) Read(p []byte) (int, error) {
	switch {
	case w.hs != nil:
		return w.hs.read(p)
	case w.nc != nil:
		return w.nc.Read(p)
	case len(w.in) == 0:
		return 0, errWait
	}
	n := copy(p, w.in)
	w.in = w.in[n:]
	return n, nil
}

// Write gathers records for the client.
func (w *wire) Write(p []byte) (int, error) {
	switch {
	case w.hs != nil:
		return w.hs.write(p)
	case w.nc != nil:
		return w.nc.Write(p)
	}
	w.out = append(w.out, p...)
	return len(p), nil
}

// Close closes the socket if there is one; an event loop's is not ours to close.
func (w *wire) Close() error {
	if w.nc != nil {
		return w.nc.Close()
	}
	return nil
}

func (w *wire) LocalAddr() net.Addr {
	if w.nc != nil {
		return w.nc.LocalAddr()
	}
	return wireAddr{}
}

func (w *wire) RemoteAddr() net.Addr {
	if w.nc != nil {
		return w.nc.RemoteAddr()
	}
	return wireAddr{}
}

func (w *wire) SetDeadline(t time.Time) error {
	if w.nc != nil {
		return w.nc.SetDeadline(t)
	}
	return nil
}

func (w *wire) SetReadDeadline(t time.Time) error {
	if w.nc != nil {
		return w.nc.SetReadDeadline(t)
	}
	return nil
}

func (w *wire) SetWriteDeadline(t time.Time) error {
	if w.nc != nil {
		return w.nc.SetWriteDeadline(t)
	}
	return nil
}

// wireAddr stands for an address that the event loop knows.
type wireAddr struct{}

func (wireAddr) Network() string { return "tls" }
func (wireAddr) String() string  { return "tls" }
