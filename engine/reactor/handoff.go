package reactor

import (
	"errors"
	"net"
	"os"
	"slices"

	"github.com/panjf2000/gnet/v2"

	"signalbox/engine/secure"
)

// handOff gives the connection with what has been read of it to the sidecar.
func (c *Conn) handOff(read []byte) gnet.Action {
	if c.gc.OutboundBuffered() > 0 { // of a TLS handshake: the sidecar must not overtake it
		c.refuse(unavailable)
		return gnet.None
	}
	nc, err := c.duplicate()
	if err != nil {
		c.refuse(unavailable)
		return gnet.None
	}
	c.state = stateClosed
	lent := c.loop.lend(nc)
	if c.tls != nil {
		lent.over(c.tls.conn)
		c.tls = nil
	}
	c.loop.conns.Add(-1) // counted once: this descriptor is closed before the loop accepts another
	c.loop.cfg.Sidecar(lent, slices.Clone(read))
	return gnet.Close // this descriptor; the sidecar's keeps the connection
}

// duplicate returns the connection on another descriptor.
func (c *Conn) duplicate() (*net.TCPConn, error) {
	fd, err := c.gc.Dup()
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "handoff")
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	if tc, ok := nc.(*net.TCPConn); ok && tc.RemoteAddr() != nil {
		return tc, nil
	}
	return nil, errors.Join(errors.New("reactor: the client is gone"), nc.Close())
}

// enrolling is how many connections enter the loops at a time. On their way
// each has a descriptor more than the budget knows of.
const enrolling = 8

// Enroll takes a connection from the sidecar, with what has been read of it
// from its next request on. Any goroutine. It closes nc, which came from Share
// or with Config.Sidecar.
func (r *Reactor) Enroll(nc net.Conn, read []byte) error {
	lent, ok := nc.(*lentConn)
	if !ok {
		return errors.Join(errors.New("reactor: a foreign connection"), nc.Close())
	}
	select {
	case <-r.bootedC:
	case <-r.endedC:
		return errors.Join(errEnded, lent.Close())
	}
	r.enrollC <- struct{}{}
	defer func() { <-r.enrollC }()
	r.enrollMu.RLock()
	defer r.enrollMu.RUnlock()
	if r.stopping.Load() {
		return errors.Join(errStopping, lent.Close())
	}
	lent.giveBack()
	if lent.tls != nil {
		lent.tls.Back()
	}
	return r.register(lent.tcp, &enrolled{read, lent.tls})
}

// enrolled is a connection that the sidecar gives back.
type enrolled struct {
	read []byte
	tls  *secure.Conn // nil: plain
}
