package reactor

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

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
	lent.client, lent.told = c.loop.clients[c]
	c.forgetAddr()
	if c.tls != nil {
		lent.over(c.tls.conn)
		c.tls = nil
	}
	c.loop.conns.Add(-1) // counted once: this descriptor is closed before the loop accepts another
	c.loop.cfg.Sidecar(lent, slices.Clone(read))
	return gnet.Close // this descriptor; the sidecar's keeps the connection
}

// duplicate returns the connection on another descriptor.
func (c *Conn) duplicate() (socket, error) {
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
	switch nc := nc.(type) {
	case *net.TCPConn:
		if nc.RemoteAddr() != nil {
			return nc, nil
		}
	case *net.UnixConn:
		return nc, nil
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
	return r.enroll(lent, &enrolled{read: read, tls: lent.tls, client: lent.client, told: lent.told})
}

// enroll has one of the loops open c.
func (r *Reactor) enroll(c *lentConn, e *enrolled) error {
	select {
	case <-r.bootedC:
	case <-r.endedC:
		return errors.Join(errEnded, c.Close())
	}
	r.enrollC <- struct{}{}
	defer func() { <-r.enrollC }()
	r.enrollMu.RLock()
	defer r.enrollMu.RUnlock()
	if r.stopping.Load() {
		return errors.Join(errStopping, c.Close())
	}
	c.giveBack()
	if c.tls != nil {
		c.tls.Back()
	}
	ownZone(c.socket.RemoteAddr())
	return r.register(c.socket, e)
}

// ownZone gives an address memory of its own for its zone: gnet, which takes it for that
// of its pool of buffers, recycles it with the connection, and net's is the name of the
// interface for everybody.
func ownZone(addr net.Addr) {
	if a, ok := addr.(*net.TCPAddr); ok {
		a.Zone = strings.Clone(a.Zone)
	}
}

// enrolled is a connection that a loop did not accept itself.
type enrolled struct {
	fresh  bool // nothing has been read; else the sidecar gives it back
	read   []byte
	tls    *secure.Conn // nil: plain
	client netip.Addr   // if told
	told   bool         // by a proxy; the zero Addr: nobody's
}
