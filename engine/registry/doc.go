// Package registry holds what the event loops share: which loops have
// subscribers for a channel, and which sockets a peer has.
//
// # Terms
//
// A Space is one app's name space; two apps never meet because they never
// share one. A Channel exists while any loop has a Part of it: the Part holds
// that loop's subscribers, its pending frames and its view of the roster. A
// Group is one wildcard pattern with a loop's subscribers to it. A Ref names
// a socket from anywhere without holding it.
//
// # Ownership
//
// Space, Channel and the peer directory may be used from any goroutine:
// lookups take no lock, changes lock one of the table's shards. Part, Wild and
// Group belong to one event loop each and are plain data; Channel.Part may be
// called for loop i by loop i only.
//
// # Limits
//
// MaxLoops event loops, because the set of loops with subscribers is one word.
package registry
