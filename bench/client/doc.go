// Package client is the cheap end of the connections that a load generator
// holds: a few threads, each with an epoll of its own over raw non-blocking
// sockets, so that what is measured is the server.
//
// # Terms
//
// A Loop is one thread and its connections; a Fleet is a few of them. A Script
// is what a connection says until it is ready: the upgrade, perhaps a welcome
// to wait for, subscribes and their acks. A Stamp is what a load message carries
// at the end of its data, where it is found without parsing the frame around it.
//
// # Ownership
//
// Everything belongs to its loop's thread: a Conn, the calls of its Handler,
// what a Handler keeps for that loop. From outside there is Loop.Post, and
// Fleet's methods, which use it and are for one goroutine at a time. Payloads
// are borrowed until the Handler returns. What Send queues leaves in one write
// at the end of the turn.
//
// # Limits
//
// It speaks WebSocket as far as servers under test do: no extensions, no
// fragmented messages, frames up to 1 MiB. With TLS a handshake is on a goroutine
// of its own, and what follows on the loop's thread. Every frame is masked with the same
// key. A close is answered and then the socket is closed without waiting.
package client
