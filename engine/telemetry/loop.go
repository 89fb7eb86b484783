package telemetry

import (
	"maps"

	"signalbox/protocol"
)

// Loop is what one event loop counts, from its start on. Loop-owned.
type Loop struct {
	Connects   uint64 // sessions opened
	FramesIn   uint64 // WebSocket messages and control frames
	FramesOut  uint64 // handed to sockets, each as often as it is for one
	BytesIn    uint64 // of frames
	BytesOut   uint64 // of frames
	Writes     uint64 // to sockets; one carries many frames
	Publishes  uint64 // accepted from clients and REST
	Directs    uint64 // accepted from clients and REST
	Deliveries uint64 // of publishes, to subscribers on this loop

	PresenceSent  uint64 // presence frames of deltas
	PresenceSaved uint64 // joins and leaves that shared a frame with another
	SlowConsumers uint64 // sessions closed because their reader fell behind

	Errors   map[protocol.ErrorCode]uint64
	Closes   map[Close]uint64
	Refusals map[Refusal]uint64

	// States at the time of a copy, which whoever makes it fills in.
	Sessions uint64            // open
	Backlog  uint64            // bytes queued in user space for slow readers
	Apps     map[string]uint64 // deliveries by app

	Handshake Histogram // from accept to the answer
	Flush     Histogram // from a channel's oldest publish to its last write
	Turn      Histogram // of a loop's turns, in which it does all but read input
}

// Close is how a session ended.
type Close struct {
	Code protocol.CloseCode
	By   Party
}

// Party is who ended a session.
type Party string

// The parties.
const (
	Server  Party = "server"
	Client  Party = "client"
	Network Party = "network" // gone without a close frame
)

// Refusal is how an upgrade request was refused: with an HTTP status, or 101
// and a close code.
type Refusal struct {
	Status int
	Code   string // the answer's error code, or the close code in digits
}

// NewLoop returns counts that are all zero.
func NewLoop() *Loop {
	return &Loop{
		Errors:   map[protocol.ErrorCode]uint64{},
		Closes:   map[Close]uint64{},
		Refusals: map[Refusal]uint64{},
		Apps:     map[string]uint64{},
	}
}

// Close codes that stand for the lack of one (RFC 6455 §7.4.1).
const (
	NoCode protocol.CloseCode = 1005 // a close frame without a code
	Gone   protocol.CloseCode = 1006 // no close frame
)

// Reason tells the close code in words, "" for one that a client made up.
func (c Close) Reason() string {
	switch c.Code {
	case NoCode:
		return "no code given"
	case Gone:
		return "connection lost"
	}
	return c.Code.Reason()
}

// Closed counts the end of a session. Codes that clients make up count as one,
// 0.
func (l *Loop) Closed(c Close) {
	if c.Reason() == "" {
		c.Code = 0
	}
	l.Closes[c]++
}

// Presence counts the frames that told of so many joins and leaves.
func (l *Loop) Presence(frames, changes int) {
	if frames == 0 {
		return
	}
	l.PresenceSent += uint64(frames)
	l.PresenceSaved += uint64(max(changes-frames, 0))
}

// Refused counts a refused upgrade request. code is the answer's error code, or
// with status 101 the close code in digits.
func (l *Loop) Refused(status int, code string) { l.Refusals[Refusal{status, code}]++ }

// Clone returns a copy that shares nothing with l.
func (l *Loop) Clone() *Loop {
	c := *l
	c.Errors, c.Closes, c.Refusals, c.Apps = maps.Clone(l.Errors), maps.Clone(l.Closes), maps.Clone(l.Refusals), maps.Clone(l.Apps)
	return &c
}

// Add adds what another loop has counted.
func (l *Loop) Add(o *Loop) {
	l.Connects += o.Connects
	l.FramesIn += o.FramesIn
	l.FramesOut += o.FramesOut
	l.BytesIn += o.BytesIn
	l.BytesOut += o.BytesOut
	l.Writes += o.Writes
	l.Publishes += o.Publishes
	l.Directs += o.Directs
	l.Deliveries += o.Deliveries
	l.PresenceSent += o.PresenceSent
	l.PresenceSaved += o.PresenceSaved
	l.SlowConsumers += o.SlowConsumers
	l.Sessions += o.Sessions
	l.Backlog += o.Backlog
	addAll(l.Apps, o.Apps)
	addAll(l.Errors, o.Errors)
	addAll(l.Closes, o.Closes)
	addAll(l.Refusals, o.Refusals)
	l.Handshake.add(&o.Handshake)
	l.Flush.add(&o.Flush)
	l.Turn.add(&o.Turn)
}

func addAll[K comparable](to, from map[K]uint64) {
	for k, n := range from {
		to[k] += n
	}
}

// Sum returns the sum of a map's counts.
func Sum[K comparable](counts map[K]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}
