package client

import (
	"crypto/x509"
	"net"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWhyHandshakeFails: a server that ends the connection because the handshake has
// failed is not the cause, though its end may be seen first.
func TestWhyHandshakeFails(t *testing.T) {
	unknown := x509.UnknownAuthorityError{}
	for _, tt := range []struct {
		name string
		err  error // of the handshake
		want Cause
	}{
		{"it has failed", unknown, Cause{During: "connect", Text: unknown.Error()}},
		{"the server's end ends it", net.ErrClosed, Cause{During: "connect"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := newLoop(0)
			if err != nil {
				t.Fatal(err)
			}
			defer l.release()
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fds[0])}
			if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fds[0], &event); err != nil {
				t.Fatal(err)
			}
			if err := unix.Close(fds[1]); err != nil {
				t.Fatal(err)
			}
			h := &heard{}
			s := &session{shaking: true}
			s.more = sync.NewCond(&s.mu)
			c := &Conn{Loop: l, fd: fds[0], state: shaking, session: s, spec: Spec{Handler: h}}
			l.conns = make([]*Conn, fds[0]+1)
			c.event(unix.EPOLLIN)
			if len(h.causes) != 0 {
				t.Errorf("got %v before the handshake has told", h.causes)
			}
			c.secured(tt.err)
			if len(h.causes) != 1 || h.causes[0] != tt.want {
				t.Errorf("got %v, want %v", h.causes, tt.want)
			}
		})
	}
}
