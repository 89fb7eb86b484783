package frame

import "signalbox/protocol"

// Error is a peer's breach of RFC 6455, or of a limit. It ends the connection: Code is what
// the close frame must say. The text is fixed and never holds what the peer
// sent.
type Error struct {
	Code protocol.CloseCode
	text string
}

// Error returns the fixed text.
func (e *Error) Error() string { return e.text }

// What [Reader.Next] and [ParseClose] report. All are of type *Error.
var (
	ErrReservedBits       = violation("frame: reserved bit set without an extension")
	ErrReservedOpcode     = violation("frame: reserved opcode")
	ErrFragmentedControl  = violation("frame: fragmented control frame")
	ErrControlTooLong     = violation("frame: control frame over 125 bytes")
	ErrUnmasked           = violation("frame: client frame not masked")
	ErrLengthNotMinimal   = violation("frame: payload length not minimally encoded")
	ErrLengthOverflow     = violation("frame: most significant bit of the payload length set")
	ErrNoMessageToResume  = violation("frame: continuation without a message")
	ErrMessageInterrupted = violation("frame: new message before the last one ended")
	ErrCloseBody          = violation("frame: close body of one byte")
	ErrCloseCode          = violation("frame: close code not allowed on the wire")

	ErrInvalidUTF8    = &Error{protocol.CloseInvalidUTF8, "frame: text is not UTF-8"}
	ErrTooBig         = &Error{protocol.CloseTooBig, "frame: message over the limit"}
	ErrEmptyFragments = &Error{protocol.CloseMessageRate, "frame: too many empty fragments"}
)

func violation(text string) *Error {
	return &Error{protocol.CloseProtocolError, text}
}
