package cluster

import (
	"sync/atomic"
)

// tally counts what another node has asked for one round and this one has not
// answered yet. Once it has heard the end of the round and answered all of it, and of
// the rounds before, it says so: a message to a peer that is asked for again in this
// round was perhaps asked for the first time before.
type tally struct {
	out     *outbox
	subject string
	left    atomic.Int64

	// Written by the reader before the end of the round counts as answered.
	round uint64
	next  *tally
}

func newTally(out *outbox, subject string) *tally {
	t := &tally{out: out, subject: subject}
	t.left.Store(1) // for the end of the round
	return t
}

// end notes the end of the round and returns the tally of the next.
func (t *tally) end(round uint64) *tally {
	next := newTally(t.out, t.subject)
	next.left.Add(1) // for this one
	t.round, t.next = round, next
	t.answered()
	return next
}

// answered notes that one thing less is to be answered.
func (t *tally) answered() {
	for ; t.left.Add(-1) == 0; t = t.next {
		t.out.say(t.subject, appendDone(nil, t.round))
	}
}

// counter returns what answers an ask for a number of sockets, nil if nothing
// was asked. Any goroutine may call it.
func (t *tally) counter(ask uint64) func(sockets int) {
	if ask == 0 {
		return nil
	}
	t.left.Add(1)
	return func(sockets int) {
		t.out.say(t.subject, appendCount(nil, ask, sockets))
		t.answered()
	}
}

// roster returns what answers an ask for peers.
func (t *tally) roster(ask uint64) func([]Member) {
	t.left.Add(1)
	return func(members []Member) {
		for len(members) > 0 {
			n := fitting(members)
			t.out.say(t.subject, appendAnswer(nil, ask, members[:n]))
			members = members[n:]
		}
		t.answered()
	}
}

// list returns what answers an ask for channels.
func (t *tally) list(ask uint64) func([]Occupied) {
	t.left.Add(1)
	return func(found []Occupied) {
		const most = maxPart / 512 // a name has 256 bytes at most
		for len(found) > 0 {
			n := min(len(found), most)
			t.out.say(t.subject, appendOccupied(nil, ask, found[:n]))
			found = found[n:]
		}
		t.answered()
	}
}

// maxRepeats is how many of the last asks are remembered, or up to twice as many: a node
// says nothing again once it has asked so much else.
const maxRepeats = 1 << 15

// repeats knows which asks of a node have been heard last, to pass over those that come
// again, however late: what this node has to read may wait. The zero value is ready.
// Reader-owned.
type repeats struct {
	recent, older map[uint64]struct{}
}

// heard reports whether the ask has been heard, and remembers it.
func (r *repeats) heard(ask uint64) bool {
	if _, ok := r.recent[ask]; ok {
		return true
	}
	if _, ok := r.older[ask]; ok {
		return true
	}
	if len(r.recent) >= maxRepeats {
		r.recent, r.older = nil, r.recent
	}
	if r.recent == nil {
		r.recent = make(map[uint64]struct{})
	}
	r.recent[ask] = struct{}{}
	return false
}

// nobody is the node before there is one: it has no sockets.
type nobody struct{}

func (nobody) Publish(_ Publication, counted func(int)) { _ = none(counted) }
func (nobody) Send(_ Direct, counted func(int))         { _ = none(counted) }
func (nobody) Kick(_, _ string, closed func(int))       { _ = none(closed) }
func (nobody) Peers(_, _ string, found func([]Member))  { found(nil) }
func (nobody) Channels(_, _, _ string, _ int, found func([]Occupied)) {
	found(nil)
}
func (nobody) Share(NodeID, Share, bool)   {}
func (nobody) Step(NodeID, Step)           {}
func (nobody) Exit(NodeID, string, string) {}
func (nobody) Settle()                     {}
func (nobody) Gone(NodeID)                 {}
func (nobody) Found(_ NodeID, told func()) { told() }
func (nobody) Resync(told func())          { told() }
