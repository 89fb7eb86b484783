// Package frame reads and writes RFC 6455 frames over byte slices. It is the
// server's side of the protocol: what it reads is masked, what it writes is
// not. It does no I/O and starts no goroutine.
//
// # Terms
//
// A frame is one header and its payload. A message is what the peer meant to
// say: a single frame, or a text or binary frame and its continuations. A
// control frame (close, ping, pong) is a message of its own and may stand
// between the fragments of another one (RFC 6455 §5.4).
//
// # Ownership
//
// A [Reader] belongs to one connection and is not safe for concurrent use. The
// buffer given to [Reader.Next] stays the caller's; Next unmasks whole messages
// in it, in place, so bytes that were consumed must not be presented again. A
// [Message] borrows that buffer, or memory the Reader has already let go of,
// and is good until the next call or until the caller reuses the buffer.
//
// # Limits
//
// A message that is wholly in the buffer, in one frame, costs no allocation and
// no copy. Everything else is collected in a buffer that grows with the bytes
// that arrived, to at most twice their number, and is dropped with the message.
// No memory is ever set aside for a length that was merely announced. Control
// frames carry at most 125 bytes (RFC 6455 §5.5); the size of other frames and
// of messages is the limit argument of [Reader.Next]. Of a message's fragments at most
// 128 may be empty, beside the last: so its frames are bounded by its bytes. Extensions are not
// negotiated, so the reserved bits must be zero.
package frame
