package session

import (
	"slices"

	"signalbox/engine/registry"
)

// gatherCost frames that have to be put in order for one subscriber weigh as much
// as a write.
const gatherCost = 16

// soil lists the part among those with frames to write.
func (l *Loop) soil(p *registry.Part) {
	l.pool.Attach(p)
	l.line(p, inFrames)
}

// soilQuietly lists the part among those with nothing to write but deltas. They
// come after those with frames: a storm of joins must not hold up messages.
func (l *Loop) soilQuietly(p *registry.Part) {
	l.pool.Attach(p)
	l.line(p, inDeltas)
}

// The lines that a part with something to write stands in. One in both is
// flushed with the frames.
const (
	inFrames uint8 = 1 << iota
	inDeltas
)

func (l *Loop) line(p *registry.Part, in uint8) {
	if p.Out.Lines&in != 0 {
		return
	}
	p.Out.Lines |= in
	if in == inFrames {
		l.dirty.push(p)
	} else {
		l.dirtyDeltas.push(p)
	}
	l.schedule()
}

// flush writes what the dirty parts have for their subscribers, one write a
// subscriber, and yields when its budget is spent: a channel of ten thousand
// would hold the loop for a tenth of a second.
func (l *Loop) flush() {
	l.gathered = 0
	p := l.nextDirty()
	l.patience.holds = p != nil && !p.Frozen() && l.patience.wait(len(p.Subs), l.seq, l.now)
	if l.patience.holds {
		return
	}
	budget := l.budget.writes
	l.runCasts(&budget)
	budget = max(budget, l.budget.writes/2) // casts come first, but not alone
	l.flushLine(&l.dirty, inFrames, &budget)
	// Deltas come last, but they come: for half a turn at the most, because others
	// wait for whole turns of a storm.
	budget = min(max(budget, l.budget.writes/4), l.budget.writes/2)
	l.flushLine(&l.dirtyDeltas, inDeltas, &budget)
}

func (l *Loop) nextDirty() *registry.Part {
	if l.dirty.len() == 0 {
		return nil
	}
	return l.dirty.first()
}

// flushLine flushes the parts of one line, as far as the budget goes.
func (l *Loop) flushLine(d *fifo[*registry.Part], line uint8, budget *int) {
	for d.len() > 0 {
		p := d.first()
		if line == inDeltas && p.Out.Lines&inFrames != 0 {
			// Its frames, and its deltas with them, have their own turn.
		} else if !l.flushPart(p, budget) {
			return
		}
		d.pop()
		l.leaveLine(p, line)
	}
}

// flushPart goes on with a part's flush and reports whether it has come to its
// end within the budget.
func (l *Loop) flushPart(p *registry.Part, budget *int) bool {
	l.freeze(p)
	l.batching = len(p.Subs) >= batchLeast
	for o := p.Out; o.Cursor < len(p.Subs); o.Cursor++ {
		if *budget <= l.gathered/gatherCost {
			l.submit()
			return false
		}
		before := l.counts.BytesOut
		l.deliver(p, o.Cursor)
		*budget -= l.cost(before)
	}
	l.submit() // before the frames are gone
	l.patience.flushed(len(p.Subs), p.Frames(), l.now)
	l.thaw(p)
	return true
}

// writeBytes of a write take as long as another.
const writeBytes = 4 << 10

// cost returns how many short writes a write has cost as much as, from the bytes
// written before it.
func (l *Loop) cost(before uint64) int { return 1 + int((l.counts.BytesOut-before)/writeBytes) }

// leaveLine takes a flushed part out of a line, and puts it back if something is left
// or more has come meanwhile: frames among those with frames.
func (l *Loop) leaveLine(p *registry.Part, line uint8) {
	p.Out.Lines &^= line
	switch {
	case p.Bytes() > 0:
		l.line(p, inFrames)
	case p.Out.Lines == 0 && p.Pending():
		l.line(p, line)
	case p.Out.Lines == 0:
		l.pool.Detach(p)
	}
}

// flushNow writes pending frames of one part, wherever it is in its line, where it
// stays, until no more than most bytes are left.
func (l *Loop) flushNow(p *registry.Part, most int) {
	before := l.counts.BytesOut
	for p.Bytes() > most {
		budget := len(p.Subs) + 1 + l.gathered/gatherCost
		l.flushPart(p, &budget)
	}
	l.left -= int((l.counts.BytesOut - before) / taskBytes)
}

// freeze begins a part's flush, unless it has begun.
func (l *Loop) freeze(p *registry.Part) {
	if !p.Frozen() {
		l.seq++
		p.Freeze(l.seq, l.budget.flush)
		p.Out.Began = l.now
	}
}

// thaw ends a part's flush.
func (l *Loop) thaw(p *registry.Part) {
	if at := p.Out.Flushing; at != 0 {
		l.counts.Flush.Observe(l.hub.time() - at)
	}
	steps, began := p.Deltas.Len(), p.Out.Began
	told, any := p.Thaw()
	l.emptied(p)
	if any {
		l.trim(p, told)
		p.Window.Told(began, l.now, steps-p.Deltas.Len(), l.hub.limits.PresenceWindow)
		if p.Deltas.Len() > 0 {
			l.pace(p)
		}
	}
}

// deliver writes to the subscriber at i of a part that is being flushed all that
// it lacks.
func (l *Loop) deliver(p *registry.Part, i int) {
	s := l.sessions[p.Subs[i].Slot]
	if !s.open {
		return
	}
	if len(s.subs) > 1 && (l.dirty.len()+l.dirtyDeltas.len() > 1 || s.nextCast() != nil) || s.await > 0 && p.Lacks(i) {
		s.gather()
	}
	for t, ok := p.NextTell(i, true); ok; t, ok = p.NextTell(i, true) {
		s.put(p.TakeBefore(i, t))
		l.tellOne(s, p, i, t.To)
	}
	switch b := p.Take(i); {
	case len(b) == 0:
		s.flushCork()
	case l.batching && s.batch(b):
	default:
		s.write(b)
	}
}

// batchLeast is how many subscribers of a part are worth a batch.
const batchLeast = 32

// submit ends a batch.
func (l *Loop) submit() {
	if l.batching {
		l.batching = false
		l.waker.Submit()
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

// gather moves to the session's cork every frame pending for it in any channel
// and every cast that has not come to it, in the order in which they were published.
func (s *Session) gather() {
	if !s.open { // flushes have passed it over
		return
	}
	if s.await > 0 && s.lacks() {
		s.flushCork()
		s.snapshots()
	}
	for {
		first, tell, oldest, n := s.nextPart()
		switch c := s.nextCast(); {
		case c != nil && (n == 0 || int32(c.seq-oldest) < 0):
			s.takeCast(c)
			continue
		case n == 0:
			return
		case n == 1 && c == nil:
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
// session, which of the two it is, its number, and how many subscriptions have any.
func (s *Session) nextPart() (first *subscription, tell bool, oldest uint32, n int) {
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
	return first, tell, oldest, n
}

func (s *Session) lacks() bool {
	return slices.ContainsFunc(s.subs, func(u subscription) bool { return u.part != nil && u.part.Lacks(int(u.index)) })
}
