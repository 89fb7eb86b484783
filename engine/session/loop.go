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
}

// Loop owns sessions and its part of every channel they are subscribed to.
type Loop struct {
	// Immutable after Bind.
	hub   *Hub
	index int
	waker Waker

	counts *telemetry.Loop // loop-owned

	// Any goroutine.
	inbox   inbox
	inbound atomic.Int64 // bytes of messages in the inbox

	// Loop-owned.
	clock       time.Duration // the hub's clock, as of the last Begin or Turn
	now         int64         // that in ms
	scheduled   bool          // a Turn is on its way
	sessions    []*Session
	free        []uint32 // slots without a session
	gens        []uint32 // generation, by slot
	due         []moment // when the session's tick is next needed, by slot; 0: no session
	opened      []uint32 // when the session was opened, s of the hub's clock, by slot
	farewells   farewells
	open        int // sessions
	timers      timers
	skew        int64 // ms between the wall clock and the hub's, as of the last sweep
	wild        map[*registry.Space]*registry.Wild
	mark        uint32 // numbers wildcard deliveries, to give each session one
	seq         uint32 // numbers frames, to keep their order between channels
	pool        registry.Pool
	untold      map[string][]*registry.Part // peer → parts with a delta of it, once for each
	dirty       dirtyList                   // parts with frames to write
	dirtyDeltas dirtyList                   // parts with deltas to tell
	patience    patience
	gathered    int        // frames put in order one by one in this flush
	corked      []*Session // sessions with bytes in their cork
	gone        []*Session // closed sessions, to be taken out of everything
	slow        slowReaders
	spare       []*busy  // for reuse
	receiving   *Session // whose input is being dealt with: it flushes its cork itself
	scanner     protocol.Scanner
	text        []byte    // scratch: a server frame's payload
	wire        []byte    // scratch: a whole frame on its way into a cork
	message     [2][]byte // scratch: the frames of the publication under way, plain and with metadata
}

func newLoop(h *Hub, index int, counts *telemetry.Loop) *Loop {
	return &Loop{hub: h, index: index, counts: counts, wild: map[*registry.Space]*registry.Wild{}, untold: map[string][]*registry.Part{}}
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
// the input was read comes first.
func (l *Loop) Begin() {
	l.look()
	l.drain()
}

// look reads the clock.
func (l *Loop) look() {
	l.clock = l.hub.time()
	l.now = l.clock.Milliseconds()
}

func (l *Loop) drain() {
	if l.inbox.waiting.Load() {
		l.inbox.drain(l)
	}
}

// Turn does everything that is due. Called by the Waker's doing.
func (l *Loop) Turn() {
	l.scheduled = false
	l.look()
	l.drain()
	l.runTimers()
	l.bury()
	l.flush()
	l.uncork()
	l.bury()
	if !l.patience.holds {
		l.counts.Turn.Observe(l.hub.time() - l.clock)
	}
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

// bury takes closed sessions out of everything they were in. It is not done
// where they close, because that may be in the midst of a fan-out.
func (l *Loop) bury() {
	for len(l.gone) > 0 {
		last := len(l.gone) - 1
		s := l.gone[last]
		l.gone[last] = nil
		l.gone = l.gone[:last]
		s.leaveAll()
	}
}
