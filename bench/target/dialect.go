package target

import "signalbox/bench/client"

// Dialect is how a server wants to be spoken to.
type Dialect interface {
	// Join returns the script of a peer that becomes a member of a channel and
	// gets what others publish there.
	Join(peer, channel string) (client.Script, error)
	// Visit returns the script of a peer that publishes to the channel. In the
	// hub's dialect it cannot but be a member too.
	Visit(peer, channel string) (client.Script, error)
	// AppendPublish appends the masked frame that publishes data.
	AppendPublish(dst []byte, channel string, data []byte) []byte
	// Overhead is how many bytes a delivered message is longer than its data.
	Overhead(channel, from string) int
	// Closers is how many of them follow the data.
	Closers() int
}
