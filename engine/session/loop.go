package session

import (
	"sync/atomic"
	"time"

	"signalbox/engine/registry"
	"signalbox/engine/telemetry"
	"signalbox/protocol"
)

// Waker calls a loop's Turn soon, on the loop's own goroutine. Any goroutine.
type Waker interface {
	// Wake is for work that should come before the next wait for I/O.
	Wake()
	// WakeFair is for work that must let the sockets that are ready go first.
	WakeFair()
	// Submit sends what the loop's connections have batched. On the loop only.
	Submit()
}

// budget bounds what a loop does before the sockets that are ready get their
// turn. All are counts, because what they count takes about as long each time.
type budget struct {
	// tasks from the inbox, and as many due timers: some microseconds each. One
	// that takes longer counts as several, see Loop.left.
	tasks int
	// subs is how many subscriptions of closed sessions are given up.
	subs int
	// writes is how many sockets are written to in a flush, and as many whose
	// cork is. A long write counts as several, see Loop.cost.
	writes int
	// flush is how many bytes of a channel's frames one flush carries, and beyond
	// which those who publish to it wait.
	flush int
	// part is how much of a long snapshot is written at a time, in bytes.
	part int
	// parked is how many sessions take their input again.
	parked int
}

var usualBudget = budget{tasks: 256, subs: 256, writes: 512, flush: 256 << 10, part: partSize, parked: 64}

// Loop owns sessions and its part of every channel they are subscribed to.
type Loop struct {
	// Immutable after Bind.
	hub    *Hub
	index  int
	waker  Waker
	budget budget

	counts *telemetry.Loop // loop-owned

	// Any goroutine.
	inbox   inbox
	inbound atomic.Int64 // bytes of messages in the inbox, in casts, and pending beyond what a flush of their channel carries

	full atomic.Pointer[[]*registry.Channel] // those with more pending than a flush carries; immutable, nil: none

	// Loop-owned.
	clock       time.Duration // the hub's clock, as of the last Begin or Turn
	now         int64         // that in ms
	scheduled   bool          // a Turn is on its way
	left        int           // tasks that may still be run; what takes as long as several takes as many off
	read        uint64        // tasks that had been put when input was last read
	parked      fifo[parked]
	sessions    []*Session
	free        []uint32 // slots without a session
	gens        []uint32 // generation, by slot
	due         []moment // when the session's tick is next needed, by slot; 0: no session
	opened      []uint32 // when the session was opened, s of the hub's clock, by slot
	farewells   farewells
	open        int // sessions
	timers      timers
	swept       int64 // when the last sweep was, ms
	skew        int64 // ms between the wall clock and the hub's, as of it
	wild        map[*registry.Space]*registry.Wild
	abroad      abroad
	waiting     []waiter    // sessions that are held while a loop is behind, in order
	lookAt      int64       // when they are looked at, ms; 0: no timer is set
	casts       fifo[*cast] // under way
	lastCast    uint32      // numbers casts; it wraps around
	seq         uint32      // numbers frames, to keep their order between channels
	pool        registry.Pool
	untold      map[string][]*registry.Part // peer → parts with a delta of it, once for each
	dirty       fifo[*registry.Part]        // parts with frames to write
	dirtyDeltas fifo[*registry.Part]        // parts with deltas to tell
	patience    patience
	gathered    int            // frames put in order one by one in this flush
	corked      fifo[*Session] // sessions with bytes in their cork
	gone        fifo[*Session] // closed sessions, to be taken out of everything
	slow        slowReaders
	batching    bool     // deliveries are batched
	spare       []*busy  // for reuse
	receiving   *Session // whose input, or casts, are being dealt with: it flushes its cork itself
	scanner     protocol.Scanner
	text        []byte    // scratch: a server frame's payload
	wire        []byte    // scratch: a whole frame on its way into a cork
	message     [2][]byte // scratch: frames of a publication, without metadata and with
}

func newLoop(h *Hub, index int, counts *telemetry.Loop) *Loop {
	return &Loop{hub: h, index: index, budget: usualBudget, counts: counts, wild: map[*registry.Space]*registry.Wild{}, untold: map[string][]*registry.Part{}}
}

// Bind gives the loop its waker. Called once, before anything is posted.
func (l *Loop) Bind(w Waker) { l.waker = w }

// Start starts the loop's clock. Called once, on the loop's goroutine, before
// any session is opened.
func (l *Loop) Start() {
	l.look()
	l.sweep()
	l.Turn()
}

// Post runs task on the loop's goroutine, after all tasks posted before. Any
// goroutine.
func (l *Loop) Post(task func(*Loop)) {
	if l.inbox.put(task) {
		l.waker.Wake()
	}
}

// Begin is called before input is handed to any session: what was posted before
// the input was read comes first. If that is more than the budget allows, the
// session is not Ready and gets its input once it is done.
func (l *Loop) Begin() {
	l.look()
	if l.read = l.inbox.posted.Load(); l.inbox.done != l.read && !l.inbox.run(l, l.read) {
		l.comeBack()
	}
}

// look reads the clock.
func (l *Loop) look() {
	l.clock = l.hub.time()
	l.now = l.clock.Milliseconds()
}

// parked is a session whose input waits until so many tasks have been run.
type parked struct {
	s     *Session
	until uint64
}

// behind parks the session if Begin has not come to its end.
func (l *Loop) behind(s *Session) {
	if l.inbox.done < l.read {
		s.begin().parked++
		l.parked.push(parked{s, l.read})
	}
}

// unpark has the sessions go on for which what they waited for is done.
func (l *Loop) unpark() {
	for n := 0; l.parked.len() > 0 && l.parked.first().until <= l.inbox.done; n++ {
		if n == l.budget.parked {
			return
		}
		if s := l.parked.pop().s; s.open {
			s.busy.parked--
			s.goOn()
		}
	}
}

// catchUp does all that parked sessions wait for, and has them go on.
func (l *Loop) catchUp() {
	for !l.inbox.run(l, l.read) {
	}
	for l.parked.len() > 0 {
		l.unpark()
	}
}

// Turn does everything that is due, as far as the budget goes. Called by the
// Waker's doing.
func (l *Loop) Turn() {
	l.scheduled = true // what comes up meanwhile is dealt with here, or after the sockets
	l.look()
	l.inbox.run(l, l.inbox.posted.Load())
	l.unpark()
	l.runTimers()
	subs := l.budget.subs
	l.bury(&subs)
	l.flush()
	l.uncork()
	l.bury(&subs)
	if l.scheduled = false; l.unfinished() {
		l.comeBack()
	}
	if !l.patience.holds {
		l.counts.Turn.Observe(l.hub.time() - l.clock)
	}
}

// unfinished reports whether something is left over, or has come up, that nobody
// will wake the loop for.
func (l *Loop) unfinished() bool {
	return l.inbox.done != l.inbox.posted.Load() || l.gone.len() > 0 || l.corked.len() > 0 ||
		l.dirty.len() > 0 || l.dirtyDeltas.len() > 0 || l.casts.len() > 0 || l.timers.due(l.now) ||
		l.parked.len() > 0 && l.parked.first().until <= l.inbox.done
}

// comeBack has the loop go on after the sockets that are ready.
func (l *Loop) comeBack() {
	l.scheduled = true
	l.waker.WakeFair()
}

// schedule makes sure that a Turn follows.
func (l *Loop) schedule() {
	if !l.scheduled {
		l.scheduled = true
		l.waker.Wake()
	}
}

// session returns the session that ref names, nil if it is gone or closing.
func (l *Loop) session(ref registry.Ref) *Session {
	slot := ref.Slot()
	if int(slot) >= len(l.sessions) || l.gens[slot]&0xffffff != ref.Gen() {
		return nil
	}
	if s := l.sessions[slot]; s != nil && s.open {
		return s
	}
	return nil
}

// bury takes closed sessions out of everything they were in, so many
// subscriptions at the most. It is not done where they close, because that may be
// in the midst of a fan-out.
func (l *Loop) bury(subs *int) {
	for l.gone.len() > 0 {
		if !l.gone.first().leaveAll(subs) {
			return
		}
		l.gone.pop()
	}
}
