package floor

import (
	"time"

	"signalbox/protocol/frame"
)

// DialoguePath is asked for with a query to begin a dialogue in place of the hub:
// what Signalbox says to a peer that connects and subscribes to one channel, said
// by heart, in the writes that the protocol wants. It is the least that such a
// connect can cost.
const DialoguePath = "/dialogue"

var (
	forDialogue = []byte("GET " + DialoguePath + "?")

	welcome  = frame.AppendFrame([]byte(answer), frame.OpText, []byte(`{"type":"welcome","peerId":"own-000000","expiresAt":1800000000,"metadata":{}}`))
	ack      = frame.AppendFrame(nil, frame.OpText, []byte(`{"type":"ack","requestId":"0"}`))
	snapshot = frame.AppendFrame(nil, frame.OpText, []byte(`{"type":"presence","channel":"own-000000","joined":[],"left":[]}`))
)

// snapshotDelay is how long the snapshot stays behind the ack: the server's
// default.
const snapshotDelay = 5 * time.Millisecond

// due is a snapshot to be sent.
type due struct {
	fd int
	at time.Time
}

// greet answers the request.
func (s *Server) greet(fd int) {
	if !s.send(fd, welcome) {
		s.close(fd)
		return
	}
	s.conns[fd].speaks = true
}

// reply answers what a speaker says: once, as the load generator subscribes to
// one channel, and in one read.
func (s *Server) reply(fd int, buf []byte) {
	if frame.Opcode(buf[0]&0x0f) == frame.OpClose || !s.send(fd, ack) {
		s.close(fd)
		return
	}
	s.due = append(s.due, due{fd, time.Now().Add(snapshotDelay)})
}

// sendDue sends the snapshots whose time has come, and returns how long to wait
// for the next, in ms; -1 if there is none.
func (s *Server) sendDue() (wait int) {
	if len(s.due) == 0 {
		return -1
	}
	now := time.Now()
	n := 0
	for ; n < len(s.due) && !now.Before(s.due[n].at); n++ {
		if fd := s.due[n].fd; s.conns[fd].speaks && !s.send(fd, snapshot) {
			s.close(fd)
		}
	}
	s.due = append(s.due[:0], s.due[n:]...)
	if len(s.due) == 0 {
		return -1
	}
	return int((s.due[0].at.Sub(now) + time.Millisecond - 1) / time.Millisecond)
}
