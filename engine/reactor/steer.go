package reactor

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The listening sockets of one address and one user form a group, in the order
// in which they were bound; a program attached to any of them picks the one that
// gets a new connection. While two processes share the address, as one takes the
// other's place, the older one's sockets come first: it was alone before, and a
// socket that is closed is replaced by the last one of the group.
//
// The programs here pick by chance, for a handshake stays with the socket that
// got its first packet. An index beyond the group falls back to what the kernel
// does without a program: a hash over all sockets.

// KeepConnects has all new connections come to this process, whoever else binds
// the address. It runs, and no other process has bound the address.
func (r *Reactor) KeepConnects() error { return r.steer(0, r.cfg.Loops) }

// TakeConnects has all new connections come to this process from now on, and none
// to the predecessor that Config.Behind tells of.
func (r *Reactor) TakeConnects() error { return r.steer(r.cfg.Behind, r.cfg.Loops) }

// CedeConnects prepares for Stop while a successor has the new connections: they
// all come to the first of its sockets, because that is the last one to be moved
// as those of this process are closed one by one. Then its index is beyond the
// group, unless the successor has more sockets, and that will call ShareConnects.
func (r *Reactor) CedeConnects() error { return r.steer(r.cfg.Loops, 1) }

// ShareConnects has the kernel spread new connections over all sockets that are
// bound to the address, as it does to begin with.
func (r *Reactor) ShareConnects() error {
	return r.withListener(func(fd int) error {
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
		if err == unix.ENOENT {
			return nil // there was no program
		}
		return err
	})
}

// random is the offset at which a classic program loads a random number
// (SKF_AD_OFF + SKF_AD_RANDOM of linux/filter.h).
const random = 0xfffff000 + 56

// steer has new connections come to count sockets of the group, from the one at
// index first on.
func (r *Reactor) steer(first, count int) error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: random},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(count)},
		{Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K, K: uint32(first)},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
	return r.withListener(func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
}

// withListener calls f with a listening socket of this process, which runs.
func (r *Reactor) withListener(f func(fd int) error) error {
	if r.cfg.Unix != nil {
		return nil // both processes have the same socket
	}
	r.enrollMu.RLock() // gnet closes the listeners without a lock of its own
	defer r.enrollMu.RUnlock()
	if r.stopping.Load() {
		return errStopping
	}
	fd, err := r.engine.Dup()
	if err != nil {
		return fmt.Errorf("reactor: no listener: %w", err)
	}
	defer unix.Close(fd)
	return os.NewSyscallError("setsockopt", f(fd))
}
