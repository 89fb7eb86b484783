package target

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// port is a free port of 127.0.0.1 that is kept for a server: while nobody listens on
// it, too, it is given to nobody who asks for any port. Who names it may have it.
type port struct {
	addr netip.AddrPort
	file *os.File // a socket that does not listen
}

// keepPort keeps a port until it is released.
func keepPort() (*port, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	p := &port{file: os.NewFile(uintptr(fd), "port")}
	if err := p.bind(fd); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// bind binds the socket as one that leaves the port to others who say the same.
func (p *port) bind(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback.As4()}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	p.addr = netip.AddrPortFrom(loopback, uint16(name.(*unix.SockaddrInet4).Port))
	return nil
}

// release lets go of the port, if there is one.
func (p *port) release() {
	if p != nil {
		_ = p.file.Close()
	}
}
