package reactor

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// doorbell is a socket pair whose one end the loop polls like any connection:
// a task that comes by it waits its turn among them, which a task in gnet's
// queue does not.
type doorbell struct {
	loop   *loop    // set when the loop hears of it
	button *os.File // the other end; closed when no loop runs any more
	rung   atomic.Bool
}

// ring makes the loop's end readable. It reports whether the loop will hear it.
func (d *doorbell) ring() bool {
	if d.rung.Swap(true) {
		return true
	}
	_, err := d.button.Write([]byte{1}) // at most one byte is under way: it never blocks
	return err == nil
}

// heard is called when the loop's end is readable.
func (d *doorbell) heard() {
	d.rung.Store(false)
	d.loop.turn()
	d.loop.turned = false // its own turn among the sockets
}

// hangDoorbells gives every loop a doorbell: gnet hands them out in turn.
func (r *Reactor) hangDoorbells() error {
	for range r.loops {
		if err := r.hangDoorbell(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reactor) hangDoorbell() error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	d := &doorbell{button: os.NewFile(uintptr(fds[1]), "doorbell")}
	f := os.NewFile(uintptr(fds[0]), "doorbell")
	c, err := net.FileConn(f)
	_ = f.Close()
	if err == nil {
		err = r.register(c, d)
	}
	if err != nil {
		_ = d.button.Close()
		return fmt.Errorf("doorbell: %w", err)
	}
	return nil
}

func (r *Reactor) closeDoorbells() {
	for _, l := range r.loops {
		if d := l.bell.Load(); d != nil {
			_ = d.button.Close()
		}
	}
}

// register has one of the loops open c, whose context it will be. It closes c.
func (r *Reactor) register(c net.Conn, content any) error {
	ctx := gnet.NewNetConnContext(gnet.NewContext(context.Background(), content), c)
	r.registerMu.Lock() // gnet picks the loop without a lock of its own
	resultC, err := r.engine.Register(ctx)
	r.registerMu.Unlock()
	if err != nil {
		_ = c.Close()
		return err
	}
	select {
	case res := <-resultC:
		return res.Err
	case <-r.endedC:
		return errEnded
	}
}
