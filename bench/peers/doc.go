// Command peers is a set of small fan-out hubs, one for each WebSocket library
// that the server is compared with. Each is what a careful user of the library
// would write: its documented way to broadcast, its default settings,
// compression off.
//
// # Protocol
//
// A hub accepts a WebSocket on any path. The query parameter channel names the
// connection's channel; without it the path does. Every text message goes
// verbatim to all other connections of the channel. There is no authentication,
// presence or limit but that of a message's size.
//
// The centrifuge hub speaks that library's own client protocol in JSON instead:
// connect, subscribe and publish commands, from anonymous users.
//
// The floor hub is no library but a bare send for each socket: what the others
// are measured against. It knows one channel only.
//
// A hub listens on a free port of 127.0.0.1, prints one line of JSON with its
// addr and pid, and ends on SIGTERM or SIGINT.
//
// # Ownership
//
// The hubs on goroutines (gws, nbio, coder) share their rooms under one lock.
// gnet's rooms belong to its only event loop.
//
// # Limits
//
// A hub waits for a reader that stalls, as far as its library does. None
// assembles a longer message than 64 KiB, and the gnet hub takes no fragments.
package main
