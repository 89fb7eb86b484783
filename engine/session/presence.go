package session

import (
	"slices"

	"signalbox/engine/auth"
	"signalbox/engine/presence"
	"signalbox/engine/registry"
)

// member is a socket on its way into a roster.
type member struct {
	peer, meta string
	ref        registry.Ref
	watches    bool // may see the roster
}

func (s *Session) member() member {
	return member{s.peer.ID, s.meta, s.ref(), s.grant.Allows(auth.Presence)}
}

// joinHome enters the member into the roster, at the channel's home loop, and
// posts the change to every loop that keeps a replica.
func (l *Loop) joinHome(p *registry.Part, m member) {
	if !l.hub.alone {
		l.joinShare(p, m)
		return
	}
	if p.Roster == nil && len(p.Subs) == 0 {
		// Alone, and a subscriber here: Subs says it all.
		if m.ref.Loop() == l.index {
			p.SetPeers(1)
			p.Seq++
			l.notice(p, presence.Change{Kind: presence.Join, ID: m.peer, Meta: m.meta})
			return
		}
	}
	l.announce(p, l.wholeRoster(p).Join(m.peer, uint64(m.ref), m.meta))
}

// wholeRoster returns the roster at its home loop, made if the part's lone
// subscriber has been all there is of it.
func (l *Loop) wholeRoster(p *registry.Part) *presence.Home {
	if p.Roster == nil {
		p.Roster = new(presence.Home)
		if len(p.Subs) == 1 {
			m := l.sessions[p.Subs[0].Slot].member()
			p.Roster.Join(m.peer, uint64(m.ref), m.meta)
		}
	}
	return p.Roster
}

// announce posts a change of the roster to whoever keeps a replica, and hears it
// itself.
func (l *Loop) announce(p *registry.Part, c presence.Change) {
	if c.Kind == presence.None {
		return
	}
	l.follow(p, c)
	l.notice(p, c)
}

// follow has this loop and those that keep a replica hear of a change of the
// roster.
func (l *Loop) follow(p *registry.Part, c presence.Change) {
	p.SetPeers(p.Roster.Len())
	registry.Loops(p.Roster.Replicas).Each(func(i int) {
		l.hub.loops[i].Post(func(l *Loop) {
			if q := p.Channel.Part(l.index); q != nil && q.Replica != nil {
				q.Replica.Apply(c)
				l.hear(q, c)
			}
		})
	})
	l.hear(p, c)
}

// hear takes note of a change for the subscribers here.
func (l *Loop) hear(p *registry.Part, c presence.Change) {
	p.Seq++
	if c.Kind == presence.Update || !p.Watched() {
		return
	}
	if p.Deltas == nil {
		p.Deltas = new(presence.Deltas)
	}
	p.Deltas.Add(c, p.Seq)
	l.untold[c.ID] = append(l.untold[c.ID], p)
	l.pace(p)
}

// pace makes sure that the part's deltas are told when its window is over.
func (l *Loop) pace(p *registry.Part) {
	if p.Paced {
		return
	}
	due := p.Window.Due(l.now)
	if due <= l.now {
		l.soilQuietly(p)
		p.TellLast()
		return
	}
	p.Paced = true
	l.at(due, func(l *Loop) {
		p.Paced = false
		if p.Deltas.Len() > 0 {
			l.soilQuietly(p)
			p.TellLast()
		}
	})
}

// tell makes the part's deltas due here and now among its frames.
func (l *Loop) tell(p *registry.Part) {
	l.soilQuietly(p)
	l.seq++
	p.Tell(l.seq)
}

// tellOf makes due what the app's parts here have yet to tell of the peer,
// because a message of it is about to come to the subscribers of to: all that to
// itself has untold, and of other channels what the subscribers of both lack.
func (l *Loop) tellOf(to *registry.Part, peer string) {
	for _, p := range l.untold[peer] {
		switch {
		case p.Space() != to.Space():
		case p == to:
			l.tell(p)
		default:
			l.tellBoth(p, to, peer)
		}
	}
}

// tellBoth tells the subscribers of p that are also to's what they do not know
// of the peer, each behind what is pending for it.
func (l *Loop) tellBoth(p, to *registry.Part, peer string) {
	if len(p.Subs) > len(to.Subs) {
		for i := range to.Subs {
			l.sessions[to.Subs[i].Slot].hearIn(p, peer)
		}
		return
	}
	for i := range p.Subs {
		if s := l.sessions[p.Subs[i].Slot]; s.place(to) >= 0 {
			s.hearIn(p, peer)
		}
	}
}

// hearIn tells the session what it does not know yet of the peer in the channel,
// behind what is pending for it.
func (s *Session) hearIn(p *registry.Part, peer string) {
	i := s.place(p)
	if i < 0 || !p.Deltas.InvolvesSince(peer, p.Subs[i].Since) {
		return
	}
	const shown = registry.FlagPresence | registry.FlagAwait
	if p.Subs[i].Flags&shown == registry.FlagPresence {
		s.gather()
		s.loop.tellOne(s, p, i, p.Seq)
	}
}

// trim forgets the part's deltas up to seq, which have been told.
func (l *Loop) trim(p *registry.Part, seq uint32) {
	if p.Deltas == nil {
		return
	}
	p.Deltas.Trim(seq, func(peer string) {
		parts := l.untold[peer]
		i, last := slices.Index(parts, p), len(parts)-1
		parts[i], parts[last] = parts[last], nil
		if last > 0 {
			l.untold[peer] = parts[:last]
		} else {
			delete(l.untold, peer)
		}
	})
	if p.Deltas.Len() == 0 {
		p.Deltas = nil
	}
}

// tellOne tells the subscriber at i what it does not know yet, up to the change
// numbered to.
func (l *Loop) tellOne(s *Session, p *registry.Part, i int, to uint32) {
	sub := &p.Subs[i]
	if sub.Flags&(registry.FlagPresence|registry.FlagAwait) == registry.FlagPresence {
		if p.Deltas != nil {
			frames, steps := p.Deltas.Frames(p.Name, sub.Since, to)
			for _, b := range frames {
				s.loop.counts.FramesOut++
				s.put(b)
			}
			s.loop.counts.Presence(len(frames), steps)
		}
		sub.Since = to
	}
}

// hearOf tells the session what it does not know yet of the peer's presence,
// because something is about to come from it.
func (s *Session) hearOf(peer string) {
	if s.await > 0 {
		s.flushCork()
		s.snapshots()
	}
	s.gather()
	for _, p := range s.loop.untold[peer] {
		if i := s.place(p); i >= 0 && p.Deltas.InvolvesSince(peer, p.Subs[i].Since) {
			s.loop.tellOne(s, p, i, p.Seq)
		}
	}
}

// leaveHome takes the session's socket out of the part's roster, wherever that
// is, and gives the part up if nothing holds it any more.
func (l *Loop) leaveHome(p *registry.Part, s *Session) {
	peer, ref, ch, from := s.peer.ID, s.ref(), p.Channel, l.index
	if p.AtHome() {
		l.leave(p, peer, ref)
		return
	}
	emptied := p.Done()
	l.hub.loops[ch.Home()].Post(func(l *Loop) {
		if q := ch.Part(l.index); q != nil && q.Roster != nil {
			if emptied {
				q.Roster.Replicas &^= 1 << from
			}
			l.leave(q, peer, ref)
		}
	})
}

// leave takes a socket out of the roster, at the home loop.
func (l *Loop) leave(p *registry.Part, peer string, ref registry.Ref) {
	if !l.hub.alone {
		l.leaveShare(p, peer, ref)
		return
	}
	if p.Roster == nil { // it was alone
		p.SetPeers(0)
		p.Seq++
		l.notice(p, presence.Change{Kind: presence.Leave, ID: peer})
		p.Done()
		return
	}
	l.announce(p, p.Roster.Leave(peer, uint64(ref)))
	if p.Roster.Len() == 0 {
		p.Roster = nil
		p.Done()
	}
}

// joinAway asks the channel's home loop to enter the session into the roster.
// The session's input waits for the reply.
func (s *Session) joinAway(p *registry.Part, r *request) {
	l := s.loop
	m, ch := s.member(), p.Channel
	id, meta := slices.Clone(r.RequestID), r.IncludeSenderMetadata
	p.Joining++
	s.held = true
	s.begin().joining = p
	l.hub.loops[ch.Home()].Post(func(l *Loop) {
		q := ch.JoinHome()
		l.joinHome(q, m)
		if a := l.entering(q); a != nil {
			a.then(func(l *Loop) { l.admit(s, p, q, m, id, meta) })
			return
		}
		l.admit(s, p, q, m, id, meta)
	})
}

// admit ends joinAway's part at the home loop, where the session is in the roster
// of q; p is the part of its own loop.
func (l *Loop) admit(s *Session, p, q *registry.Part, m member, requestID []byte, meta bool) {
	var roster *presence.Roster
	if from := m.ref.Loop(); m.watches && q.Roster != nil && !registry.Loops(q.Roster.Replicas).Has(from) {
		q.Roster.Replicas |= 1 << from
		roster = q.Roster.Cut().Replica()
	}
	s.loop.Post(func(l *Loop) { l.admitted(s, p, m.ref, roster, requestID, meta) })
}

// admitted ends a subscribe that had to wait: the home loop has the session in the
// roster.
func (l *Loop) admitted(s *Session, p *registry.Part, ref registry.Ref, roster *presence.Roster, requestID []byte, meta bool) {
	p.Joining--
	if roster != nil {
		p.Replica = roster
	}
	if l.gens[ref.Slot()]&0xffffff != ref.Gen() || !s.open {
		// It has closed meanwhile and its leave is on the way; the replica
		// that came for it may have nobody to serve.
		if p.Done() && p.Replica != nil {
			l.dropReplica(p)
		}
		return
	}
	s.busy.joining = nil
	s.joined(p, meta)
	s.ack(requestID)
	s.release()
}

// dropReplica tells the home loop that this loop's replica is gone.
func (l *Loop) dropReplica(p *registry.Part) {
	ch, from := p.Channel, l.index
	l.hub.loops[ch.Home()].Post(func(l *Loop) {
		if q := ch.Part(l.index); q != nil && q.Roster != nil {
			q.Roster.Replicas &^= 1 << from
		}
	})
}

// roster returns the loop's view of who is in the channel, nil if that is at
// most the one subscriber there is.
func (l *Loop) roster(p *registry.Part) *presence.Roster {
	if p.Roster != nil {
		return &p.Roster.Roster
	}
	return p.Replica
}

// awaitSnapshot makes the session's snapshot of a channel due: not with the ack,
// because clients may read the two in one go and lose the second.
func (s *Session) awaitSnapshot(u *subscription) {
	sub := &u.part.Subs[u.index]
	switch {
	case sub.Flags&registry.FlagPresence == 0:
		return
	case sub.Flags&registry.FlagAwait != 0:
		s.under().stream.repeat(u.part)
		s.weigh()
		return
	}
	sub.Flags |= registry.FlagAwait
	s.await++
	p, ref := u.part, s.ref()
	s.loop.at(s.loop.now+s.loop.hub.limits.SnapshotDelay.Milliseconds(), func(l *Loop) {
		if s := l.session(ref); s != nil {
			s.flushCork()
			s.snapshot(p)
		}
	})
}

// snapshots sends every snapshot that the session awaits.
func (s *Session) snapshots() {
	for i := 0; i < len(s.subs) && s.await > 0; i++ {
		if p := s.subs[i].part; p != nil {
			s.snapshot(p)
		}
	}
}

// snapshot sends the roster of the channel, if it is awaited; behind a long
// snapshot that is on its way, when that has left.
func (s *Session) snapshot(p *registry.Part) {
	i := s.place(p)
	if i < 0 || p.Subs[i].Flags&registry.FlagAwait == 0 {
		return
	}
	switch b := s.under().stream; {
	case b == nil:
		s.tellRoster(p, false)
	case b.count(p) == 0:
		b.queue = append(b.queue, queued{part: p})
	}
}

// tellRoster sends the awaited roster of the channel as it is now. again says
// that it stays awaited, for one more.
func (s *Session) tellRoster(p *registry.Part, again bool) {
	i := s.place(p)
	if i < 0 || p.Subs[i].Flags&registry.FlagAwait == 0 {
		return // unsubscribed meanwhile
	}
	if sub := &p.Subs[i]; !again {
		sub.Flags &^= registry.FlagAwait
		sub.Since = p.Seq
		s.await--
	}
	s.putSnapshot(p)
}

// pong answers a ping, behind all presence that is due to the session.
func (s *Session) pong() {
	if s.await > 0 {
		s.flushCork() // the acks
		s.snapshots()
	}
	s.gather()
	for i := range s.subs {
		if u := &s.subs[i]; u.part != nil && u.part.Deltas.Len() > 0 {
			s.loop.tellOne(s, u.part, int(u.index), u.part.Seq)
		}
	}
	s.putText(pongText)
}
