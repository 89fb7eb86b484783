package sim

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"signalbox/bench/client"
	"signalbox/engine/session"
)

// loop is an event loop as the reactor has it, without I/O: it hands the events
// that are ready to sessions, then runs the hub's turn if it was asked for.
type loop struct {
	// Immutable after start.
	index int
	upper *session.Loop
	core  int // the thread's only core; -1: any

	// Any goroutine (atomic).
	bell     *bell       // rung when the loop may have something to do
	turn     atomic.Bool // a turn is due
	fair     atomic.Bool // a turn is due, as one event among the others
	stopped  atomic.Bool
	finished atomic.Int64 // sessions that the server has closed

	mu sync.Mutex
	// Guarded by mu.
	posted []func()

	// Loop-owned.
	ready   []func()                                     // events, oldest first
	head    int                                          // those of ready before it are done
	source  func() func()                                // makes events when none is ready; may return nil
	after   func()                                       // runs after every event and turn
	hear    func(c *conn, kind client.Kind, payload int) // hears of every text frame that is written
	held    map[*conn][]byte                             // input of sessions that are not ready
	missing map[*conn]int                                // bytes that complete a frame which is partly written
	holds   *holds
	pings   int64
	writes  int64
	bytes   int64 // written
	turns   int64
	cost    int // rounds that a write burns
}

// maxEvents is how many events a pass takes before it looks after turns, as
// gnet's loops do.
const maxEvents = 128

func newLoop(index int, upper *session.Loop, core int, bell *bell) *loop {
	return &loop{
		index: index, upper: upper, core: core, bell: bell,
		held: map[*conn][]byte{}, missing: map[*conn]int{}, holds: newHolds(),
	}
}

// Wake implements session.Waker.
func (l *loop) Wake() {
	l.turn.Store(true)
	l.bell.ring()
}

// Submit implements session.Waker.
func (l *loop) Submit() {}

// WakeFair implements session.Waker.
func (l *loop) WakeFair() {
	l.fair.Store(true)
	l.bell.ring()
}

// do makes an event ready. Any goroutine.
func (l *loop) do(event func()) {
	l.mu.Lock()
	l.posted = append(l.posted, event)
	l.mu.Unlock()
	l.bell.ring()
}

// push makes an event ready.
func (l *loop) push(event func()) { l.ready = append(l.ready, event) }

// stop ends run. Any goroutine.
func (l *loop) stop() {
	l.stopped.Store(true)
	l.bell.ring()
}

// run is the loop. Its thread is its own and ends with it, because it may be
// bound to a core.
func (l *loop) run() {
	runtime.LockOSThread()
	defer l.bell.close()
	if l.core >= 0 {
		var set unix.CPUSet
		set.Set(l.core)
		_ = unix.SchedSetaffinity(0, &set) // without it the figures are only less steady
	}
	l.upper.Start()
	for !l.stopped.Load() {
		if !l.pass() {
			l.bell.wait()
			l.holds.resume()
		}
	}
}

// pass is one round of what is ready. It reports whether there was anything.
func (l *loop) pass() bool {
	n := copy(l.ready, l.ready[l.head:])
	clear(l.ready[n:])
	l.mu.Lock()
	l.ready, l.head = append(l.ready[:n], l.posted...), 0
	clear(l.posted)
	l.posted = l.posted[:0]
	l.mu.Unlock()
	busy := false
	for range maxEvents {
		event := l.next()
		if event == nil {
			break
		}
		busy = true
		l.timed(event)
	}
	for _, due := range []*atomic.Bool{&l.fair, &l.turn} {
		if due.Swap(false) {
			busy = true
			l.turns++
			l.timed(l.upper.Turn)
		}
	}
	return busy
}

// next takes the event that is next, nil if there is none.
func (l *loop) next() func() {
	if l.head < len(l.ready) {
		event := l.ready[l.head]
		l.ready[l.head] = nil
		l.head++
		return event
	}
	if l.source != nil {
		return l.source()
	}
	return nil
}

// timed does what holds the loop and notes how long it takes.
func (l *loop) timed(do func()) {
	do()
	l.holds.note()
	if l.after != nil {
		l.after()
	}
}

// burn spends the time that a write is to cost.
func (l *loop) burn() {
	if l.cost > 0 {
		spin(l.cost)
	}
}

// spun keeps the compiler from leaving the work of spin out.
var spun atomic.Uint64

// spin does so many rounds of work that needs a core and no memory.
func spin(rounds int) {
	x := uint64(rounds)
	for range rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 { // never: xorshift does not reach it
		spun.Add(1)
	}
}

// roundsFor returns how many rounds of spin take d of an undisturbed core.
func roundsFor(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	const rounds = 1 << 20
	best := time.Duration(1<<63 - 1)
	for range 5 {
		start := time.Now()
		spin(rounds)
		best = min(best, time.Since(start))
	}
	return max(int(rounds*d/best), 1)
}
