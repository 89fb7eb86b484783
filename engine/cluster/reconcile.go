package cluster

import (
	"slices"
	"sync"
	"sync/atomic"
)

// maxKept is how many bytes of messages of one node are kept while all shares are
// exchanged with it.
const maxKept = 1 << 20

// After something was lost, a roster may lack peers whose messages come. So a node
// says messages again only once all have heard its shares anew, see standing, and keeps
// those of others until it has been told theirs.

// estrangements are the exchanges of shares that are under way.
type estrangements struct {
	all atomic.Int32 // with all nodes

	mu    sync.Mutex
	again []NodeID // with whom it has failed; Guarded by mu.
}

// failed notes nodes that have not answered in time.
func (e *estrangements) failed(nodes ...NodeID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.again = append(e.again, nodes...)
}

func (e *estrangements) take() []NodeID {
	e.mu.Lock()
	defer e.mu.Unlock()
	nodes := e.again
	e.again = nil
	return nodes
}

// resync has all shares exchanged with all nodes, if something was lost and can be
// told anew now.
func (b *NATS) resync() {
	number := b.out.recovered()
	if number == 0 {
		return
	}
	b.stats.resyncs.Add(1)
	b.usage.resync(b.members.origins)
	b.estranged.all.Add(1)
	b.node.Resync(func() {
		b.after(func(late []NodeID) {
			b.out.toldAll(number)
			b.estranged.failed(late...)
			b.estranged.all.Add(-1)
		})
	})
}

// found has all shares exchanged with one node.
func (b *NATS) found(o *origin) {
	b.usage.found(o.id)
	o.estranged.Add(1)
	b.node.Found(o.id, func() {
		b.after(func(late []NodeID) {
			if slices.Contains(late, o.id) {
				b.estranged.failed(o.id)
			}
			o.estranged.Add(-1)
		})
	})
}

// after calls f once all nodes have heard what was said before, or are late. It
// waits for nothing else of them: they may keep messages of this node, and answer
// them only when this one has answered.
func (b *NATS) after(f func(late []NodeID)) {
	b.enter(nil, false, nil, nil, b.rounds.ask(&ask{fence: true, finish: func(a *ask) { f(a.late) }}))
}

// keeps reports whether the node's messages are kept.
func (b *NATS) keeps(o *origin) bool {
	return b.estranged.all.Load() > 0 || o.estranged.Load() > 0 || len(o.kept) > 0
}

// keep keeps what hands over a message, until the node is not estranged any more.
func (b *NATS) keep(o *origin, size int, handOver func(), counted func(int)) {
	if o.size += size + recordRoom; o.size > maxKept {
		b.stats.lost.Add(1)
		_ = none(counted)
		return
	}
	o.kept = append(o.kept, handOver)
	b.keeping = true
}

// reconcile hands over what was kept and need not be any longer, and begins anew
// with nodes that did not answer.
func (b *NATS) reconcile() {
	for _, id := range b.estranged.take() {
		if o := b.members.origins[id]; o != nil {
			b.found(o)
		}
	}
	if !b.keeping || b.estranged.all.Load() > 0 {
		return
	}
	b.keeping = false
	for _, o := range b.members.origins {
		if len(o.kept) == 0 {
			continue
		}
		if o.estranged.Load() > 0 {
			b.keeping = true
			continue
		}
		b.settle()
		for _, handOver := range o.kept {
			handOver()
		}
		o.kept, o.size = nil, 0
	}
}
