package session

import (
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// put adds whole frames that are for this session alone to its cork, behind
// everything that goes to it before.
func (s *Session) put(b []byte) {
	if !s.open || s.lost || len(b) == 0 {
		return
	}
	l := s.loop
	if s.cork == nil && len(l.corks) > 0 {
		last := len(l.corks) - 1
		s.cork, l.corks = l.corks[last], l.corks[:last]
	}
	s.cork = append(s.cork, b...)
	if !s.corked {
		s.corked = true
		l.corked = append(l.corked, s)
		l.schedule()
	}
	if s.stream != nil && len(s.cork) > l.hub.limits.backlog() {
		s.close(protocol.ClosePolicy)
	} else if len(s.cork) > maxCork {
		s.flushCork()
	}
}

// maxCork is how much is gathered for a session before it is written, in bytes.
const maxCork = 256 << 10

// putText is put for one text frame.
func (s *Session) putText(text []byte) {
	s.put(s.loop.frame(0, text))
}

// write sends whole frames behind what the cork holds.
func (s *Session) write(b []byte) {
	if len(s.cork) > 0 || s.stream != nil {
		s.put(b)
		s.flushCork()
		return
	}
	s.send(b)
}

// flushCork writes what the cork holds, unless a long snapshot is on its way.
func (s *Session) flushCork() {
	if len(s.cork) == 0 || s.stream != nil {
		return
	}
	b := s.cork
	s.cork = nil
	s.send(b)
	if l := s.loop; cap(b) <= maxIdleCork && len(l.corks) < maxIdleCorks {
		l.corks = append(l.corks, b[:0])
	}
}

// What a loop keeps of empty corks: their number, and the bytes of each.
const (
	maxIdleCorks = 256
	maxIdleCork  = 16 << 10
)

// send hands bytes to the connection and closes it when its reader has fallen
// behind too far.
func (s *Session) send(b []byte) {
	if !s.open || s.lost {
		return
	}
	s.conn.Write(b)
	if s.open && s.conn.Queued() > s.loop.hub.limits.backlog() {
		s.cork = nil
		s.close(protocol.ClosePolicy)
	}
}

// uncork flushes every cork of the loop.
func (l *Loop) uncork() {
	for i := 0; i < len(l.corked); i++ {
		s := l.corked[i]
		s.corked = false
		s.flushCork()
		l.corked[i] = nil
	}
	l.corked = l.corked[:0]
}

// ack answers a request that asked for an answer.
func (s *Session) ack(requestID []byte) {
	if requestID != nil {
		s.loop.text = protocol.AppendAck(s.loop.text[:0], requestID)
		s.putText(s.loop.text)
	}
}

// refuse answers a request that cannot be done.
func (s *Session) refuse(requestID []byte, code protocol.ErrorCode) {
	s.loop.text = protocol.AppendError(s.loop.text[:0], requestID, code)
	s.putText(s.loop.text)
}

// backlog is a snapshot too long to be written at once. It goes out in parts as
// the socket drains; what follows it waits in the cork.
type backlog struct {
	frames [][]byte // whole frames; of the first, what has not been written
	begun  bool     // a part of the first has been written
}

const (
	// partSize is how much of a long snapshot is written at a time, in bytes.
	partSize = 128 << 10
	// partPause is how long the loop waits before it looks whether a part has
	// left, in ms.
	partPause = 2
)

// putLong sends a snapshot: by the cork if it is short, else in parts.
func (s *Session) putLong(texts [][]byte) {
	size := 0
	for _, t := range texts {
		size += len(t)
	}
	if size <= partSize && s.stream == nil {
		for _, t := range texts {
			s.putText(t)
		}
		return
	}
	idle := s.stream == nil
	if idle {
		s.flushCork()
		s.stream = &backlog{}
	} else if len(s.cork) > 0 {
		s.stream.frames = append(s.stream.frames, s.cork)
		s.cork = nil
	}
	for _, t := range texts {
		s.stream.frames = append(s.stream.frames, frame.AppendFrame(nil, frame.OpText, t))
	}
	if idle {
		s.pump()
	}
}

// pump writes the next part of a long snapshot if the last one has left, and
// comes back until all is written.
func (s *Session) pump() {
	if !s.open || s.lost {
		return
	}
	if s.conn.Queued() == 0 {
		s.conn.Write(s.stream.next(partSize))
	}
	switch {
	case !s.open || s.lost:
	case len(s.stream.frames) == 0:
		s.stream = nil
		s.flushCork()
	default:
		ref := s.ref()
		s.loop.at(s.loop.now+partPause, func(l *Loop) {
			if s := l.session(ref); s != nil {
				s.pump()
			}
		})
	}
}

// next takes at most n bytes off the backlog, all of one frame.
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
	if len(b.frames) == 0 || !b.begun {
		return nil
	}
	return b.frames[0]
}
