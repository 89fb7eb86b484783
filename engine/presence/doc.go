// Package presence keeps who is in a channel and tells it truthfully.
//
// # Terms
//
// The Home of a channel is its roster with every socket, at the channel's home
// loop: joins and leaves pass through it, so they have one order. Each Change
// it makes visible goes to the loops that keep a Roster, a replica of it. A Cut
// is a roster as it was at one moment, and a Snapshot is what a peer is told of
// one, made a piece at a time. Changes wait in Deltas until the loop tells its
// subscribers; Window says how long.
//
// A roster is pages of a few dozen peers. A Cut shares them, whoever changes one
// copies it first, and the text of a full page is made once for all snapshots: so
// the roster may change while a long snapshot of it is on its way, and a storm of
// joins costs little more than the bytes that it sends.
//
// A peer joins a channel with its first subscribed socket and leaves it with
// its last. Its metadata is that of its newest subscribed socket.
//
// # Ownership
//
// Everything here belongs to one event loop and is plain data, but for a Cut,
// which any goroutine may use: its pages are immutable. So are metadata and
// encoded frames.
//
// # Limits
//
// MaxFrame bounds every presence frame; a longer list is split.
package presence
