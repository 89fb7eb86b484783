package cluster

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxNodes is how many other nodes are told apart, those included that have said goodbye
// within the time in which a node is missed: for each that comes and goes all channels are
// looked through, and whoever may publish can invent them.
const maxNodes = 1024

// blameAfter is after how many fences in a row that a node has not answered the log
// says so.
const blameAfter = 3

// origin is another node, as the reader knows it. Reader-owned.
type origin struct {
	id      NodeID
	subject string // of what only it is told
	seq     uint64 // number of the last payload heard
	heard   time.Time
	beat    beat // the last one heard, number 0 before
	tally   *tally
	repeats repeats
	partial partial
	blamed  int // fences in a row that it had not answered when the log last said so

	// back is set until its next beat: then shares are exchanged once more, as servers
	// of NATS that have just found each other may not know of all subscriptions yet.
	back      bool
	next      *exchange    // that is yet to begin, nil if none is
	estranged atomic.Int32 // exchanges of all shares with it that are not over
	kept      []func()     // its messages since
	size      int          // of them, in bytes
}

// members holds the other nodes. Reader-owned but for what is shown.
type members struct {
	origins map[NodeID]*origin
	foreign map[string]struct{} // nodes of other formats that were named in the log
	ended   []time.Time         // when nodes have lately said goodbye

	// When all that waited at checkAt, the number of payloads heard by then, has
	// been heard, whoever has been silent since long before silentAt is gone.
	checkAt  uint64
	silentAt time.Time

	mu sync.Mutex
	// Guarded by mu.
	shown map[NodeID]NodeStats
}

// NodeStats is another node, as it said with its last beat.
type NodeStats struct {
	ID          NodeID
	Name        string
	Connections int64
	Heard       time.Time
}

// show notes what a node has said of itself.
func (m *members) show(id NodeID, b beat, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown[id] = NodeStats{ID: id, Name: b.name, Connections: int64(min(b.connections, 1<<40)), Heard: now}
}

// remove forgets a node.
func (m *members) remove(id NodeID) {
	delete(m.origins, id)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.shown, id)
}

// list returns the nodes in order of their names.
func (m *members) list() []NodeStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	nodes := make([]NodeStats, 0, len(m.shown))
	for _, n := range m.shown {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b NodeStats) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return nodes
}

// forget forgets goodbyes that were said until then.
func (m *members) forget(then time.Time) {
	m.ended = slices.DeleteFunc(m.ended, func(at time.Time) bool { return !at.After(then) })
}

// meet returns the node of that id and whether it is new here; nil when there are
// too many.
func (b *NATS) meet(id NodeID) (o *origin, fresh bool) {
	if o := b.members.origins[id]; o != nil {
		return o, false
	}
	if len(b.members.origins)+len(b.members.ended) >= maxNodes {
		return nil, false
	}
	o = &origin{id: id, subject: string(appendNodeSubject(nil, id))}
	o.tally = newTally(&b.out, o.subject)
	b.members.origins[id] = o
	b.rounds.join(id)
	b.met()
	return o, true
}

// lose ends a node: it has said so or is silent.
func (b *NATS) lose(o *origin, why string) {
	b.members.remove(o.id)
	b.rounds.leave(o.id)
	b.log.Info("node is gone", "node", o.beat.name, "id", o.id.String(), "why", why)
	b.node.Gone(o.id)
	b.usage.gone(o.id)
}

// beatHeard follows a node's beats. A gap between them says that more may have
// been lost, and so does meeting a node in the middle of its life. One whose link has
// come back exchanges all shares itself, and has not heard what was said meanwhile.
func (b *NATS) beatHeard(o *origin, next beat, now time.Time) {
	last := o.beat
	o.beat = next
	if o.back && last.number > 0 {
		o.back = false
		b.rounds.missed(o.id) // or its answer was not heard here
		b.found(o)
		o.estranged.Add(-1)
	}
	b.members.show(o.id, next, now)
	if last.number == 0 {
		b.log.Info("node is there", "node", next.name, "id", o.id.String(), "connections", next.connections)
		return
	}
	anew, due := next.epoch != last.epoch, last.number+1
	if anew {
		due = 1
	}
	if anew || next.number != due {
		b.rounds.missed(o.id)
	}
	if next.number != due {
		b.stats.gaps.Add(1)
		b.found(o)
	}
}

// blame names those nodes in the log that keep others waiting, now and then: a node
// that beats and answers nothing has all subscribes wait.
func (b *NATS) blame() {
	late := b.rounds.keepsWaiting()
	for id, o := range b.members.origins {
		switch fences := late[id]; {
		case fences == 0:
			o.blamed = 0
		case fences >= max(blameAfter, 2*o.blamed):
			o.blamed = fences
			b.log.Warn("a node does not answer: subscribes to channels new here and with wildcards wait for it",
				"node", o.beat.name, "id", id.String(), "times", fences)
		}
	}
}

// watch looks for silent nodes. Time in which this node itself stood still, or in
// which what it has received waits to be read, is not theirs.
func (b *NATS) watch(now time.Time) {
	m := &b.members
	if stall := now.Sub(b.ticked) - b.times.tick; stall > b.times.tick {
		for _, o := range m.origins {
			if o.heard = o.heard.Add(stall); o.heard.After(now) {
				o.heard = now // it has been heard since
			}
		}
		m.silentAt = time.Time{}
	}
	b.ticked = now
	m.forget(now.Add(-b.times.gone))
	if m.silentAt.IsZero() {
		m.silentAt, m.checkAt = now, b.payloads+uint64(len(b.messageC))
	}
	if b.payloads < m.checkAt {
		return
	}
	for _, o := range m.origins {
		if m.silentAt.Sub(o.heard) > b.times.gone {
			b.lose(o, "silent")
		}
	}
	m.silentAt = time.Time{}
}
