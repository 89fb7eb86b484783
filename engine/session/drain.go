package session

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"signalbox/protocol"
)

const (
	// drainStep is the pace of a drain, in ms, and
	// drainBatch how many sessions a loop closes at least in a step.
	drainStep  = 10
	drainBatch = 32
)

// Drain tells every client to go away and closes all sessions with 1001, in
// batches so that the clients do not come back all at once, within timeout. It
// returns when all are closed or ctx is done. Who comes after it has begun is
// welcomed, told to go away and closed.
func (h *Hub) Drain(ctx context.Context, timeout time.Duration) {
	h.leaving.Store(true)
	t := newTally(len(h.loops))
	var total atomic.Int64
	for _, l := range h.loops {
		l.Post(func(l *Loop) {
			total.Add(int64(l.open))
			t.add(0)
		})
	}
	if _, err := t.wait(ctx); err != nil {
		return
	}
	t = newTally(len(h.loops))
	// A reconnect costs some 50 µs of a core: the clients are told to spread
	// over a second, and longer from 10 000 connections on.
	spread := max(1000, int(total.Load())/10)
	steps := max(int(timeout.Milliseconds())/drainStep*8/10, 1)
	for _, l := range h.loops {
		l.Post(func(l *Loop) {
			l.goAway(0, spread, func(l *Loop) {
				l.drainFrom(max(drainBatch, (len(l.sessions)+steps-1)/steps), t)
			})
		})
	}
	if _, err := t.wait(ctx); err != nil {
		return // what has not closed by then is cut off
	}
	// What the loops have posted to one another about those who left is dealt
	// with when this is.
	t = newTally(len(h.loops))
	for _, l := range h.loops {
		l.Post(func(*Loop) { t.add(0) })
	}
	_, _ = t.wait(ctx)
}

// goAwayBatch is how many sessions are told to go away before others get a turn.
const goAwayBatch = 1024

// goAway tells the sessions, from this slot on, when to come back, and goes on
// with then.
func (l *Loop) goAway(slot, spread int, then func(*Loop)) {
	end := min(slot+goAwayBatch, len(l.sessions))
	for _, s := range l.sessions[slot:end] {
		if s != nil && s.open {
			l.text = protocol.AppendGoingAway(l.text[:0], 100+rand.IntN(spread))
			s.putText(l.text)
		}
	}
	if end < len(l.sessions) {
		l.at(l.now+1, func(l *Loop) { l.goAway(end, spread, then) })
		return
	}
	l.at(l.now+1, then)
}

// sendOff has a session that came late leave again.
func (l *Loop) sendOff(s *Session) {
	l.text = protocol.AppendGoingAway(l.text[:0], 100+rand.IntN(1000))
	s.putText(l.text)
	l.at(l.now+drainStep, func(*Loop) {
		if s.open {
			s.close(protocol.CloseGoingAway)
		}
	})
}

// drainFrom closes a batch of sessions and comes back for the next.
func (l *Loop) drainFrom(batch int, t *tally) {
	n := 0
	for i := len(l.sessions) - 1; i >= 0 && n < batch; i-- {
		if s := l.sessions[i]; s != nil && s.open {
			s.gather()
			s.close(protocol.CloseGoingAway)
			n++
		}
	}
	if l.open == 0 { // all are out of what they were in, too
		t.add(0)
		return
	}
	l.at(l.now+drainStep, func(l *Loop) { l.drainFrom(batch, t) })
}
