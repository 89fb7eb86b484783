// Package floor is the least that a fan-out over TCP can cost: one thread, one
// epoll, and a bare send for each socket and message. It speaks the hub's
// protocol (see package target) with one hub whatever the path, and checks
// nothing: it measures the kernel, so that servers can be told as a multiple of
// it. For DialoguePath it is the least that a connect with a dialogue can cost.
//
// # Ownership
//
// Everything belongs to the thread that calls Run, but for Stop and Addr.
//
// # Limits
//
// A request head and a message must each arrive in one read, and no read may
// end in the middle of a frame: true of the load generator on loopback. A
// socket that does not take a whole message is closed.
package floor

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"signalbox/protocol/frame"
)

// answer accepts the load generator's upgrade: the sample handshake of
// RFC 6455 §1.3.
const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

const (
	backlog = 4096
	bufSize = 64 << 10
	// maxMessage is the largest message, in bytes.
	maxMessage = bufSize
)

// Server is the bare hub.
type Server struct {
	addr   netip.AddrPort
	listen int
	epoll  int
	stop   int // eventfd: readable once Run is to return
	buf    []byte
	out    []byte
	conns  []conn // by descriptor
	hub    []int  // descriptors of all members
	due    []due  // in the order of their times
}

// conn is one socket; the zero conn is none.
type conn struct {
	open   bool
	place  int // in hub, if member
	member bool
	speaks bool // it is in a dialogue
}

// New listens on any free port of 127.0.0.1.
func New() (*Server, error) {
	s := &Server{buf: make([]byte, bufSize), listen: -1, epoll: -1, stop: -1}
	if err := s.open(); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func (s *Server) open() (err error) {
	if s.listen, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err = unix.Bind(s.listen, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err = unix.Listen(s.listen, backlog); err != nil {
		return os.NewSyscallError("listen", err)
	}
	name, err := unix.Getsockname(s.listen)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	bound, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return errors.New("floor: not an IPv4 socket")
	}
	s.addr = netip.AddrPortFrom(netip.AddrFrom4(bound.Addr), uint16(bound.Port))
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if s.stop, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	return errors.Join(s.watch(s.listen), s.watch(s.stop))
}

func (s *Server) watch(fd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &event))
}

func (s *Server) release() {
	for _, fd := range []int{s.listen, s.epoll, s.stop} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// Addr returns the address listened on.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Stop has Run return. Any goroutine may call it, once.
func (s *Server) Stop() { _, _ = unix.Write(s.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// Run serves until Stop, or until epoll fails.
func (s *Server) Run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer s.release()
	defer s.closeAll()
	events := make([]unix.EpollEvent, 512)
	for {
		n, err := unix.EpollWait(s.epoll, events, s.sendDue())
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("epoll_wait", err)
		}
		for i := range max(n, 0) {
			switch fd := int(events[i].Fd); {
			case fd == s.stop:
				return nil
			case fd == s.listen:
				s.accept()
			case s.conns[fd].open:
				s.receive(fd)
			}
		}
	}
}

func (s *Server) closeAll() {
	for fd := range s.conns {
		s.close(fd)
	}
}

func (s *Server) accept() {
	for {
		fd, _, err := unix.Accept4(s.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		for len(s.conns) <= fd {
			s.conns = append(s.conns, conn{})
		}
		s.conns[fd] = conn{open: true}
		if unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) != nil || s.watch(fd) != nil {
			s.close(fd)
		}
	}
}

func (s *Server) receive(fd int) {
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(s.buf))), uintptr(len(s.buf)), 0, 0, 0)
	if errno == unix.EAGAIN {
		return
	}
	if errno != 0 || r == 0 {
		s.close(fd)
		return
	}
	buf := s.buf[:r]
	switch {
	case s.conns[fd].member:
		s.messages(fd, buf)
		return
	case s.conns[fd].speaks:
		s.reply(fd, buf)
		return
	case bytes.HasPrefix(buf, forDialogue):
		s.greet(fd)
		return
	}
	if !bytes.HasPrefix(buf, []byte("GET ")) || !s.send(fd, []byte(answer)) {
		s.close(fd)
		return
	}
	s.conns[fd].member, s.conns[fd].place = true, len(s.hub)
	s.hub = append(s.hub, fd)
}

// messages passes on what came from a member.
func (s *Server) messages(from int, buf []byte) {
	var r frame.Reader
	for len(buf) > 0 {
		m, n, err := r.Next(buf, maxMessage)
		if err != nil || m.Op == frame.OpClose {
			s.close(from)
			return
		}
		if n == 0 {
			return
		}
		if buf = buf[n:]; m.Op == frame.OpText {
			s.fanOut(from, m.Payload)
		}
	}
}

// fanOut sends to every member but the sender.
func (s *Server) fanOut(from int, payload []byte) {
	s.out = frame.AppendFrame(s.out[:0], frame.OpText, payload)
	for i := len(s.hub) - 1; i >= 0; i-- {
		if fd := s.hub[i]; fd != from && !s.send(fd, s.out) {
			s.close(fd)
		}
	}
}

// send reports whether all of buf was taken.
func (s *Server) send(fd int, buf []byte) bool {
	r, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return errno == 0 && int(r) == len(buf)
}

func (s *Server) close(fd int) {
	c := s.conns[fd]
	if !c.open {
		return
	}
	if c.member {
		last := len(s.hub) - 1
		s.hub[c.place] = s.hub[last]
		s.conns[s.hub[c.place]].place = c.place
		s.hub = s.hub[:last]
	}
	s.conns[fd] = conn{}
	_ = unix.Close(fd)
}
