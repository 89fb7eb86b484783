package session

import (
	"math/rand/v2"
	"time"

	"signalbox/protocol"
	"signalbox/protocol/frame"
)

const (
	// sweepEvery is how often a loop looks for sessions with something due, ms.
	sweepEvery = 100
	// expiryLead is how long before its exp a token's session is closed, ms.
	expiryLead = 250
	// maxSkew is how far the wall clock may drift against the hub's before the
	// loop takes it for a jump and computes all expiries anew, ms.
	maxSkew = 50
	// standstill is how much later than it is due a sweep comes if the loop, or the
	// whole machine, has stood still, ms. Less is nothing beside a ping interval.
	standstill = 1000
	// closeBatch is how many sessions are closed before others get a turn, of many
	// that come to their ends together: each is a write, a shutdown, a farewell.
	closeBatch = 256
)

var pingFrame = frame.AppendFrame(nil, frame.OpPing, nil)

// sweep ticks every session that is due.
func (l *Loop) sweep() {
	skew := time.Now().UnixMilli() - l.hub.clock()
	stood := max(l.now-l.swept-sweepEvery, 0)
	l.swept = l.now
	if d := skew - l.skew; d > maxSkew || d < -maxSkew || stood >= standstill {
		l.skew = skew
		for _, s := range l.sessions {
			if s != nil { // and in that time the loop heard nobody
				s.lastSeen = momentOf(l.now + min(s.lastSeen.until(l.now)+stood, 0))
				l.due[s.slot] = s.nextTick()
			}
		}
	}
	l.sweepFrom(0)
}

// sweepFrom is sweep from this slot on.
func (l *Loop) sweepFrom(slot int) {
	for enough := l.gone.len() + closeBatch; slot < len(l.due); slot++ {
		if l.gone.len() >= enough {
			l.at(l.now+1, func(l *Loop) { l.sweepFrom(slot) })
			return
		}
		if due := l.due[slot]; due != 0 && due.until(l.now) <= 0 {
			l.sessions[slot].tick()
		}
	}
	l.weighSlow()
	l.at(l.now+sweepEvery, (*Loop).sweep)
}

// tick does what is due for the session: expiry, inactivity, ping.
func (s *Session) tick() {
	l := s.loop
	if !s.open {
		return
	}
	s.heard = l.lastCast - uint32(s.behindCasts()) // lest the numbers come round to it
	ping := l.hub.limits.PingInterval.Milliseconds()
	if b := s.under().stream; b != nil {
		// The ping waits behind the snapshot; that it drains is a sign of life.
		s.lastSeen = momentOf(max(b.moved, l.now+s.lastSeen.until(l.now)))
	}
	if s.waits() { // its signs of life do, too
		s.lastSeen = momentOf(l.now)
	}
	switch {
	case s.expires != 0 && l.now+l.skew >= s.expires-expiryLead:
		s.close(protocol.CloseTokenExpired)
		return
	case -s.lastSeen.until(l.now) >= 2*ping && s.late:
		s.close(protocol.CloseInactive)
		return
	case -s.lastSeen.until(l.now) >= 2*ping:
		// After a stall of the machine the sweep may come before the input that
		// waits in the socket.
		s.late = true
	case s.nextPing.until(l.now) <= 0:
		s.nextPing = momentOf(l.now + ping*9/10 + rand.Int64N(ping/5+1))
		l.counts.FramesOut++
		s.put(pingFrame)
	}
	l.due[s.slot] = s.nextTick()
}

// nextTick returns when tick is needed next.
func (s *Session) nextTick() moment {
	now := s.loop.now
	wait := min(s.nextPing.until(now), s.lastSeen.until(now)+2*s.loop.hub.limits.PingInterval.Milliseconds())
	if s.expires != 0 {
		wait = min(wait, s.expires-expiryLead-s.loop.skew-now)
	}
	return max(momentOf(now+max(wait, 0)), 1)
}

// moment is a time of a loop's clock, in ms and so short that it wraps around:
// good for times within three weeks of now.
type moment uint32

func momentOf(ms int64) moment { return moment(ms) }

// until returns the ms from now to m, negative if m is past.
func (m moment) until(now int64) int64 { return int64(int32(uint32(m) - uint32(now))) }

// recheckBatch is how many sessions a turn looks at after a change of keys.
const recheckBatch = 16 << 10

// recheck closes the sessions, from this slot on, whose key or app is out of
// force.
func (l *Loop) recheck(slot int) {
	end, enough := min(slot+recheckBatch, len(l.sessions)), l.gone.len()+closeBatch
	for ; slot < end && l.gone.len() < enough; slot++ {
		if s := l.sessions[slot]; s != nil && s.open {
			if code := l.hub.standing(s.grant.Key()); code != 0 {
				s.close(code)
			}
		}
	}
	if slot < len(l.sessions) {
		l.at(l.now+1, func(l *Loop) { l.recheck(slot) })
	}
}
