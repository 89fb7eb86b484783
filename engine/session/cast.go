package session

import (
	"slices"

	"signalbox/engine/registry"
)

// cast is a publication on its way to the loop's subscribers by pattern, so many
// of them a turn. Whoever is to get or do something else before the cast has come
// to him is caught up first, see Session.gather: so everybody gets it as if all
// had got it at once.
type cast struct {
	publication
	full   []byte            // the frame with the sender's metadata; nil: not needed so far
	named  *registry.Part    // whose subscribers have it by name; nil: nobody has
	seq    uint32            // the loop's number for it, among those of frames
	told   []told            // what is told of its sender before it
	groups []*registry.Group // whose pattern matches
	group  int               // the subscribers before the one at next in the
	next   int               // groups[group] have been reached
	weight int64             // what it counts in Loop.inbound
	count  int               // sockets that it has gone to, those by name included
	tally  *tally
}

// told is a place in a part's roster changes.
type told struct {
	part *registry.Part
	to   uint32
}

// castWeight is what a subscriber whom a cast has to reach counts in
// Loop.inbound, in bytes: a loop with half a million before it is behind.
const castWeight = 64

// cast begins to give the publication to those who match its channel by pattern,
// and reports whether there are any. It has gone to count sockets already, those of
// named, nil if there are none.
func (l *Loop) cast(w *registry.Wild, m *publication, named *registry.Part, count int, t *tally) bool {
	var c *cast
	w.Match(m.channel, func(g *registry.Group) {
		if c == nil {
			c = &cast{named: named, count: count, tally: t}
		}
		c.groups = append(c.groups, g)
		c.weight += castWeight * int64(len(g.Subs))
	})
	if c == nil {
		return false
	}
	if !m.kept {
		m = m.clone()
	}
	c.publication = *m
	for _, p := range l.untold[m.from] {
		if p.Space() == m.app.Space {
			c.told = append(c.told, told{p, p.Seq})
		}
	}
	l.seq++
	c.seq = l.seq
	c.weight += int64(len(m.frame))
	l.inbound.Add(c.weight)
	l.lastCast++
	l.casts.push(c)
	l.schedule()
	return true
}

// runCasts goes on with the casts, as far as the budget goes.
func (l *Loop) runCasts(budget *int) {
	for l.casts.len() > 0 {
		if !l.runCast(l.casts.first(), budget) {
			return
		}
		c := l.casts.pop()
		l.inbound.Add(-c.weight)
		c.tally.add(c.count)
	}
}

// runCast goes on with the first cast and reports whether it has come to its end
// within the budget.
func (l *Loop) runCast(c *cast, budget *int) bool {
	for ; c.group < len(c.groups); c.group, c.next = c.group+1, 0 {
		for g := c.groups[c.group]; c.next < len(g.Subs); c.next++ {
			if *budget <= l.gathered/gatherCost {
				return false
			}
			l.gathered++
			if s := l.sessions[g.Subs[c.next].Slot]; s.open && s.behindCasts() > 0 {
				before := l.counts.BytesOut
				l.receiving = s // its cork is flushed here
				s.gather()
				l.receiving = nil
				s.flushCork()
				*budget -= l.cost(before)
			}
		}
	}
	return true
}

// behindCasts returns how many casts the session has not been looked at for, up
// to the last.
func (s *Session) behindCasts() int {
	if !s.open {
		return 0
	}
	return int(min(s.loop.lastCast-s.heard, uint32(s.loop.casts.len())))
}

// nextCast returns the first cast that is for the session and has not come to it
// yet, nil if there is none.
func (s *Session) nextCast() *cast {
	l := s.loop
	for n := s.behindCasts(); n > 0; n-- {
		c := l.casts.list[len(l.casts.list)-n]
		if s.app == c.app && s.ref() != c.except && s.matches(c.channel) && !s.has(c) {
			return c
		}
		s.heard = l.lastCast - uint32(n-1)
	}
	return nil
}

// takeCast gives the session the cast that is next, behind the presence that
// tells of its sender.
func (s *Session) takeCast(c *cast) {
	l := s.loop
	s.heard = l.lastCast - uint32(s.behindCasts()-1)
	l.gathered++
	if s.await > 0 {
		s.flushCork()
		s.snapshots()
	}
	for _, t := range c.told {
		i := s.place(t.part)
		if i < 0 || int32(t.to-t.part.Subs[i].Since) <= 0 {
			continue
		}
		if t.part.Deltas.Len() > 0 && t.part.Deltas.InvolvesSince(c.from, t.part.Subs[i].Since) {
			l.tellOne(s, t.part, i, t.to)
		}
	}
	if c.meta != "" && s.wildMeta(c.channel) > 0 {
		if c.full == nil {
			c.full = l.withMeta(nil, &c.publication)
		}
		s.put(c.full)
	} else {
		s.put(c.frame)
	}
	c.count++
	l.delivered(c.app, 1)
}

// hearCasts catches the session up before its subscriptions change.
func (s *Session) hearCasts() {
	if s.nextCast() != nil {
		s.gather()
	}
}

// matches reports whether one of the session's patterns matches the channel.
func (s *Session) matches(channel string) bool {
	return slices.ContainsFunc(s.subs, func(u subscription) bool { return u.group != nil && u.group.Glob.Match(channel) })
}

// has reports whether the session was given the cast's publication by name. That it
// is subscribed to the channel is not enough: a publication which found nobody there
// may come from another loop after it has.
func (s *Session) has(c *cast) bool { return c.named != nil && s.place(c.named) >= 0 }
