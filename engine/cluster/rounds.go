package cluster

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// maxOpen is how many rounds of a kind may be open at once. Beyond, asks wait for
// the next: the more is asked, the more share a round.
const maxOpen = 8

// maxFound is how many bytes of answers to an ask are kept: what comes then is left
// out.
const maxFound = 256 << 20

// ask is a question to other nodes, or something that all of them must have
// heard.
type ask struct {
	// Immutable.
	id     uint64
	finish func(*ask)   // called once, not under a lock
	heard  func(NodeID) // unless nil, called before for each node that has heard it, or need not; not under a lock
	fence  bool         // it is over once all have heard what was said before, else once they have answered
	first  bool         // any number of sockets above 0 will do
	again  []byte       // the record to ask all nodes with if nobody seems to have a socket

	// Guarded by rounds.mu; nobody's any more once over.
	over     bool
	repeated bool // again was said
	timer    *time.Timer
	unsure   bool // some may not have answered
	sockets  int
	members  []Member
	occupied []Occupied
	size     int // of members and occupied, in bytes
}

// round waits for the nodes that were there when it began.
type round struct {
	fence   bool // of all its asks
	asks    []*ask
	waiting map[NodeID]struct{}
	unsure  bool // somebody may not have heard its end
	timer   *time.Timer
}

// rounds holds what this node has asked. Any goroutine.
type rounds struct {
	out   *outbox
	times *times
	stats *counters

	mu sync.Mutex
	// Guarded by mu.
	last uint64 // number of the last ask or round
	asks map[uint64]*ask
	open map[uint64]*round
	live map[NodeID]struct{}
	late map[NodeID]int // fences in a row that a node has not answered in time
}

// number returns the number of the next ask.
func (r *rounds) number() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	return r.last
}

// ask registers a new ask, and numbers it unless it has a number. Whoever made it adds it
// to the outbox, and changes nothing: others may guess the number, and answer.
func (r *rounds) ask(a *ask) *ask {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.id == 0 {
		r.last++
		a.id = r.last
	}
	r.asks[a.id] = a
	return a
}

// entered registers an ask of which nothing matters but that all have heard what
// was said before it; nil if not even that.
func (r *rounds) entered(f func(all bool)) *ask {
	if f == nil {
		return nil
	}
	return r.ask(&ask{fence: true, finish: func(a *ask) { f(!a.unsure) }})
}

// join adds a node to those that later rounds wait for.
func (r *rounds) join(n NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live[n] = struct{}{}
	r.out.setHeard(len(r.live))
}

// leave ends the wait for a node that is gone.
func (r *rounds) leave(n NodeID) {
	r.mu.Lock()
	delete(r.live, n)
	delete(r.late, n)
	r.out.setHeard(len(r.live))
	r.mu.Unlock()
	r.strike(n, false)
}

// missed ends the wait for a node that may not have heard the fences there are. All
// shares are exchanged with it anew.
func (r *rounds) missed(n NodeID) {
	r.strike(n, true)
}

// severed is missed of all nodes: the link has been down.
func (r *rounds) severed() {
	r.mu.Lock()
	nodes := slices.Collect(maps.Keys(r.live))
	r.mu.Unlock()
	for _, n := range nodes {
		r.strike(n, true)
	}
}

// strike has rounds wait for a node no longer: all, or those of fences that it may
// have missed.
func (r *rounds) strike(n NodeID, missed bool) {
	r.mu.Lock()
	struck := make(map[uint64]*round)
	for id, open := range r.open {
		if _, waits := open.waiting[n]; waits && (open.fence || !missed) {
			open.unsure = open.unsure || missed
			struck[id] = open
		}
	}
	r.mu.Unlock()
	for id, open := range struck {
		r.excuse(id, open, n)
	}
}

// full reports whether no other round of that kind may be open. mu is held.
func (r *rounds) full(fence bool) bool {
	n := 0
	for _, open := range r.open {
		if open.fence == fence {
			n++
		}
	}
	return n >= maxOpen
}

// start begins a round for the asks, which are of one kind, if another one may be
// open. Without a node to wait for there is none, and its number is 0.
func (r *rounds) start(asks []*ask) (id uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fence, timeout := asks[0].fence, r.times.round
	if fence {
		timeout = r.times.fence
	}
	if r.full(fence) {
		return 0, false
	}
	if len(r.live) == 0 {
		return 0, true
	}
	r.last++
	id = r.last
	waiting := make(map[NodeID]struct{}, len(r.live))
	for n := range r.live {
		waiting[n] = struct{}{}
	}
	r.open[id] = &round{fence: fence, asks: asks, waiting: waiting, timer: time.AfterFunc(timeout, func() {
		if r.end(id) {
			r.stats.timeouts.Add(1)
		}
	})}
	r.stats.rounds.Add(1)
	return id, true
}

// done notes that a node has answered all of a round.
func (r *rounds) done(id uint64, n NodeID) {
	r.mu.Lock()
	open := r.open[id]
	if open != nil && open.fence {
		delete(r.late, n)
	}
	r.mu.Unlock()
	if open != nil {
		r.excuse(id, open, n)
	}
}

// excuse ends a round's wait for a node, and the round if it is the last.
func (r *rounds) excuse(id uint64, open *round, n NodeID) {
	for _, a := range open.asks {
		if a.heard != nil {
			a.heard(n)
		}
	}
	r.mu.Lock()
	delete(open.waiting, n)
	left := len(open.waiting)
	r.mu.Unlock()
	if left == 0 {
		r.end(id)
	}
}

// end ends a round, if it is open.
func (r *rounds) end(id uint64) bool {
	r.mu.Lock()
	open := r.open[id]
	delete(r.open, id)
	if open != nil {
		for n := range open.waiting {
			if open.fence {
				r.late[n]++
			}
		}
		for _, a := range open.asks {
			if !a.over {
				a.unsure = a.unsure || open.unsure || len(open.waiting) > 0
			}
		}
	}
	r.mu.Unlock()
	if open == nil {
		return false
	}
	open.timer.Stop()
	r.conclude(open.asks)
	r.out.wake() // others may wait for a round
	return true
}

// keepsWaiting returns how many fences in a row each node has not answered in time.
func (r *rounds) keepsWaiting() map[NodeID]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.late) == 0 {
		return nil
	}
	return maps.Clone(r.late)
}

// conclude ends asks with what was answered. A message to a peer that seems to be
// nowhere goes to all nodes first.
func (r *rounds) conclude(asks []*ask) {
	for _, a := range asks {
		if !r.repeat(a) {
			r.finish(a)
		}
	}
}

// cutOff ends asks that cannot be put to other nodes, because the link is down.
func (r *rounds) cutOff(asks []*ask) {
	r.mu.Lock()
	for _, a := range asks {
		if !a.over {
			a.unsure = true
		}
	}
	r.mu.Unlock()
	for _, a := range asks {
		r.finish(a)
	}
}

// repeat says a message to a peer again, to all nodes, once. It reports whether
// the ask goes on for that.
func (r *rounds) repeat(a *ask) bool {
	r.mu.Lock()
	if a.over || a.repeated || a.again == nil || a.sockets > 0 {
		r.mu.Unlock()
		return false
	}
	a.repeated = true
	r.mu.Unlock()
	ok, err := r.out.askAll(a.again, a)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		a.unsure = a.unsure || !a.over
	}
	return ok
}

// finish ends an ask, if there is one and it is not over yet.
func (r *rounds) finish(a *ask) {
	if a == nil {
		return
	}
	r.mu.Lock()
	was := a.over
	a.over = true
	delete(r.asks, a.id)
	timer := a.timer
	r.mu.Unlock()
	if timer != nil {
		timer.Stop()
	}
	if !was {
		a.finish(a)
	}
}

// patience repeats an ask unless it is over by then.
func (r *rounds) patience(a *ask, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !a.over {
		a.timer = time.AfterFunc(d, func() { r.unheard(a.id) })
	}
}

// unheard notes that nobody has said to have a socket of a peer.
func (r *rounds) unheard(id uint64) {
	r.mu.Lock()
	a := r.asks[id]
	wait := a == nil || a.repeated
	r.mu.Unlock()
	if !wait && !r.repeat(a) {
		r.finish(a)
	}
}

// count adds the sockets that a node has counted.
func (r *rounds) count(id uint64, sockets int) {
	r.mu.Lock()
	a := r.asks[id]
	if a == nil {
		r.mu.Unlock()
		return
	}
	a.sockets += sockets
	first := a.first
	r.mu.Unlock()
	switch {
	case first && sockets > 0:
		r.finish(a)
	case first:
		r.unheard(id)
	}
}

// found adds what a node knows of a roster or of channels.
func (r *rounds) found(id uint64, members []Member, occupied []Occupied) {
	size := entryRoom * (len(members) + len(occupied))
	for _, m := range members {
		size += len(m.Peer) + len(m.Meta)
	}
	for _, o := range occupied {
		size += len(o.Channel)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.asks[id]; a != nil && a.size+size <= maxFound {
		a.size += size
		a.members = append(a.members, members...)
		a.occupied = append(a.occupied, occupied...)
	}
}

// close ends all that is open.
func (r *rounds) close() {
	r.mu.Lock()
	asks := make([]*ask, 0, len(r.asks))
	for _, a := range r.asks {
		asks = append(asks, a)
	}
	for _, open := range r.open {
		open.timer.Stop()
	}
	clear(r.open)
	r.mu.Unlock()
	for _, a := range asks {
		r.finish(a)
	}
}

// socketsOrUnknown is how many sockets have been counted. Once over.
func (a *ask) socketsOrUnknown() int {
	if a.first && a.sockets == 0 && a.unsure {
		return Unknown
	}
	return a.sockets
}

// requests reports whether a message is answered to this ask alone, by the first node
// that has the peer.
func (a *ask) requests() bool { return a != nil && a.first }

// number is what is said of an ask to other nodes: 0 of none.
func (a *ask) number() uint64 {
	if a == nil {
		return 0
	}
	return a.id
}

// unasked ends an ask, if not nil, that was not put to anybody: because there is
// nobody, or because err has come instead. Where it is over, because somebody has
// answered all the same, that was the answer.
func (r *rounds) unasked(a *ask, err error) error {
	if a == nil {
		return err
	}
	if err == nil {
		r.finish(a)
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.over {
		return nil
	}
	a.over = true
	delete(r.asks, a.id)
	return err
}
