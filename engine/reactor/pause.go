package reactor

import (
	"reflect"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// pauseAt is how many bytes of input wait for a Receiver that is not ready before the
// rest is left in the socket, where TCP has the client wait.
const pauseAt = 64 << 10

// paused reports whether so much input waits that no more is read.
func (c *Conn) paused() bool { return len(c.unread()) > pauseAt }

// poll has the loop read the socket, or not. gnet knows nothing of it: once it has had
// to wait for the socket to take something it reads again, a buffer at a time, before
// it is told anew.
func (c *Conn) poll(read bool) {
	if c.loop.epoll < 0 {
		return
	}
	// What gnet asks for, see its netpoll package.
	event := unix.EpollEvent{Fd: int32(c.gc.Fd())}
	if read {
		event.Events |= unix.EPOLLIN | unix.EPOLLPRI
	}
	if c.gc.OutboundBuffered() > 0 {
		event.Events |= unix.EPOLLOUT
	}
	_ = unix.EpollCtl(c.loop.epoll, unix.EPOLL_CTL_MOD, c.gc.Fd(), &event) // fails if the connection is gone
}

// epollOf returns the epoll descriptor of gnet's event loop, which it keeps to
// itself; -1 if it is not where it is expected. Then input is read until
// Receiver.Overflow ends that.
func epollOf(el gnet.EventLoop) int {
	v := reflect.ValueOf(el)
	for _, field := range []string{"poller", "fd"} {
		if v = reflect.Indirect(v); v.Kind() != reflect.Struct {
			return -1
		}
		v = v.FieldByName(field)
	}
	if !v.CanInt() {
		return -1
	}
	return int(v.Int())
}
