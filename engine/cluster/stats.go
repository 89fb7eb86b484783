package cluster

import "time"

// Stats are counts since the bus was joined, and how it is now.
type Stats struct {
	Self  NodeStats
	Nodes []NodeStats // the others that are alive, by name and id

	Up     bool          // the link to NATS
	Server string        // the NATS server's name and version; of the last link
	RTT    time.Duration // to it and back, lately; 0: not measured yet

	MessagesIn, MessagesOut uint64 // of NATS; each carries many records
	BytesIn, BytesOut       uint64 // of their payloads
	RecordsIn, RecordsOut   uint64

	Refused map[string]uint64 // records and messages that were not believed, by reason: a few constants
	Dropped uint64            // records that could not be sent, or were lost on the way here

	Rounds     uint64 // questions to all nodes
	RoundsLate uint64 // of them, those that ended without every node's answer

	OutboxBytes int64  // that wait to be sent
	Resyncs     uint64 // how often all shares were exchanged anew, as something may have been lost
}

// NodeStats is what is known of a node.
type NodeStats struct {
	ID          NodeID
	Name        string
	Version     string // of its build; empty: not known yet
	Connections int64
	Heard       time.Time // when it was last heard; zero for oneself
}
