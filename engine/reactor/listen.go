package reactor

import (
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// holder keeps an address for the server before gnet listens on it. gnet's
// listeners share their port (SO_REUSEPORT), so a port that another server uses
// would not be noticed: the holder binds it alone first, and only then lets
// others share.
type holder struct {
	addr net.Addr
	once sync.Once
	fd   int
}

// holdOf keeps the address that cfg names.
func holdOf(cfg *Config) (*holder, error) {
	if cfg.Unix != nil {
		return &holder{addr: cfg.Unix.Addr(), fd: -1}, nil
	}
	return reserve(cfg.Listen, cfg.Behind > 0)
}

// reserve binds the address, any free port if it names port 0. A shared address
// is in use, as it is to be, and not held.
func reserve(listen string, shared bool) (*holder, error) {
	addr, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return nil, err
	}
	if shared {
		return &holder{addr: addr, fd: -1}, nil
	}
	fd, sa, err := socketFor(addr)
	if err != nil {
		return nil, err
	}
	if err := bindAlone(fd, sa); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("getsockname", err)
	}
	port := addr.Port
	switch b := bound.(type) {
	case *unix.SockaddrInet4:
		port = b.Port
	case *unix.SockaddrInet6:
		port = b.Port
	}
	return &holder{addr: &net.TCPAddr{IP: addr.IP, Port: port, Zone: addr.Zone}, fd: fd}, nil
}

func socketFor(addr *net.TCPAddr) (fd int, sa unix.Sockaddr, err error) {
	family := unix.AF_INET6
	if ip4 := addr.IP.To4(); ip4 != nil {
		family = unix.AF_INET
		sa = &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(ip4)}
	} else {
		sa6 := &unix.SockaddrInet6{Port: addr.Port}
		copy(sa6.Addr[:], addr.IP.To16())
		if addr.Zone != "" {
			ifi, err := net.InterfaceByName(addr.Zone)
			if err != nil {
				return 0, nil, err
			}
			sa6.ZoneId = uint32(ifi.Index)
		}
		sa = sa6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return fd, sa, os.NewSyscallError("socket", err)
}

func bindAlone(fd int, sa unix.Sockaddr) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}

// release lets go of the address, once gnet listens on it.
func (h *holder) release() {
	h.once.Do(func() {
		if h.fd >= 0 {
			_ = unix.Close(h.fd)
		}
	})
}

// reserved is how many descriptors are kept for what the budget does not count,
// beside Config.Others: files, listeners, the runtime's poller, connections that are
// refused or enter a loop, what listeners of net/http may have beyond it.
const reserved = 32 + refusing + 2*enrolling

// raiseLimit raises the soft limit on descriptors to the hard one and returns
// it.
func raiseLimit() (uint64, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	if lim.Cur < lim.Max {
		lim.Cur = lim.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
			return 0, os.NewSyscallError("setrlimit", err)
		}
	}
	return lim.Cur, nil
}

// measure finds how many connections the descriptor limit allows a server of so many
// loops, beside the descriptors of others: a loop accepts one connection at a time,
// so one descriptor a loop beyond the capacity is enough to refuse.
func (b *budget) measure(loops, others int) error {
	raised, err := raiseLimit()
	if err != nil {
		return err
	}
	limit := int64(min(raised, 1<<40))
	b.capacity = limit - reserved - 8*int64(loops) - int64(others) - inUse()
	if b.capacity < 1 {
		return fmt.Errorf("reactor: the limit of %d open files leaves none for connections", limit)
	}
	b.ceiling = int(limit) - 2*enrolling - loops - others
	return nil
}

// inUse returns how many descriptors are open now.
func inUse() int64 {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return int64(len(d))
}
