package session

import (
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// put adds whole frames that are for this session alone to its cork, behind
// everything that goes to it before. What is longer than a cork is written at once:
// a roster's news are the same for ten thousand sessions, and a copy for each
// would cost more than to send it.
func (s *Session) put(b []byte) {
	if !s.open || s.lost || len(b) == 0 {
		return
	}
	if len(s.under().cork)+len(b) > maxCork {
		s.flushCork()
	}
	l, u := s.loop, s.under()
	switch {
	case u.stream != nil:
		u.stream.add(b)
		s.weigh()
		return
	case len(b) > maxCork:
		l.left -= len(b) / taskBytes
		s.send(b)
		s.settle()
		return
	case !s.open || s.lost:
		return
	}
	u = s.begin()
	u.cork = append(u.cork, b...)
	if !s.corked && s != l.receiving {
		s.corked = true
		l.corked.push(s)
		l.schedule()
	}
}

// maxCork is how much is gathered for a session before it is written, in bytes.
// Loops keep corks for reuse.
const maxCork = 16 << 10

// putText is put for one text frame.
func (s *Session) putText(text []byte) {
	s.loop.counts.FramesOut++
	s.loop.wire = frame.AppendFrame(s.loop.wire[:0], frame.OpText, text)
	s.put(s.loop.wire)
}

// write sends whole frames behind what the cork holds.
func (s *Session) write(b []byte) {
	if u := s.under(); len(u.cork) > 0 || u.stream != nil {
		s.put(b)
		s.flushCork()
		return
	}
	s.send(b)
	s.settle()
}

// flushCork writes what the cork holds.
func (s *Session) flushCork() {
	u := s.busy
	if u == nil {
		return
	}
	if len(u.cork) > 0 {
		b := u.cork
		u.cork = nil // a close in the midst of the write must not write it again
		s.send(b)
		u.cork = b[:0]
	}
	s.settle()
}

// send hands bytes to the connection and closes it when its reader has fallen
// behind too far.
func (s *Session) send(b []byte) {
	if !s.open || s.lost {
		return
	}
	s.transmit(b)
	if s.conn.Queued() > 0 || s.under().weight > 0 {
		s.weigh()
	}
}

// weigh looks how much waits for the client to read and closes the session if
// that is too much. The caller settles.
func (s *Session) weigh() {
	if !s.open {
		return
	}
	weight, most := s.conn.Queued(), s.loop.hub.limits.backlog()
	if b := s.under().stream; b != nil {
		weight += b.size
		most += s.loop.budget.part // what the connection has may be part of a snapshot
	}
	if weight > most {
		s.closeSlow()
		return
	}
	s.loop.reckon(s, weight)
}

// transmit writes to the socket.
func (s *Session) transmit(b []byte) {
	s.loop.countWrite(b)
	s.conn.Write(b)
}

// batch has b written with what others get, unless something waits for the
// client already.
func (s *Session) batch(b []byte) bool {
	if s.busy != nil || s.lost || !s.conn.Batch(b) {
		return false
	}
	s.loop.countWrite(b)
	return true
}

func (l *Loop) countWrite(b []byte) {
	l.counts.Writes++
	l.counts.BytesOut += uint64(len(b))
}

// Behind looks how much waits for the client, of which a batch was not all taken.
func (s *Session) Behind() {
	s.weigh()
	s.settle()
}

// closeSlow closes a session whose reader has fallen behind too far.
func (s *Session) closeSlow() {
	s.loop.counts.SlowConsumers++
	s.close(protocol.ClosePolicy)
}

// uncork flushes the corks of the loop, as many as the budget allows.
func (l *Loop) uncork() {
	for budget := l.budget.writes; l.corked.len() > 0; {
		if budget <= 0 {
			return
		}
		s := l.corked.pop()
		s.corked = false
		before := l.counts.BytesOut
		s.flushCork()
		budget -= l.cost(before)
	}
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
	s.loop.counts.Errors[code]++
	s.loop.text = protocol.AppendError(s.loop.text[:0], requestID, code)
	s.putText(s.loop.text)
}
