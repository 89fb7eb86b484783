package session

import (
	"slices"

	"signalbox/engine/presence"
	"signalbox/engine/registry"
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// backlog is a session's output while a snapshot is on its way that is too long
// to be written at once: it goes out in parts, as the socket drains, and what
// follows it waits here in order.
type backlog struct {
	snapshot *presence.Snapshot // as far as it has not been written; nil between two
	roster   *presence.Roster   // that it is of
	queue    []queued
	size     int   // bytes in queue, and what repetitions there weigh
	pause    int64 // how long to wait before the next look at the socket, ms
	moved    int64 // when the socket last took something, ms of the loop's clock
}

// queued is one thing that waits behind a long snapshot: frames, or another
// channel's snapshot, which is taken when its turn comes so that neither its
// bytes nor those of its repetitions pile up.
type queued struct {
	bytes []byte
	part  *registry.Part
}

const (
	// partSize is how much of a long snapshot is written at a time, in bytes.
	partSize = 128 << 10
	// leastPart is that when there is no room for more.
	leastPart = 4 << 10
	// taskBytes take as long to write as a task takes to run.
	taskBytes = 8 << 10
	// minPause and maxPause bound how long the loop waits before it looks
	// whether a part has left, in ms.
	minPause = 2
	maxPause = 100
)

// add queues whole frames.
func (b *backlog) add(frames []byte) {
	b.size += len(frames)
	if n := len(b.queue); n > 0 && b.queue[n-1].part == nil {
		b.queue[n-1].bytes = append(b.queue[n-1].bytes, frames...)
		return
	}
	b.queue = append(b.queue, queued{bytes: slices.Clone(frames)})
}

// forget takes the channel's snapshot out of the queue.
func (b *backlog) forget(p *registry.Part) {
	if b != nil {
		b.size -= repeatSize * max(b.count(p)-1, 0)
		b.queue = slices.DeleteFunc(b.queue, func(q queued) bool { return q.part == p })
	}
}

// count returns how often the channel's snapshot is queued.
func (b *backlog) count(p *registry.Part) (n int) {
	for _, q := range b.queue {
		if q.part == p {
			n++
		}
	}
	return n
}

// repeat queues the channel's snapshot once more, if it is queued: the client
// has asked again. It weighs what an answer does, so that a client which goes on
// asking without reading comes to its end.
func (b *backlog) repeat(p *registry.Part) {
	if b != nil && b.count(p) > 0 {
		b.queue = append(b.queue, queued{part: p})
		b.size += repeatSize
	}
}

// repeatSize is what a snapshot asked for again counts against the backlog, in
// bytes.
const repeatSize = 64

// rest returns what completes the frame begun, for a close frame to follow.
func (b *backlog) rest() []byte {
	if n := b.snapshot; n != nil && n.Left() < n.Size() {
		return n.Append(nil, n.Left())
	}
	return nil
}

// putSnapshot sends the channel's roster as it is now: by the cork if that is
// short and the socket takes it, else in parts.
func (s *Session) putSnapshot(p *registry.Part) {
	l, r, b := s.loop, s.loop.roster(p), s.under().stream
	if r == nil && b == nil { // nobody but the session
		l.text = protocol.AppendPresence(l.text[:0], p.Name, nil, nil)
		s.putText(l.text)
		return
	}
	if r == nil {
		r = new(presence.Roster)
	}
	n := r.Cut().Snapshot(p.Name, s.peer.ID)
	if b != nil { // its turn in the queue has come
		b.snapshot, b.roster = n, r
		return
	}
	l.warm(r)
	if n.Begin()+len(s.under().cork)+s.conn.Queued() <= min(l.budget.part, l.hub.limits.backlog()/2) {
		l.text = n.Append(l.text[:0], n.Left())
		s.putText(l.text)
		return
	}
	s.flushCork()
	s.begin().stream = &backlog{snapshot: n, roster: r, pause: minPause, moved: l.now}
	s.pump()
}

// nextPart returns the next part of the snapshot, all of one frame, or nil if it
// has been told. It is borrowed until the loop builds another frame.
func (b *backlog) nextPart(l *Loop) []byte {
	n := b.snapshot
	if n == nil || n.Left() == 0 && n.Begin() == 0 {
		b.snapshot, b.roster = nil, nil
		return nil
	}
	l.warm(b.roster)
	l.wire = l.wire[:0]
	if n.Left() == n.Size() {
		l.counts.FramesOut++
		l.wire = frame.AppendHeader(l.wire, frame.OpText, n.Size())
	}
	l.wire = n.Append(l.wire, l.room())
	l.left -= len(l.wire) / taskBytes
	return l.wire
}

// room returns how long the next part of a snapshot may be, in bytes: parts take
// half of what may wait for all readers, and are short once that does, lest those
// who are told a roster are closed for it.
func (l *Loop) room() int {
	total := l.hub.limits.MaxBacklogTotal
	if total == 0 {
		return l.budget.part
	}
	return min(l.budget.part, max(int(total/2-l.hub.backlog.Load()), leastPart))
}

// textIdle is how long the text of a roster's pages is kept for the next
// snapshot, in ms.
const textIdle = 200

// warm notes that the text of the roster's pages is in use.
func (l *Loop) warm(r *presence.Roster) {
	if r.Warm(l.now) {
		l.cool(r, textIdle)
	}
}

// cool drops the text of the roster's pages, some at a time, once it is no longer
// in use. It looks after that in so many ms.
func (l *Loop) cool(r *presence.Roster, wait int64) {
	l.at(l.now+wait, func(l *Loop) {
		switch used, done := r.Cool(l.now - textIdle); {
		case used:
			l.cool(r, textIdle)
		case !done:
			l.cool(r, 1)
		}
	})
}

// pump writes the next part of a long snapshot if the last one has left, and
// comes back until all is written. A socket that takes nothing for as long as a
// silent client is given is closed.
func (s *Session) pump() {
	if !s.open || s.lost || s.under().stream == nil {
		return
	}
	b, now := s.busy.stream, s.loop.now
	switch {
	case s.conn.Queued() == 0:
		b.moved, b.pause = now, minPause
		if s.advance(); s.under().stream != b {
			return
		}
	case now-b.moved > 2*s.loop.hub.limits.PingInterval.Milliseconds():
		s.closeSlow()
		return
	default:
		b.pause = min(2*b.pause, maxPause)
	}
	ref := s.ref()
	s.loop.at(now+b.pause, func(l *Loop) {
		if s := l.session(ref); s != nil {
			s.pump()
		}
	})
}

// advance writes the next part of the snapshot, or what is queued behind it as
// far as the socket takes it at once. It ends the backlog when nothing is left.
func (s *Session) advance() {
	b, left := s.busy.stream, s.loop.budget.part
	for s.open && !s.lost && s.conn.Queued() == 0 {
		if part := b.nextPart(s.loop); part != nil {
			s.transmit(part) // a snapshot does not count against the session's backlog
			s.weigh()
			if left -= len(part); left <= 0 && b.snapshot.More() {
				return // leave the loop to others
			}
			continue
		}
		switch {
		case len(b.queue) == 0:
			s.busy.stream = nil
			s.settle()
			return
		default:
			q := b.queue[0]
			b.queue = b.queue[1:]
			if q.part == nil {
				b.size -= len(q.bytes)
				s.send(q.bytes)
			} else {
				again := b.count(q.part) > 0
				if again {
					b.size -= repeatSize
				}
				s.tellRoster(q.part, again)
			}
		}
	}
}
