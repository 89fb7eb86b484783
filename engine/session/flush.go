package session

import (
	"slices"

	"signalbox/engine/registry"
)

// flushBudget is how many subscribers a turn writes to before the sockets that
// are ready get their turn: a channel of ten thousand would hold the loop for a
// tenth of a second. gatherCost frames that have to be put in order for one
// subscriber weigh as much as a write.
const (
	flushBudget = 512
	gatherCost  = 16
)

// dirtyList is the parts with something to write, oldest first.
type dirtyList struct {
	parts []*registry.Part
	head  int // those before it are done
}

func (d *dirtyList) len() int { return len(d.parts) - d.head }

func (d *dirtyList) first() *registry.Part { return d.parts[d.head] }

func (d *dirtyList) push(p *registry.Part) {
	if d.head > 64 && 2*d.head > len(d.parts) {
		n := copy(d.parts, d.parts[d.head:])
		clear(d.parts[n:])
		d.parts, d.head = d.parts[:n], 0
	}
	d.parts = append(d.parts, p)
}

func (d *dirtyList) pop() {
	d.parts[d.head] = nil
	if d.head++; d.head == len(d.parts) {
		d.parts, d.head = d.parts[:0], 0
	}
}

// soil lists the part among those with something to write.
func (l *Loop) soil(p *registry.Part) {
	if l.pool.Attach(p) {
		l.dirty.push(p)
		l.schedule()
	}
}

// flush writes the pending frames of the dirty parts to their subscribers, one
// write a subscriber, and yields when its budget is spent.
func (l *Loop) flush() {
	l.gathered = 0
	budget := flushBudget
	for l.dirty.len() > 0 {
		p := l.dirty.first()
		l.freeze(p)
		for o := p.Out; o.Cursor < len(p.Subs); o.Cursor++ {
			if budget <= l.gathered/gatherCost {
				l.scheduled = true
				l.waker.WakeFair()
				return
			}
			budget--
			l.deliver(p, o.Cursor)
		}
		l.dirty.pop()
		if l.thaw(p) {
			l.dirty.push(p)
		} else {
			l.pool.Detach(p)
		}
	}
}

// flushNow writes the pending frames of one part, wherever it is in the line,
// where it stays.
func (l *Loop) flushNow(p *registry.Part) {
	l.freeze(p)
	for o := p.Out; o.Cursor < len(p.Subs); o.Cursor++ {
		l.deliver(p, o.Cursor)
	}
	l.thaw(p)
}

// freeze begins a part's flush, unless it has begun.
func (l *Loop) freeze(p *registry.Part) {
	if !p.Frozen() {
		l.seq++
		p.Freeze(l.seq)
	}
}

// thaw ends a part's flush and reports whether more has come meanwhile.
func (l *Loop) thaw(p *registry.Part) (more bool) {
	steps := p.Deltas.Len()
	told, any, more := p.Thaw()
	if any {
		l.trim(p, told)
		p.Window.Told(l.now, steps-p.Deltas.Len(), l.hub.limits.PresenceWindow)
		if p.Deltas.Len() > 0 {
			l.pace(p)
			more = more || p.Pending()
		}
	}
	return more
}

// deliver writes to the subscriber at i of a part that is being flushed all that
// it lacks.
func (l *Loop) deliver(p *registry.Part, i int) {
	s := l.sessions[p.Subs[i].Slot]
	if !s.open {
		return
	}
	if len(s.subs) > 1 && l.dirty.len() > 1 || s.await > 0 && p.Lacks(i) {
		s.gather()
	}
	for t, ok := p.NextTell(i, true); ok; t, ok = p.NextTell(i, true) {
		s.put(p.TakeBefore(i, t))
		l.tellOne(s, p, i, t.To)
	}
	if b := p.Take(i); len(b) > 0 {
		s.write(b)
	} else {
		s.flushCork()
	}
}

// pull moves to the session's cork all that its part, in which it is at i, has
// pending for it.
func (s *Session) pull(p *registry.Part, i int) {
	if p.Out == nil {
		return
	}
	for t, ok := p.NextTell(i, false); ok; t, ok = p.NextTell(i, false) {
		s.put(p.TakeBefore(i, t))
		s.loop.tellOne(s, p, i, t.To)
	}
	s.put(p.TakeAll(i))
}

// gather moves to the session's cork every frame pending for it in any channel,
// in the order in which they were published.
func (s *Session) gather() {
	if s.await > 0 && s.lacks() {
		s.flushCork()
		s.snapshots()
	}
	for {
		first, tell, n := s.nextPart()
		switch n {
		case 0:
			return
		case 1:
			s.pull(first.part, int(first.index))
			return
		}
		s.loop.gathered++
		p, i := first.part, int(first.index)
		if tell {
			t, _ := p.NextTell(i, false)
			s.loop.tellOne(s, p, i, t.To)
		} else {
			s.put(p.TakeOne(i))
		}
	}
}

// nextPart returns the subscription with the oldest frame or Tell pending for the
// session, which of the two it is, and how many subscriptions have any.
func (s *Session) nextPart() (first *subscription, tell bool, n int) {
	var oldest uint32
	for i := range s.subs {
		u := &s.subs[i]
		if u.part == nil || u.part.Out == nil {
			continue
		}
		if seq, isTell, ok := u.part.Next(int(u.index)); ok {
			if n++; n == 1 || int32(seq-oldest) < 0 {
				first, tell, oldest = u, isTell, seq
			}
		}
	}
	return first, tell, n
}

func (s *Session) lacks() bool {
	return slices.ContainsFunc(s.subs, func(u subscription) bool { return u.part != nil && u.part.Lacks(int(u.index)) })
}
