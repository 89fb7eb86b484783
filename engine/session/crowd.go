package session

import (
	"context"
	"slices"
	"time"

	"signalbox/engine/registry"
)

// What loops have to deliver is bounded by having those wait who bring more of it: a
// loop that is behind with all it does holds back whoever sends there, and one that
// is behind with a single channel whoever publishes to that.

const (
	// maxInbound is how many bytes of messages may wait in a loop's inbox before
	// those who send there have to wait; they look again after minCrowded ms,
	// then, as long as none may go on, ever later up to maxCrowded.
	maxInbound = 32 << 20
	minCrowded = 2
	maxCrowded = 64
	// mostPending flushes of a channel are gathered of those who do not wait; what is
	// more is written at once. Those of many channels count as what waits in the inbox.
	mostPending = 32
)

// fill sees what to do about the part's pending frames, to which one has been added.
func (l *Loop) fill(p *registry.Part) {
	n := p.Bytes()
	if n > l.budget.flush && !p.Out.Full {
		p.Out.Full = true
		l.setFull(append(l.fullChannels(), p.Channel))
	}
	l.countOver(p)
	if most := mostPending * l.budget.flush; n > most {
		l.flushNow(p, most)
	}
}

// emptied notes that a flush of the part is over. Its channel may be listed for another
// part, too, which has followed when the last subscriber of this one had gone.
func (l *Loop) emptied(p *registry.Part) {
	l.countOver(p)
	if p.Out.Full && p.Bytes() <= l.budget.flush {
		p.Out.Full = false
		full := l.fullChannels()
		i := slices.Index(full, p.Channel)
		l.setFull(slices.Delete(full, i, i+1))
		if len(l.waiting) > 0 {
			l.at(l.now, func(l *Loop) { l.letGo() })
		}
	}
}

// countOver has what the part has pending beyond a flush count in Loop.inbound.
func (l *Loop) countOver(p *registry.Part) {
	if over := max(p.Bytes()-l.budget.flush, 0); over != p.Out.Over {
		l.inbound.Add(int64(over - p.Out.Over))
		p.Out.Over = over
	}
}

// fullChannels returns a copy of l.full.
func (l *Loop) fullChannels() []*registry.Channel {
	if full := l.full.Load(); full != nil {
		return slices.Clone(*full)
	}
	return nil
}

func (l *Loop) setFull(channels []*registry.Channel) {
	if len(channels) == 0 {
		l.full.Store(nil)
		return
	}
	l.full.Store(&channels)
}

// crowded reports whether one of the loops has too much to deliver, of all or of the
// channel, which is nil if none is meant. Any goroutine.
func (h *Hub) crowded(to registry.Loops, ch *registry.Channel) (yes bool) {
	to.Each(func(i int) {
		l := h.loops[i]
		full := l.full.Load()
		yes = yes || l.inbound.Load() > maxInbound || full != nil && slices.Contains(*full, ch)
	})
	return yes
}

// giveWay holds the session while one of the loops that it sends to is behind: what
// TCP does for a client whose own loop is busy, this does for one whose messages
// another loop has to deliver, or a large channel. ch may be nil.
func (s *Session) giveWay(to registry.Loops, ch *registry.Channel) {
	if !s.open || s.held || !s.loop.hub.crowded(to, ch) {
		return
	}
	s.held = true
	s.loop.waiting = append(s.loop.waiting, waiter{s.ref(), to, ch})
	s.loop.lookAgain(minCrowded)
}

// waiter is a session that is held while one of the loops is behind, of all or of the
// channel.
type waiter struct {
	ref registry.Ref
	to  registry.Loops
	ch  *registry.Channel // may be nil
}

// lookAgain has those who wait go on in so many ms, if they may, and goes on itself as
// long as some wait.
func (l *Loop) lookAgain(pause int64) {
	at := l.now + pause
	if l.lookAt != 0 && l.lookAt <= at {
		return
	}
	l.lookAt = at
	l.at(at, func(l *Loop) {
		if l.lookAt != at { // there has been another since
			return
		}
		l.lookAt = 0
		next := min(pause+1, maxCrowded)
		if l.letGo() {
			next = minCrowded
		}
		if len(l.waiting) > 0 {
			l.lookAgain(next)
		}
	})
}

// letGo has those who wait go on, as many as may and as the loop's budget of tasks
// allows, and reports whether some have: who has waited longest comes first, and who
// is held again is the last.
func (l *Loop) letGo() (some bool) {
	list := l.waiting
	l.waiting = nil
	kept := list[:0]
	var crowded waiter // the last for whom a loop was behind
	for _, w := range list {
		s := l.session(w.ref)
		switch {
		case s == nil:
		case l.left <= 0 || w.to == crowded.to && w.ch == crowded.ch:
			kept = append(kept, w)
		case l.hub.crowded(w.to, w.ch):
			kept, crowded = append(kept, w), w
		default:
			some = true
			l.left--
			s.release()
		}
	}
	clear(list[len(kept):])
	l.waiting = append(kept, l.waiting...)
	return some
}

// wait waits while one of the loops is behind, ch may be nil. The error is that of
// ctx, if it is done before. For goroutines that are no loop's.
func (h *Hub) wait(ctx context.Context, to registry.Loops, ch *registry.Channel) error {
	for pause := time.Duration(minCrowded); h.crowded(to, ch); pause = min(2*pause, maxCrowded) {
		select {
		case <-time.After(pause * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
