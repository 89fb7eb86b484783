package session

import (
	"slices"

	"signalbox/engine/auth"
	"signalbox/engine/registry"
	"signalbox/protocol"
)

// subscribe begins a subscription, or repeats one.
func (s *Session) subscribe(r *request) {
	if i := s.find(r.Channel); i >= 0 {
		s.resubscribe(i, r)
		return
	}
	if len(s.subs) >= s.loop.hub.limits.MaxSubscriptions {
		s.refuse(r.RequestID, protocol.ChannelLimitExceeded)
		return
	}
	if protocol.IsGlob(r.Channel) {
		s.subscribeWild(r)
		return
	}
	part := s.app.Space.Join(string(r.Channel), s.loop.index)
	if !part.AtHome() {
		s.joinAway(part, r)
		return
	}
	s.loop.joinHome(part, s.member())
	if a := s.loop.entering(part); a != nil {
		s.joinLater(a, r)
		return
	}
	s.joined(part, r.IncludeSenderMetadata)
	s.ack(r.RequestID)
}

// find returns the index of the session's subscription to this name, or -1.
func (s *Session) find(name []byte) int {
	return slices.IndexFunc(s.subs, func(u subscription) bool { return u.name() == string(name) })
}

func (u *subscription) name() string {
	if u.part != nil {
		return u.part.Name
	}
	return u.group.Glob.String()
}

// resubscribe changes a subscription's options and sends its snapshot again.
func (s *Session) resubscribe(i int, r *request) {
	u := &s.subs[i]
	s.gather() // it is older than the snapshot to come
	if was := u.meta; u.part != nil {
		u.meta = r.IncludeSenderMetadata
		s.setMeta(u)
	} else if u.meta = r.IncludeSenderMetadata; u.meta != was {
		s.regardMeta(u.group.Glob, u.meta)
	}
	s.ack(r.RequestID)
	if u.part != nil {
		s.awaitSnapshot(u)
	}
}

// joined makes the session a subscriber of the part, after the roster has it.
func (s *Session) joined(part *registry.Part, meta bool) {
	s.hearCasts()
	var flags uint8
	if s.grant.Allows(auth.Presence) {
		flags |= registry.FlagPresence
	}
	wild := s.wildMeta(part.Name)
	if meta || wild > 0 {
		flags |= registry.FlagMeta
	}
	i := part.Add(s.slot, flags)
	s.subs = append(s.subs, subscription{part: part, index: uint32(i), meta: meta, wildMeta: wild})
	s.awaitSnapshot(&s.subs[len(s.subs)-1])
}

// subscribeWild begins a wildcard subscription: no roster, no presence.
func (s *Session) subscribeWild(r *request) {
	l := s.loop
	w := l.wild[s.app.Space]
	if w == nil {
		w = registry.NewWild(s.app.Space, l.index)
		l.wild[s.app.Space] = w
	}
	s.hearCasts()
	g, i := w.Add(string(r.Channel), s.slot, 0)
	s.subs = append(s.subs, subscription{group: g, index: uint32(i), meta: r.IncludeSenderMetadata})
	if r.IncludeSenderMetadata {
		s.regardMeta(g.Glob, true)
	}
	if l.hub.alone {
		s.ack(r.RequestID)
		return
	}
	s.enterPattern(r)
}

// regardMeta counts a pattern in or out that asks for sender metadata, on all the
// session's channels that it matches: a message comes once, with metadata if any
// of the subscriptions that match asked for it.
func (s *Session) regardMeta(g protocol.Glob, asks bool) {
	for i := range s.subs {
		u := &s.subs[i]
		if u.part == nil || !g.Match(u.part.Name) {
			continue
		}
		if asks {
			u.wildMeta++
		} else {
			u.wildMeta--
		}
		s.setMeta(u)
	}
}

// wildMeta counts the session's patterns that match the channel and ask for
// sender metadata.
func (s *Session) wildMeta(channel string) (n uint16) {
	for i := range s.subs {
		if u := &s.subs[i]; u.group != nil && u.meta && u.group.Glob.Match(channel) {
			n++
		}
	}
	return n
}

// setMeta has the part send what the session asked for.
func (s *Session) setMeta(u *subscription) {
	on := u.meta || u.wildMeta > 0
	if on != (u.part.Subs[u.index].Flags&registry.FlagMeta != 0) {
		s.gather()
		u.part.SetMeta(int(u.index), on)
	}
}

// unsubscribe ends a subscription, if there is one.
func (s *Session) unsubscribe(r *request) {
	i := s.find(r.Channel)
	if i < 0 {
		s.ack(r.RequestID)
		return
	}
	part := s.subs[i].part
	s.gather() // what was published while it was subscribed
	if part == nil || part.AtHome() {
		s.drop(i)
		s.ack(r.RequestID)
		return
	}
	id := slices.Clone(r.RequestID)
	ref, home := s.ref(), s.loop.hub.loops[part.Home()]
	s.held = true
	s.drop(i)
	// The home loop posts the leave to whoever is to hear it before it answers
	// here, so nothing this peer does later can overtake it.
	home.Post(func(*Loop) {
		s.loop.Post(func(l *Loop) { l.reply(s, ref, id) })
	})
}

// reply acks a request that another loop had a part in, and lets the session go
// on.
func (l *Loop) reply(s *Session, ref registry.Ref, requestID []byte) {
	if l.gens[ref.Slot()]&0xffffff != ref.Gen() || !s.open {
		return
	}
	s.ack(requestID)
	s.release()
}

// drop takes the session's i-th subscription out of its part or group, and the
// session out of the roster.
func (s *Session) drop(i int) {
	l := s.loop
	u := s.subs[i]
	last := len(s.subs) - 1
	s.subs[i] = s.subs[last]
	s.subs[last] = subscription{}
	s.subs = s.subs[:last]
	if last == 0 {
		s.subs = nil
	}
	if u.group != nil {
		w := l.wild[s.app.Space]
		l.hub.bus.ExitPattern(s.app.ID, u.group.Glob.String())
		// The last one moves to where a cast may have been.
		l.sessions[u.group.Subs[len(u.group.Subs)-1].Slot].hearCasts()
		if moved := w.Remove(u.group, int(u.index)); int(u.index) < len(u.group.Subs) {
			l.sessions[moved].moved(subscription{group: u.group, index: u.index})
		}
		if s.open && u.meta {
			s.regardMeta(u.group.Glob, false)
		}
		return
	}
	if u.part.Subs[u.index].Flags&registry.FlagAwait != 0 {
		s.await--
		s.under().stream.forget(u.part)
	}
	l.removeSubscriber(u.part, int(u.index))
	l.leaveHome(u.part, s)
}

// removeSubscriber takes the subscriber at i out of the part.
func (l *Loop) removeSubscriber(p *registry.Part, i int) {
	if last := len(p.Subs) - 1; p.Frozen() && i < p.Out.Cursor && last >= p.Out.Cursor {
		// The last one has not been reached by the flush and moves to where
		// the flush has been.
		l.deliver(p, last)
	}
	if moved := p.Remove(i); i < len(p.Subs) {
		l.sessions[moved].moved(subscription{part: p, index: uint32(i)})
	}
	if !p.Watched() && p.Deltas.Len() > 0 { // nobody is left to tell
		l.trim(p, p.Seq)
	}
}

// moved tells the session that its place in a part or group is another now.
func (s *Session) moved(to subscription) {
	for i := range s.subs {
		if u := &s.subs[i]; u.part == to.part && u.group == to.group {
			u.index = to.index
			return
		}
	}
}
