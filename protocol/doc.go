// Package protocol is the wire contract in Go: which names are valid, which
// globs match them, what a client frame says and what a server frame looks
// like. It does no I/O, keeps no state between calls but a Scanner's scratch,
// and imports only the standard library. RFC 6455 framing is in frame.
//
// # Terms
//
//   - A message is the payload of one WebSocket text frame, one JSON object.
//   - The envelope is what the server reads of a client's message: type,
//     channel, to, requestId, includeSenderMetadata. Everything else in the
//     object is only checked to be JSON.
//   - Data is the value of the member "data". It is passed on byte for byte,
//     never decoded, so 1e999, key order, repeated keys and escapes survive.
//   - A name is verbatim text; one that holds a '*' is a glob instead and
//     names no channel.
//   - Raw means bytes that are already JSON and are copied, not encoded.
//
// # Ownership
//
// A Scanner belongs to one event loop. The Envelope it fills borrows from the
// message and from the Scanner's scratch, and is valid until the next Scan or
// until the message's buffer is reused, whichever is first. A Glob is an
// immutable value, safe for any goroutine. Append functions write to dst only
// and keep nothing of what they are given.
//
// # Limits
//
// A message may nest 10 000 deep, as encoding/json allows. Every function
// takes time linear in its input, but for globs: matching and Overlaps take at
// most the product of the two lengths, and Covers gives up (answering false)
// instead of exploring without bound.
package protocol
