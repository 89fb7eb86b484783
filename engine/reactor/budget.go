package reactor

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"sync/atomic"

	"signalbox/engine/secure"
)

// budget counts the connections that the loops do not own, so that they and the
// loops' own keep to the capacity together: gnet ends when accept finds no
// descriptor left.
type budget struct {
	// Immutable.
	capacity int64 // connections the descriptors allow
	ceiling  int   // descriptors from this number on are for others

	// Any goroutine (atomic).
	lent atomic.Int64
	full atomic.Int64 // refusals
}

// refusing is how many refused connections may linger, to read why; those
// beyond are closed at once.
const refusing = 16

// excess returns how many connections the server has beyond its capacity.
func (r *Reactor) excess() int64 { return r.conns.Load() + r.lent.Load() - r.capacity }

// excessWith is excess once a connection has this descriptor. The kernel hands out the
// lowest number that is free: one at the ceiling says that all below are taken, by
// whomever, and that what is left was promised to others.
func (r *Reactor) excessWith(fd int) int64 {
	if fd >= r.ceiling {
		return math.MaxInt64
	}
	return r.excess()
}

// noteFull logs refusals, ever less often.
func (r *Reactor) noteFull() {
	if n := r.full.Add(1); n&(n-1) == 0 {
		r.cfg.Logger.Warn("connection refused: descriptors are used up", "connections", r.capacity, "refused", n)
	}
}

// lentConn is a connection that is counted while net/http has it.
type lentConn struct {
	net.Conn // what is spoken over: socket, or TLS over it
	socket   socket
	tls      *secure.Conn // nil: plain
	client   netip.Addr   // if told
	told     bool         // by a proxy; the zero Addr: nobody's
	reactor  *Reactor
	mine     *atomic.Int64 // its listener's count, nil if a loop has accepted it
	given    atomic.Bool
}

// socket is a TCP or a unix connection.
type socket interface {
	net.Conn
	CloseWrite() error
}

// lend counts c until it is closed or enrolled.
func (r *Reactor) lend(c socket) *lentConn {
	r.lent.Add(1)
	return &lentConn{Conn: c, socket: c, reactor: r}
}

// over has the connection speak TLS. It is not in use yet.
func (c *lentConn) over(tls *secure.Conn) { c.Conn, c.tls = tls.Over(c.socket), tls }

// CloseWrite ends the server's side.
func (c *lentConn) CloseWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite() // both kinds have it
}

// giveBack ends the counting.
func (c *lentConn) giveBack() {
	if c.given.Swap(true) {
		return
	}
	c.reactor.lent.Add(-1)
	if c.mine != nil {
		c.mine.Add(-1)
	}
}

// Close closes the connection.
func (c *lentConn) Close() error {
	defer c.giveBack()
	return c.Conn.Close()
}

// Share has the connections of a TCP or unix listener count against the capacity. When
// the server is full, those beyond reserve, which is at most a handful, are
// closed at once.
func (r *Reactor) Share(ln net.Listener, reserve int64) net.Listener {
	return &sharedListener{Listener: ln, reactor: r, reserve: reserve}
}

type sharedListener struct {
	net.Listener
	reactor *Reactor
	reserve int64
	mine    atomic.Int64
}

// Accept returns the next connection for which there is room.
func (l *sharedListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		sc, ok := nc.(socket)
		if !ok {
			return nil, errors.Join(errors.New("reactor: neither TCP nor unix"), nc.Close())
		}
		c := l.reactor.lend(sc)
		c.mine = &l.mine
		if l.mine.Add(1) <= l.reserve || l.reactor.excess() <= 0 {
			return c, nil
		}
		l.reactor.noteFull()
		_ = c.Close() // nothing to be done about it
	}
}
