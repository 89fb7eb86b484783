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
	frames [][]byte // of the snapshot; of the first, what has not been written
	begun  bool     // a part of the first frame has been written
	queue  []queued
	size   int   // bytes in queue
	pause  int64 // how long to wait before the next look at the socket, ms
	moved  int64 // when the socket last took something, ms of the loop's clock
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

// next takes at most n bytes off the snapshot, all of one frame.
func (b *backlog) next(n int) []byte {
	f := b.frames[0]
	if b.begun = len(f) > n; b.begun {
		b.frames[0] = f[n:]
		return f[:n]
	}
	b.frames = b.frames[1:]
	return f
}

// rest returns what completes the frame begun, for a close frame to follow.
func (b *backlog) rest() []byte {
	if !b.begun {
		return nil
	}
	return b.frames[0]
}

// putSnapshot sends the channel's roster as it is now: by the cork if that is
// short and the socket takes it, else in parts.
func (s *Session) putSnapshot(p *registry.Part) {
	texts := presence.Snapshot(p.Name, s.loop.roster(p), s.peer.ID)
	if b := s.under().stream; b != nil { // its turn in the queue has come
		b.frames = framed(texts)
		return
	}
	size := 0
	for _, t := range texts {
		size += len(t)
	}
	if size+len(s.under().cork)+s.conn.Queued() <= min(partSize, s.loop.hub.limits.backlog()/2) {
		for _, t := range texts {
			s.putText(t)
		}
		return
	}
	s.flushCork()
	s.begin().stream = &backlog{frames: framed(texts), pause: minPause, moved: s.loop.now}
	s.pump()
}

// framed returns texts as WebSocket frames.
func framed(texts [][]byte) [][]byte {
	frames := make([][]byte, len(texts))
	for i, t := range texts {
		frames[i] = frame.AppendFrame(nil, frame.OpText, t)
	}
	return frames
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
		s.close(protocol.ClosePolicy)
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
	b := s.busy.stream
	for s.open && !s.lost && s.conn.Queued() == 0 {
		switch {
		case len(b.frames) > 0:
			s.conn.Write(b.next(partSize)) // a snapshot does not count against the backlog
			if len(b.frames) > 0 {
				return // leave the loop to others
			}
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
				s.tellRoster(q.part, b.count(q.part) > 0)
			}
		}
	}
}
