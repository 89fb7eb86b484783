package frame

import (
	"encoding/binary"
	"unicode/utf8"

	"signalbox/protocol"
)

// NoStatus is what a close frame without a body means (RFC 6455 §7.1.5). It is
// never sent.
const NoStatus = 1005

// maxReason is the longest close reason in bytes: a control frame less its code.
const maxReason = maxControl - 2

// AppendClose appends a whole close frame. A reason over 123 bytes is cut at a
// rune's edge. With the code [NoStatus] the frame has no body, which is how to
// answer a close that had none.
func AppendClose(dst []byte, code protocol.CloseCode, reason string) []byte {
	if code == NoStatus {
		return AppendHeader(dst, OpClose, 0)
	}
	if len(reason) > maxReason {
		end := maxReason
		for end > 0 && !utf8.RuneStart(reason[end]) {
			end--
		}
		reason = reason[:end]
	}
	dst = AppendHeader(dst, OpClose, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

// ParseClose checks the body of a peer's close frame and returns its code,
// [NoStatus] if there is no body. On an error the code is 0; the error says
// with which code to close instead.
func ParseClose(payload []byte) (code uint16, err error) {
	switch len(payload) {
	case 0:
		return NoStatus, nil
	case 1:
		// RFC 6455 §5.5.1: if there is a body, its first two bytes MUST be the
		// status code.
		return 0, ErrCloseBody
	}
	code = binary.BigEndian.Uint16(payload)
	if !sendable(code) {
		return 0, ErrCloseCode
	}
	// RFC 6455 §5.5.1: the rest is UTF-8.
	if !utf8.Valid(payload[2:]) {
		return 0, ErrInvalidUTF8
	}
	return code, nil
}

// sendable reports whether an endpoint may put code into a close frame.
func sendable(code uint16) bool {
	switch {
	// RFC 6455 §7.4.1: 1004 has no meaning yet; 1005 and 1006 MUST NOT be set
	// in a close frame.
	case code >= 1004 && code <= 1006:
		return false
	// RFC 6455 §7.4.1 to 1011; IANA's registry adds 1012–1014 for servers
	// that restart, are overloaded, or fail as a gateway. 1015, beside them,
	// is reserved like 1006.
	case code >= 1000 && code <= 1014:
		return true
	// RFC 6455 §7.4.2: libraries and frameworks, then private use.
	default:
		return code >= 3000 && code <= 4999
	}
}
