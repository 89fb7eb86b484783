package cluster

import (
	"errors"
	"sync/atomic"
	"time"
)

// counters are those of the bus. Any goroutine (atomic).
type counters struct {
	messagesOut, bytesOut          atomic.Uint64
	messagesIn, bytesIn, recordsIn atomic.Uint64
	repeated, lost, gaps, resyncs  atomic.Uint64
	rounds, timeouts, links        atomic.Uint64
	refused                        [len(refusals)]atomic.Uint64
	rtt                            atomic.Int64
}

// refusals are the reasons why something is refused.
var refusals = [...]struct {
	reason string
	err    error
}{
	{"malformed", errMalformed},
	{"format", errFormat},
	{"origin", errOrigin},
	{"name", errName},
	{"size", errSize},
	{"json", errJSON},
	{"frame", errFrame},
	{"usage", errUsage},
}

// refuse counts what was refused.
func (b *NATS) refuse(err error) {
	for i, r := range refusals {
		if errors.Is(err, r.err) {
			b.stats.refused[i].Add(1)
		}
	}
}

// Stats is a snapshot of the bus.
type Stats struct {
	ID     NodeID
	Name   string
	Linked bool
	Server string        // address of the server it is linked to, without credentials
	RTT    time.Duration // to that server and back, as last measured; 0 before
	Nodes  []NodeStats   // the others, in order of their names

	MessagesIn, MessagesOut uint64 // of NATS
	BytesIn, BytesOut       uint64 // of their payloads
	RecordsIn               uint64
	Refused                 map[string]uint64 // records and messages heard and not believed, by reason
	Repeated                uint64            // messages that came by two subscriptions
	Lost                    uint64            // messages that the link did not take
	Links                   uint64            // times that the link came up
	Gaps                    uint64            // times that something of another node was missed
	Resyncs                 uint64            // times that all shares were exchanged
	Rounds, RoundTimeouts   uint64            // questions to all nodes, and those not all answered in time
	Outbox                  int               // bytes that wait to be passed on
	Subscriptions           int               // channels, patterns and peers heard
}

// Stats returns a snapshot. Any goroutine.
func (b *NATS) Stats() Stats {
	c := &b.stats
	s := Stats{
		ID: b.id, Name: b.name, RTT: time.Duration(c.rtt.Load()), Nodes: b.members.list(),
		MessagesIn: c.messagesIn.Load(), MessagesOut: c.messagesOut.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(), RecordsIn: c.recordsIn.Load(),
		Refused: make(map[string]uint64, len(refusals)), Repeated: c.repeated.Load(), Lost: c.lost.Load(),
		Links: c.links.Load(), Gaps: c.gaps.Load(), Resyncs: c.resyncs.Load(),
		Rounds: c.rounds.Load(), RoundTimeouts: c.timeouts.Load(),
	}
	for i, r := range refusals {
		s.Refused[r.reason] = c.refused[i].Load()
	}
	b.out.mu.Lock()
	s.Linked, s.Outbox, s.Subscriptions = b.out.standing.speaks(), b.out.size, len(b.out.interests)
	b.out.mu.Unlock()
	if s.Linked {
		s.Server = b.serverAddr()
	}
	return s
}
