package reactor

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"

	"github.com/panjf2000/gnet/v2"
)

// handOff gives the connection with what has been read of it to the sidecar.
func (c *Conn) handOff(read []byte) gnet.Action {
	fd, err := c.gc.Dup()
	if err != nil {
		c.refuse(unavailable)
		return gnet.None
	}
	f := os.NewFile(uintptr(fd), "handoff")
	nc, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		c.refuse(unavailable)
		return gnet.None
	}
	c.state = stateClosed
	c.loop.cfg.Sidecar(nc, slices.Clone(read))
	return gnet.Close // this descriptor; the sidecar's keeps the connection
}

// Enroll takes a connection from the sidecar, with what has been read of it
// from its next request on. Any goroutine. It closes nc.
func (r *Reactor) Enroll(nc net.Conn, read []byte) error {
	if r.stopping.Load() {
		return errors.Join(errors.New("reactor: stopping"), nc.Close())
	}
	ctx := gnet.NewNetConnContext(gnet.NewContext(context.Background(), read), nc)
	resultC, err := r.engine.Register(ctx)
	if err != nil {
		return errors.Join(err, nc.Close())
	}
	return (<-resultC).Err
}
