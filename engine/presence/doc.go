// Package presence keeps who is in a channel and tells it truthfully.
//
// # Terms
//
// The Home of a channel is its roster with every socket, at the channel's home
// loop: joins and leaves pass through it, so they have one order. Each Change
// it makes visible goes to the loops that keep a Roster, a replica from which
// they build snapshots. Changes wait in Deltas until the loop tells its
// subscribers; Window says how long.
//
// A peer joins a channel with its first subscribed socket and leaves it with
// its last. Its metadata is that of its newest subscribed socket.
//
// # Ownership
//
// Everything here belongs to one event loop and is plain data. Metadata and
// encoded frames are immutable and may be shared.
//
// # Limits
//
// MaxFrame bounds every presence frame; a longer list is split.
package presence
