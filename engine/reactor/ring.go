package reactor

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is an io_uring(7) that sends to many sockets with one system call.
// Everything submitted has completed when submit returns: sends do not wait.
// Loop-owned.
type ring struct {
	// Immutable.
	fd      int
	memory  []byte // both queues
	entries []byte // the submissions' memory
	sqes    []submission
	sqMask  uint32
	cqes    []completion
	cqMask  uint32

	// Shared with the kernel (atomic).
	sqHead, sqTail, cqHead, cqTail *uint32

	pending []batched
}

// batched is what is to be sent to one connection; b is borrowed.
type batched struct {
	c   *Conn
	b   []byte
	res int32 // as of the kernel: bytes sent, or a negated errno
}

// ringSize is how many sends are submitted at once: a few hundred µs of the
// kernel, in which the Go scheduler cannot have the thread back.
const ringSize = 64

// What follows is of linux/io_uring.h.
type (
	submission struct {
		op, flags uint8
		_         uint16
		fd        int32
		_, addr   uint64
		len       uint32
		msgFlags  uint32
		userData  uint64
		_         [3]uint64
	}
	completion struct {
		userData uint64
		res      int32
		flags    uint32
	}
	ringOffsets struct {
		head, tail, mask, entries, a, b, c, d uint32
		_                                     uint64
	}
	ringParams struct {
		sqEntries, cqEntries, flags, _, _, features, _ uint32
		_                                              [3]uint32
		sq, cq                                         ringOffsets
	}
)

const (
	opSend           = 26
	setupSubmitAll   = 1 << 7 // since Linux 5.18
	setupCoopTaskrun = 1 << 8 // since Linux 5.19
	featSingleMmap   = 1 << 0
	offSubmissions   = 0x10000000
	enterGetEvents   = 1 << 0
)

// newRing returns a ring, or why the kernel refuses one.
func newRing() (r *ring, err error) {
	p := ringParams{flags: setupSubmitAll | setupCoopTaskrun}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, ringSize, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	r = &ring{fd: int(fd)}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if p.features&featSingleMmap == 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", unix.ENOSYS)
	}
	unix.CloseOnExec(r.fd)
	const access, shared = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	size := max(p.sq.c+4*p.sqEntries, p.cq.b+uint32(unsafe.Sizeof(completion{}))*p.cqEntries)
	if r.memory, err = unix.Mmap(r.fd, 0, int(size), access, shared); err != nil {
		return nil, fmt.Errorf("mapping an io_uring: %w", err)
	}
	size = uint32(unsafe.Sizeof(submission{})) * p.sqEntries
	if r.entries, err = unix.Mmap(r.fd, offSubmissions, int(size), access, shared); err != nil {
		return nil, fmt.Errorf("mapping an io_uring: %w", err)
	}
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.memory[off])) }
	r.sqHead, r.sqTail, r.sqMask = word(p.sq.head), word(p.sq.tail), *word(p.sq.mask)
	r.cqHead, r.cqTail, r.cqMask = word(p.cq.head), word(p.cq.tail), *word(p.cq.mask)
	r.sqes = unsafe.Slice((*submission)(unsafe.Pointer(&r.entries[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*completion)(unsafe.Pointer(&r.memory[p.cq.b])), p.cqEntries)
	order := unsafe.Slice(word(p.sq.c), p.sqEntries)
	for i := range order {
		order[i] = uint32(i)
	}
	return r, nil
}

// close gives the ring back to the kernel.
func (r *ring) close() {
	if r == nil {
		return
	}
	if r.memory != nil {
		_ = unix.Munmap(r.memory)
	}
	if r.entries != nil {
		_ = unix.Munmap(r.entries)
	}
	_ = unix.Close(r.fd)
}

// add has b sent to c by the next submit and reports whether the ring is full.
func (r *ring) add(c *Conn, b []byte) (full bool) {
	i := uint32(len(r.pending))
	r.sqes[(*r.sqTail+i)&r.sqMask] = submission{
		op: opSend, fd: int32(c.gc.Fd()), addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), len: uint32(len(b)),
		msgFlags: unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL, userData: uint64(i),
	}
	r.pending = append(r.pending, batched{c, b, -int32(unix.EAGAIN)})
	return len(r.pending) == ringSize
}

// submit sends what was added and notes the results.
func (r *ring) submit() {
	n := uint32(len(r.pending))
	atomic.AddUint32(r.sqTail, n)
	left := n // completions to come
	for left > 0 {
		waiting := atomic.LoadUint32(r.sqTail) - atomic.LoadUint32(r.sqHead)
		_, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(waiting), uintptr(left), enterGetEvents, 0, 0)
		left -= r.reap()
		if errno != 0 && errno != unix.EINTR {
			// What the kernel has not taken is as good as EAGAIN.
			taken := atomic.LoadUint32(r.sqHead)
			left -= atomic.LoadUint32(r.sqTail) - taken
			atomic.StoreUint32(r.sqTail, taken)
		}
	}
}

// reap notes the results that are there and returns how many.
func (r *ring) reap() uint32 {
	head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
	for i := head; i != tail; i++ {
		e := &r.cqes[i&r.cqMask]
		r.pending[e.userData].res = e.res
	}
	atomic.StoreUint32(r.cqHead, tail)
	return tail - head
}

// Batch has b sent by the next Submit, or sooner, with what others are sent; b is
// borrowed until then. It reports false, and does nothing, if this connection
// is to be written to.
func (c *Conn) Batch(b []byte) bool {
	l := c.loop
	if l.ring == nil || c.tls != nil || c.batched || c.state != stateOpen || c.broken || c.gc.OutboundBuffered() > 0 {
		return false
	}
	c.batched = true
	if l.ring.add(c, b) {
		l.submit()
	}
	return true
}

// unbatch sends what was batched for the connection, if anything, which may end it.
func (c *Conn) unbatch() {
	if c.batched {
		c.loop.submit()
	}
}

// submit sends what was batched. What the kernel does not take is queued, and
// its Receiver hears of it.
func (l *loop) submit() {
	if l.ring == nil || len(l.ring.pending) == 0 {
		return
	}
	l.ring.submit()
	list := l.ring.pending
	l.ring.pending = nil // a Receiver may write
	for i := range list {
		list[i].c.batched = false
	}
	for _, d := range list {
		if int(d.res) < len(d.b) {
			d.c.sent(d.b, int(d.res))
		}
	}
	clear(list)
	l.ring.pending = list[:0]
}

// sent deals with a send that has not taken all of b; res is what it has, or a
// negated errno.
func (c *Conn) sent(b []byte, res int) {
	switch errno := syscall.Errno(-res); {
	case res >= 0:
		b = b[res:]
	case errno != unix.EAGAIN && errno != unix.EINTR:
		c.fail()
		return
	}
	_, _ = c.gc.Write(b) // a failure has called closed
	if c.recv != nil {
		c.recv.Behind()
	}
}

// Submit sends what connections of the loop have batched. On the loop.
func (w *Waker) Submit() { w.loop.submit() }

// openRings gives the loops their rings, made by open.
func (r *Reactor) openRings(open func() (*ring, error)) error {
	if r.cfg.IOURing != IOURingOn && r.cfg.IOURing != IOURingAuto {
		return nil
	}
	for _, l := range r.loops {
		var err error
		if l.ring, err = open(); err != nil {
			r.closeRings()
			if r.cfg.IOURing == IOURingOn {
				return err
			}
			r.cfg.Logger.Debug("no io_uring", "error", err)
			return nil
		}
	}
	return nil
}

func (r *Reactor) closeRings() {
	for _, l := range r.loops {
		l.ring.close()
		l.ring = nil
	}
}
