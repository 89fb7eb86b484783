package session

import (
	"slices"
	"time"

	"signalbox/engine/cluster"
	"signalbox/engine/presence"
	"signalbox/engine/registry"
)

// shared is a channel that has subscribers on this node, as its home loop knows
// it in a cluster: the roster is the union of the nodes' shares.
type shared struct {
	part    *registry.Part
	version uint64 // of this node's share
	members int    // of this node's share
	place   int    // in abroad.list
	// nodes has the shares of other nodes that are known.
	nodes    map[cluster.NodeID]known
	entering bool          // not all nodes have told their shares yet
	waiting  []func(*Loop) // subscribes that wait for that
}

// known is another node's share, whose members are in the roster.
type known struct {
	version uint64
	life    uint64 // when it was told, see remote.life
	asked   bool   // steps were missed: the share is told anew
}

// abroad is all the channels that a loop is home of and that have subscribers on
// this node; nothing on a server that stands alone.
type abroad struct {
	list []*shared
	of   map[*registry.Part]*shared
}

// entering returns the channel if subscribes to it have to wait until other nodes
// have told their shares, else nil.
func (l *Loop) entering(p *registry.Part) *shared {
	if a := l.abroad.of[p]; a != nil && a.entering {
		return a
	}
	return nil
}

// then runs f once all nodes have told their shares.
func (a *shared) then(f func(*Loop)) { a.waiting = append(a.waiting, f) }

// joinLater is the end of a subscribe on the channel's home loop that has to wait.
func (s *Session) joinLater(a *shared, r *request) {
	p, ref := a.part, s.ref()
	id, meta := slices.Clone(r.RequestID), r.IncludeSenderMetadata
	p.Joining++
	s.held = true
	s.begin().joining = p
	a.then(func(l *Loop) { l.admitted(s, p, ref, nil, id, meta) })
}

// joinShare is joinHome in a cluster.
func (l *Loop) joinShare(p *registry.Part, m member) {
	if p.Roster == nil {
		p.Roster = new(presence.Home)
	}
	was, had := p.Roster.Here(m.peer)
	c := p.Roster.Join(m.peer, uint64(m.ref), m.meta)
	a := l.abroad.of[p]
	if a == nil {
		a = l.enterChannel(p)
	} else if !had || was != m.meta {
		l.tellStep(a, cluster.Step{Member: cluster.Member{Peer: m.peer, Meta: m.meta}})
	}
	if !had {
		a.members++
	}
	l.announceHere(a, c)
}

// announceHere is announce of a change that sockets of this node have made.
func (l *Loop) announceHere(a *shared, c presence.Change) {
	if c.Kind == presence.None {
		return
	}
	l.follow(a.part, c)
	if !a.entering { // before, it is not known who else is there: see entered
		l.notice(a.part, c)
	}
}

// enterChannel has the channel's first subscriber on this node told to the
// others.
func (l *Loop) enterChannel(p *registry.Part) *shared {
	a := &shared{part: p, version: uint64(time.Now().UnixMicro()), place: len(l.abroad.list), entering: true}
	l.abroad.list = append(l.abroad.list, a)
	if l.abroad.of == nil {
		l.abroad.of = map[*registry.Part]*shared{}
	}
	l.abroad.of[p] = a
	l.exchange(a)
	return a
}

// askAgain is how long after other nodes were asked for their shares in vain they are
// asked again, in ms.
const askAgain = 250

// exchange tells other nodes the share and asks for theirs, again until all that have
// not gone have told them: to a client that comes back, a snapshot that lacks one
// says that its peers have left.
func (l *Loop) exchange(a *shared) {
	l.hub.bus.EnterChannel(a.share(), func(all bool) {
		l.Post(func(l *Loop) {
			if all {
				l.entered(a)
				return
			}
			l.at(l.now+askAgain, func(l *Loop) {
				if a.entering {
					l.exchange(a)
				}
			})
		})
	})
}

// entered lets those subscribe who have waited for other nodes' shares.
func (l *Loop) entered(a *shared) {
	if !a.entering {
		return
	}
	a.entering = false
	if h := a.part.Roster; l.abroad.of[a.part] == a {
		h.EachHere(func(id, meta string) {
			if h.Only(id) {
				l.notice(a.part, presence.Change{Kind: presence.Join, ID: id, Meta: meta})
			}
		})
	}
	waiting := a.waiting
	a.waiting = nil
	for _, f := range waiting {
		f(l)
	}
}

// share returns this node's share of the channel.
func (a *shared) share() cluster.Share {
	s := cluster.Share{App: a.part.Space().App, Channel: a.part.Name, Version: a.version}
	a.part.Roster.EachHere(func(id, meta string) {
		s.Members = append(s.Members, cluster.Member{Peer: id, Meta: meta})
	})
	return s
}

// tellStep tells other nodes of a change of this node's share.
func (l *Loop) tellStep(a *shared, s cluster.Step) {
	a.version++
	s.App, s.Channel, s.Version = a.part.Space().App, a.part.Name, a.version
	l.hub.bus.Tell(s)
}

// leaveShare is leave in a cluster.
func (l *Loop) leaveShare(p *registry.Part, peer string, ref registry.Ref) {
	a := l.abroad.of[p]
	was, had := p.Roster.Here(peer)
	c := p.Roster.Leave(peer, uint64(ref))
	switch meta, has := p.Roster.Here(peer); {
	case had && !has:
		if a.members--; a.members > 0 {
			l.tellStep(a, cluster.Step{Leaves: true, Member: cluster.Member{Peer: peer}})
		}
	case meta != was:
		l.tellStep(a, cluster.Step{Member: cluster.Member{Peer: peer, Meta: meta}})
	}
	l.announceHere(a, c)
	if a.members == 0 {
		l.exitChannel(a)
	}
}

// exitChannel ends what the loop knows of a channel that has no subscriber on this
// node any more.
func (l *Loop) exitChannel(a *shared) {
	p := a.part
	last := len(l.abroad.list) - 1
	l.abroad.list[a.place] = l.abroad.list[last]
	l.abroad.list[a.place].place = a.place
	l.abroad.list[last] = nil
	l.abroad.list = l.abroad.list[:last]
	delete(l.abroad.of, p)
	l.hub.bus.ExitChannel(p.Space().App, p.Name)
	p.Roster = nil
	p.SetPeers(0)
	l.entered(a)
	p.Done()
}

// enterPattern has messages of other nodes come for a wildcard subscription. The
// session's input waits for that.
func (s *Session) enterPattern(r *request) {
	s.held = true
	s.loop.hearPattern(s, s.ref(), string(r.Channel), slices.Clone(r.RequestID))
}

// hearPattern acknowledges a wildcard subscription once the messages of all nodes come
// that have not gone: it asks them again until then.
func (l *Loop) hearPattern(s *Session, ref registry.Ref, pattern string, requestID []byte) {
	l.hub.bus.EnterPattern(s.app.ID, pattern, func(all bool) {
		l.Post(func(l *Loop) {
			if all {
				l.reply(s, ref, requestID)
				return
			}
			l.at(l.now+askAgain, func(l *Loop) {
				if l.session(ref) == s {
					l.hearPattern(s, ref, pattern, requestID)
					l.hub.bus.ExitPattern(s.app.ID, pattern) // it was entered twice
				}
			})
		})
	})
}

// replaceShare makes the members of a node's share those of s.
func (l *Loop) replaceShare(a *shared, from cluster.NodeID, life uint64, s cluster.Share) {
	h, ref := a.part.Roster, presence.AwayRef(uint64(from))
	if _, ok := a.nodes[from]; ok {
		stay := make(map[string]bool, len(s.Members))
		for _, m := range s.Members {
			stay[m.Peer] = true
		}
		for _, id := range h.With(ref) {
			if !stay[id] {
				l.followAway(a, h.Leave(id, ref))
			}
		}
	}
	for _, m := range s.Members {
		if was, ok := h.Of(m.Peer, ref); ok && was == m.Meta {
			continue // no newer than the peer's others
		}
		l.followAway(a, h.Join(m.Peer, ref, m.Meta))
	}
	a.know(from, known{version: s.Version, life: life})
	l.left -= len(s.Members) / 16
}

// followStep changes a node's share, or asks for it if steps were missed.
func (l *Loop) followStep(a *shared, from cluster.NodeID, s cluster.Step) {
	k, ok := a.nodes[from]
	switch {
	case k.asked, !ok && a.entering, ok && s.Version <= k.version:
		return // the share is on its way, and this is in it
	case !ok || s.Version != k.version+1:
		k.asked = true
		a.know(from, k)
		l.hub.bus.Exchange(from, a.share())
		return
	}
	k.version = s.Version
	a.know(from, k)
	h, ref := a.part.Roster, presence.AwayRef(uint64(from))
	if s.Leaves {
		l.followAway(a, h.Leave(s.Member.Peer, ref))
	} else {
		l.followAway(a, h.Join(s.Member.Peer, ref, s.Member.Meta))
	}
}

func (a *shared) know(from cluster.NodeID, k known) {
	if a.nodes == nil {
		a.nodes = map[cluster.NodeID]known{}
	}
	a.nodes[from] = k
}

// endShare takes a node's share out of the roster. lost says that the node is
// gone, so that nobody there tells of those who leave.
func (l *Loop) endShare(a *shared, from cluster.NodeID, lost bool) {
	h, ref := a.part.Roster, presence.AwayRef(uint64(from))
	delete(a.nodes, from)
	for _, id := range h.With(ref) {
		c := h.Leave(id, ref)
		l.followAway(a, c)
		if lost && l.speaks(a) {
			l.notice(a.part, c)
		}
	}
}

// speaks reports whether this node is the one, of those with the channel, that
// tells of what a node that is gone cannot: the one with the lowest id.
func (l *Loop) speaks(a *shared) bool {
	own := l.hub.bus.ID()
	for n := range a.nodes {
		if n < own {
			return false
		}
	}
	return !a.entering
}

// followAway is announce of a change that another node has made.
func (l *Loop) followAway(a *shared, c presence.Change) {
	if c.Kind != presence.None {
		l.follow(a.part, c)
	}
}

// eachShared calls f with every channel of the list, some at a time, from the
// last to the first, and done at the end: f may end a channel, and those that come
// meanwhile are passed over. While held reports true it waits.
func (l *Loop) eachShared(from int, held func() bool, f func(*Loop, *shared), done func()) {
	const batch, members = 256, 16 // so many members are about as much as a channel
	i := min(from, len(l.abroad.list)) - 1
	for weight := 0; i >= 0 && weight < batch && !held(); i-- {
		a := l.abroad.list[i]
		weight += 1 + a.part.Roster.Len()/members
		f(l, a)
	}
	if i < 0 {
		done()
		return
	}
	l.at(l.now+1, func(l *Loop) { l.eachShared(i+1, held, f, done) })
}
