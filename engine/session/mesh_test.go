package session

import (
	"math/rand/v2"

	"signalbox/engine/cluster"
	"signalbox/protocol"
)

// mesh is the bus between a world's hubs: what a node says reaches each other
// node in order, some time later, and interest with it.
type mesh struct {
	w     *world
	nodes []*meshNode
}

// meshNode is one node's end. Nodes count from 1 as ids.
type meshNode struct {
	*mesh
	index  int
	remote *remote
	lines  []*line // to every node; nil to itself
	rounds map[*round]bool
	ears   map[string]int // subjects heard here
}

// line is what is on its way from one node to another.
type line struct {
	from, to *meshNode
	queue    []parcel
	ears     map[string]int // what to's end knows that from hears
	cut      bool           // what is said is lost
	apart    bool           // the ends have found out
}

// parcel is one thing that is said. What settles comes after all that was said of
// rosters before it is in effect.
type parcel struct {
	settles bool
	open    func(to *meshNode)
}

// round waits for an answer of every node.
type round struct {
	left map[*meshNode]bool
	then func()
}

func newMesh(w *world, nodes int) *mesh {
	m := &mesh{w: w}
	for i := range nodes {
		m.nodes = append(m.nodes, &meshNode{mesh: m, index: i, rounds: map[*round]bool{}, ears: map[string]int{}})
	}
	for _, n := range m.nodes {
		for _, to := range m.nodes {
			var l *line
			if to != n {
				l = &line{from: n, to: to, ears: map[string]int{}}
			}
			n.lines = append(n.lines, l)
		}
	}
	return m
}

func (m *mesh) lines() (all []*line) {
	if m == nil {
		return nil
	}
	for _, n := range m.nodes {
		for _, l := range n.lines {
			if l != nil {
				all = append(all, l)
			}
		}
	}
	return all
}

// level reports whether what the one node has said has reached the other.
func (m *mesh) level(from, to int) bool {
	return m == nil || from == to || len(m.nodes[from].lines[to].queue) == 0 && !m.nodes[from].lines[to].cut
}

// step delivers something, or has nodes lose or find one another.
func (m *mesh) step(r *rand.Rand) {
	lines := m.lines()
	if len(lines) == 0 {
		return
	}
	l := lines[r.IntN(len(lines))]
	back := l.to.lines[l.from.index]
	if m.w.kind.cuts {
		switch r.IntN(300) {
		case 0:
			m.w.trace("cut %d %d", l.from.index, l.to.index)
			l.cut, back.cut = true, true
		case 1:
			if l.cut {
				l.part()
				back.part()
			}
		case 2:
			l.mend()
		}
	}
	for n := 1 + r.IntN(4); n > 0 && l.deliver(); n-- {
	}
}

// part has the end find out that it hears nothing any more.
func (l *line) part() {
	if l.apart {
		return
	}
	l.apart, l.queue = true, nil
	clear(l.ears)
	l.to.remote.Gone(l.from.id())
	for r := range l.to.rounds {
		l.to.heard(r, l.from)
	}
}

// mend joins the ends again.
func (l *line) mend() {
	back := l.to.lines[l.from.index]
	if !l.cut {
		return
	}
	l.w().trace("mend %d %d", l.from.index, l.to.index)
	// The link has seen that it was lost, if its lease had not run out.
	for _, x := range []*line{l, back} {
		x.part()
		x.cut, x.apart = false, false
	}
	for _, x := range []*line{l, back} {
		for subject := range x.from.ears {
			x.ears[subject] = 1
		}
		x.to.remote.Found(x.from.id(), func() {})
	}
}

func (l *line) w() *world { return l.from.mesh.w }

// heal mends everything.
func (m *mesh) heal() {
	for _, l := range m.lines() {
		l.mend()
	}
}

// settle delivers all that can be, and reports whether anything was.
func (m *mesh) settle() (busy bool) {
	for _, l := range m.lines() {
		for l.deliver() {
			busy = true
		}
	}
	return busy
}

// deliver hands over what comes first, if it can be.
func (l *line) deliver() bool {
	if len(l.queue) == 0 || l.cut {
		return false
	}
	p := l.queue[0]
	if p.settles && !l.to.settled() {
		return false
	}
	l.queue = l.queue[1:]
	p.open(l.to)
	return true
}

// settled is remote.Settle of a world on one goroutine.
func (n *meshNode) settled() bool {
	done := true
	n.remote.loops.Each(func(i int) {
		b := &n.remote.hub.loops[i].inbox
		done = done && b.done == b.posted.Load()
	})
	if done {
		n.remote.loops = 0
	}
	return done
}

// say puts something on the lines of those that want it.
func (n *meshNode) say(settles bool, wanted func(*line) bool, open func(to *meshNode)) {
	for _, l := range n.lines {
		if l != nil && !l.cut && (wanted == nil || wanted(l)) {
			l.queue = append(l.queue, parcel{settles, open})
		}
	}
}

// ask says something to all, whose answers end a round.
func (n *meshNode) ask(open func(to *meshNode, answer func()), then func()) {
	r := &round{left: map[*meshNode]bool{}, then: then}
	for _, l := range n.lines {
		if l != nil && !l.apart {
			r.left[l.to] = true
		}
	}
	n.rounds[r] = true
	n.say(true, nil, func(to *meshNode) {
		open(to, func() {
			to.say(true, func(l *line) bool { return l.to == n }, func(n *meshNode) { n.heard(r, to) })
		})
	})
	n.heard(r, nil)
}

func (n *meshNode) heard(r *round, from *meshNode) {
	delete(r.left, from)
	if len(r.left) == 0 && n.rounds[r] {
		delete(n.rounds, r)
		r.then()
	}
}

// hear changes what the node hears by so much.
func (n *meshNode) hear(subject string, by int) {
	was := n.ears[subject] > 0
	n.ears[subject] += by
	if is := n.ears[subject] > 0; is == was {
		return
	}
	if by < 0 {
		delete(n.ears, subject)
	}
	n.say(false, nil, func(to *meshNode) {
		ears := n.lines[to.index].ears
		if ears[subject] += by; ears[subject] == 0 {
			delete(ears, subject)
		}
	})
}

// listens returns whether a node is known to want messages of the channel.
func (n *meshNode) listens(channel string) func(*line) bool {
	return func(l *line) bool {
		for subject := range l.to.lines[n.index].ears {
			if subject[0] == 'c' && subject[1:] == channel || subject[0] == 'p' && protocol.CompileGlob(subject[1:]).Match(channel) {
				return true
			}
		}
		return false
	}
}

func (n *meshNode) id() cluster.NodeID { return cluster.NodeID(n.index + 1) }

func (n *meshNode) Alone() bool { return false }

func (n *meshNode) Behind() bool { return false }

func (n *meshNode) ID() cluster.NodeID { return n.id() }

func (n *meshNode) Publish(p cluster.Publication, counted func(int)) error {
	p.FromMetadata, p.Data, p.Frame = clone(p.FromMetadata), clone(p.Data), clone(p.Frame)
	total := 0
	n.say(true, n.listens(p.Channel), func(to *meshNode) { to.remote.Publish(p, func(k int) { total += k }) })
	if counted != nil {
		n.ask(func(_ *meshNode, answer func()) { answer() }, func() { counted(total) })
	}
	return nil
}

func (n *meshNode) Send(d cluster.Direct, one bool, reached func(int)) error {
	d.FromMetadata, d.Data = clone(d.FromMetadata), clone(d.Data)
	if reached == nil {
		n.say(true, func(l *line) bool { return l.to.lines[n.index].ears["d"+d.To] > 0 }, func(to *meshNode) { to.remote.Send(d, nil) })
		return nil
	}
	total := 0
	n.ask(func(to *meshNode, answer func()) {
		to.remote.Send(d, func(k int) {
			total += k
			answer()
		})
	}, func() { reached(total) })
	return nil
}

func (n *meshNode) Kick(app, peer string, closed func(int)) error {
	total := 0
	n.ask(func(to *meshNode, answer func()) {
		to.remote.Kick(app, peer, func(k int) {
			total += k
			answer()
		})
	}, func() { closed(total) })
	return nil
}

func (n *meshNode) Peers(_, _ string, found func([]cluster.Member)) error {
	found(nil)
	return nil
}

func (n *meshNode) Channels(_, _, _ string, _ int, found func([]cluster.Occupied)) error {
	found(nil)
	return nil
}

func (n *meshNode) EnterPeer(_, peer string) { n.hear("d"+peer, +1) }

func (n *meshNode) ExitPeer(_, peer string) { n.hear("d"+peer, -1) }

func (n *meshNode) EnterPattern(_, pattern string, entered func(bool)) {
	n.hear("p"+pattern, +1)
	n.ask(func(_ *meshNode, answer func()) { answer() }, func() { entered(true) })
}

func (n *meshNode) ExitPattern(_, pattern string) { n.hear("p"+pattern, -1) }

func (n *meshNode) EnterChannel(s cluster.Share, entered func(bool)) {
	if entered != nil {
		n.hear("c"+s.Channel, +1)
	} else {
		entered = func(bool) {}
	}
	n.say(false, nil, func(to *meshNode) { to.remote.Share(n.id(), s, true) })
	n.ask(func(_ *meshNode, answer func()) { answer() }, func() { entered(true) })
}

func (n *meshNode) ExitChannel(app, channel string) {
	n.hear("c"+channel, -1)
	n.say(false, nil, func(to *meshNode) { to.remote.Exit(n.id(), app, channel) })
}

func (n *meshNode) Tell(s cluster.Step) {
	n.say(false, n.listens(s.Channel), func(to *meshNode) { to.remote.Step(n.id(), s) })
}

func (n *meshNode) Exchange(with cluster.NodeID, s cluster.Share) {
	n.say(false, func(l *line) bool { return l.to.id() == with }, func(to *meshNode) { to.remote.Share(n.id(), s, true) })
}

func (n *meshNode) Answer(to cluster.NodeID, s cluster.Share) {
	n.say(false, func(l *line) bool { return l.to.id() == to }, func(to *meshNode) { to.remote.Share(n.id(), s, false) })
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}
