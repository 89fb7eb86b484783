package cluster

import (
	"maps"
	"slices"
	"sync"
)

// maxKept is how many bytes of messages of one node are kept while all shares are
// exchanged with it.
const maxKept = 1 << 20

// maxTelling is how many exchanges with a node of its own are told at once: each goes
// through all channels, and waits while the link is behind, and whoever invents nodes has
// them found.
const maxTelling = 64

// After something was lost, a roster may lack peers whose messages come. So a node
// says messages again only once all have heard its shares anew, see standing, and keeps
// those of others until it has been told theirs.

// exchange is one of all shares with some nodes, which are estranged until then.
type exchange struct {
	mu   sync.Mutex
	with map[NodeID]*origin // those with whom it is not over; Guarded by mu.
}

// exchangeWith begins an exchange with a node or with several.
func exchangeWith(nodes ...*origin) *exchange {
	e := &exchange{with: make(map[NodeID]*origin, len(nodes))}
	for _, o := range nodes {
		o.estranged.Add(1)
		e.with[o.id] = o
	}
	return e
}

// over ends the exchange with a node: all that it had to tell has been handed over.
func (e *exchange) over(n NodeID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.with[n]; o != nil {
		delete(e.with, n)
		o.estranged.Add(-1)
	}
}

// left takes those with whom the exchange is not over out of it. They stay estranged.
func (e *exchange) left() []*origin {
	e.mu.Lock()
	defer e.mu.Unlock()
	left := slices.Collect(maps.Values(e.with))
	clear(e.with)
	return left
}

// failures are nodes that could not be asked, or have not answered in time. They stay
// estranged until it is tried again.
type failures struct {
	mu    sync.Mutex
	nodes []*origin // Guarded by mu.
}

func (f *failures) add(nodes ...*origin) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = append(f.nodes, nodes...)
}

func (f *failures) take() []*origin {
	f.mu.Lock()
	defer f.mu.Unlock()
	nodes := f.nodes
	f.nodes = nil
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
	e := exchangeWith(slices.Collect(maps.Values(b.members.origins))...)
	for _, o := range b.failed.take() { // it is tried again with this
		o.estranged.Add(-1)
	}
	b.node.Resync(func() { b.finish(e, func() { b.out.toldAll(number) }) })
}

// found has all shares exchanged with one node, from when reconcile begins it on.
func (b *NATS) found(o *origin) {
	b.usage.found(o.id)
	if o.next == nil {
		o.next = exchangeWith(o)
		b.finding = true
	}
}

// tell begins exchanges with those that were found and are still there, as many as may
// be told at once.
func (b *NATS) tell() {
	for _, o := range b.members.origins {
		if o.next == nil {
			continue
		}
		if b.telling.Load() >= maxTelling {
			return
		}
		b.telling.Add(1)
		e := o.next
		o.next = nil
		b.node.Found(o.id, func() {
			b.telling.Add(-1)
			b.finish(e, func() {})
		})
	}
	b.finding = false
}

// finish ends an exchange, whose shares have been handed over, with each node as it
// says that it has heard them, and calls all once there is nobody left to wait for. It
// waits for nothing else of a node: that may keep messages of this one, and answer them
// only when this one has answered.
func (b *NATS) finish(e *exchange, all func()) {
	b.enter(nil, false, nil, nil, b.rounds.ask(&ask{fence: true, heard: e.over, finish: func(*ask) {
		b.failed.add(e.left()...)
		all()
	}}))
}

// keeps reports whether the node's messages are kept. Those of a new connection may be
// there before anybody has said that it is new.
func (b *NATS) keeps(o *origin) bool {
	return b.socket.anew.Load() || o.estranged.Load() > 0 || len(o.kept) > 0
}

// fits reports whether a message of so many bytes can be kept. One that cannot is lost.
func (b *NATS) fits(o *origin, size int, counted func(int)) bool {
	if o.size += size; o.size > maxKept {
		b.stats.lost.Add(1)
		_ = none(counted)
		return false
	}
	return true
}

// keep keeps what hands over a message, until the node is not estranged any more. The
// message is a clone: what it came with may be large, and is not reckoned with.
func (b *NATS) keep(o *origin, handOver func()) {
	o.kept = append(o.kept, handOver)
	b.keeping = true
}

// retry begins anew with nodes that were not asked, or did not answer. Where something
// was lost, which may be the question, resync does.
func (b *NATS) retry() {
	nodes := b.failed.take()
	if len(nodes) > 0 && b.out.lossy() {
		b.failed.add(nodes...)
		return
	}
	for _, o := range nodes {
		if b.members.origins[o.id] == o {
			b.found(o)
			o.estranged.Add(-1)
		}
	}
}

// reconcile hands over what was kept and need not be any longer, and begins exchanges
// with those that were found, or with whom one has failed.
func (b *NATS) reconcile() {
	b.retry()
	if b.finding && b.telling.Load() < maxTelling {
		b.tell()
	}
	if !b.keeping || b.socket.anew.Load() {
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
