// Package cluster is the seam between this node and others.
//
// The engine hands a Bus what other nodes may have to hear, and asks it for
// what only they know. What they say comes to a Node. Local is the Bus of a
// server that stands alone: there is nobody to tell and nothing to ask.
//
// # Presence
//
// Each node owns its share of a channel's roster: the peers with subscribed
// sockets there. It alone changes it, by numbered steps, and every node with
// subscribers of the channel follows. The roster is the union of the shares; a
// peer is in it as long as it is in any. A node that begins to hear a channel
// tells all others its share and is told theirs before its first subscriber gets
// an ack.
//
// # Ownership
//
// A Bus may be used from any goroutine. Byte slices are borrowed until the call
// returns.
package cluster
