package client

import (
	"container/heap"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// bufSize holds one largest frame and what a read may bring behind it.
	bufSize = maxPayload + 2*readSize
	// readSize is how much is read from a socket at a time, in bytes.
	readSize = 256 << 10
	// eventBatch is how many events epoll tells at a time.
	eventBatch = 512
)

// Loop is one thread that serves its connections. Methods are for its thread,
// but for Post, Traffic and Thread.
type Loop struct {
	// Immutable after open.
	Index int
	epoll int
	wake  int // eventfd
	timer int // timerfd

	// Loop-owned.
	conns   []*Conn // by descriptor
	serial  int32
	buf     []byte
	records []byte // what was read of a connection with TLS
	pongs   []byte
	events  []unix.EpollEvent
	dirty   []*Conn
	timers  timers
	armed   int64 // when the timer rings, 0: never
	queue   []*Conn
	window  int   // connections that may be opening at a time
	gap     int64 // ns between two dials, 0: none
	dialAt  int64 // when the next dial is due
	opens   int   // connections that are opening
	frames  uint64
	bytes   uint64
	readAt  int64 // as Now
	stopped bool
	spare   []func()

	// Guarded by mu.
	mu    sync.Mutex
	inbox []func()

	// Any goroutine (atomic).
	rung    atomic.Bool
	traffic [2]atomic.Uint64 // frames and bytes as of the last turn
	thread  atomic.Int32
}

func newLoop(index int) (l *Loop, err error) {
	l = &Loop{Index: index, epoll: -1, wake: -1, timer: -1, buf: make([]byte, bufSize), records: make([]byte, readSize), events: make([]unix.EpollEvent, eventBatch)}
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	for _, fd := range []int{l.wake, l.timer} {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return nil, os.NewSyscallError("epoll_ctl", err)
		}
	}
	return l, nil
}

func (l *Loop) release() {
	for _, fd := range []int{l.epoll, l.wake, l.timer} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// Post has f called on the loop's thread. Any goroutine may call it.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	l.inbox = append(l.inbox, f)
	l.mu.Unlock()
	if !l.rung.Swap(true) {
		_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// Traffic returns how many text frames and how many bytes have been received.
// Any goroutine may call it.
func (l *Loop) Traffic() (frames, bytes uint64) {
	return l.traffic[0].Load(), l.traffic[1].Load()
}

// Thread returns the loop's thread id. Any goroutine may call it.
func (l *Loop) Thread() int { return int(l.thread.Load()) }

// ReadAt is when what is being handled was read, as Now.
func (l *Loop) ReadAt() int64 { return l.readAt }

// At has f called at a time, as Now.
func (l *Loop) At(when int64, f func()) { heap.Push(&l.timers, timer{when, f}) }

// run is the loop's thread.
func (l *Loop) run(started *sync.WaitGroup) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.thread.Store(int32(unix.Gettid()))
	started.Done()
	for !l.stopped {
		l.turn()
	}
	for _, c := range l.conns {
		if c != nil {
			c.drop()
		}
	}
	l.release()
}

// turn handles what there is, and waits if that is nothing.
func (l *Loop) turn() {
	n := pollNow(l.epoll, l.events)
	if n == 0 {
		l.arm()
		var err error
		if n, err = unix.EpollWait(l.epoll, l.events, -1); err != nil {
			n = 0 // EINTR
		}
	}
	for i := range l.events[:n] {
		l.event(&l.events[i])
	}
	l.ring()
	l.dialNext()
	for i := 0; i < len(l.dirty); i++ {
		l.dirty[i].dirty = false
		l.dirty[i].flush()
	}
	clear(l.dirty)
	l.dirty = l.dirty[:0]
	l.traffic[0].Store(l.frames)
	l.traffic[1].Store(l.bytes)
}

func (l *Loop) event(e *unix.EpollEvent) {
	switch fd := int(e.Fd); fd {
	case l.wake:
		var count [8]byte
		_, _ = unix.Read(l.wake, count[:])
		l.rung.Store(false)
		l.drain()
	case l.timer:
		var count [8]byte
		_, _ = unix.Read(l.timer, count[:])
		l.armed = 0
	default:
		if c := l.conns[fd]; c != nil && c.serial == e.Pad {
			c.event(e.Events)
		}
	}
}

// drain runs what was posted.
func (l *Loop) drain() {
	l.mu.Lock()
	l.inbox, l.spare = l.spare[:0], l.inbox
	l.mu.Unlock()
	for _, f := range l.spare {
		f()
	}
	clear(l.spare)
}

// ring runs the timers that are due.
func (l *Loop) ring() {
	if len(l.timers) == 0 {
		return
	}
	for now := Now(); len(l.timers) > 0 && l.timers[0].when <= now; {
		heap.Pop(&l.timers).(timer).f()
	}
}

// arm sets the timer to what is due next.
func (l *Loop) arm() {
	var next int64
	if len(l.timers) > 0 {
		next = l.timers[0].when
	}
	if len(l.queue) > 0 && l.opens < l.window && (next == 0 || l.dialAt < next) {
		next = l.dialAt
	}
	if next == l.armed {
		return
	}
	l.armed = next
	var spec unix.ItimerSpec
	if next != 0 {
		spec.Value = unix.NsecToTimespec(max(next-Now(), int64(time.Microsecond)))
	}
	_ = unix.TimerfdSettime(l.timer, 0, &spec, nil)
}

// Dial opens a connection now, beside those that Fleet.Open opens.
func (l *Loop) Dial(s Spec) {
	c := &Conn{Index: s.Index, Loop: l, DueAt: Now(), spec: s, fd: -1}
	l.dial(c)
}

// dialNext dials from the queue what may be opening now.
func (l *Loop) dialNext() {
	for len(l.queue) > 0 && l.opens < l.window {
		due := Now()
		if l.gap > 0 {
			if l.dialAt > due {
				return
			}
			due = l.dialAt
			l.dialAt += l.gap
		}
		c := l.queue[0]
		l.queue = l.queue[1:]
		c.DueAt = due
		l.dial(c)
	}
}

func (l *Loop) dial(c *Conn) {
	l.opens++
	c.state = connecting
	fd, err := socket(&c.spec)
	if err != nil {
		c.fail(Cause{Text: err.Error()})
		return
	}
	l.serial++
	c.fd, c.serial = fd, l.serial
	for len(l.conns) <= fd {
		l.conns = append(l.conns, nil)
	}
	l.conns[fd] = c

	err = unix.Connect(fd, sockaddr(c.spec.Addr))
	if err != nil && err != unix.EINPROGRESS {
		c.fail(Cause{Text: err.Error()})
		return
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: int32(fd), Pad: c.serial}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		c.fail(Cause{Text: err.Error()})
		return
	}
	c.polled = true
}

// timer is one call due.
type timer struct {
	when int64
	f    func()
}

// timers is a heap, the earliest first.
type timers []timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].when < t[j].when }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(x any)        { *t = append(*t, x.(timer)) }
func (t *timers) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	(*t)[last] = timer{}
	*t = (*t)[:last]
	return x
}
