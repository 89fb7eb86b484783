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
	if s.stream != nil {
		s.stream.add(b)
		if s.stream.size > l.hub.limits.backlog() {
			s.close(protocol.ClosePolicy)
		}
		return
	}
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
	if len(s.cork) > maxCork {
		s.flushCork()
	}
}

// maxCork is how much is gathered for a session before it is written, in bytes.
const maxCork = 256 << 10

// putText is put for one text frame.
func (s *Session) putText(text []byte) {
	s.loop.wire = frame.AppendFrame(s.loop.wire[:0], frame.OpText, text)
	s.put(s.loop.wire)
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

// flushCork writes what the cork holds.
func (s *Session) flushCork() {
	if len(s.cork) == 0 {
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
