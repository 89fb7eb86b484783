package frame

import "encoding/binary"

const (
	finBit       = 0x80
	reservedBits = 0x70
	opcodeBits   = 0x0f
	maskBit      = 0x80
	lengthBits   = 0x7f

	// Values of the 7-bit length that say where the length really is.
	length16 = 126
	length64 = 127

	maskLen = 4

	// maxControl is the most a control frame may carry, in bytes
	// (RFC 6455 §5.5).
	maxControl = 125
)

// header is one parsed client frame header.
type header struct {
	op     Opcode
	fin    bool
	mask   [maskLen]byte
	length uint64 // Payload bytes announced; the top bit is zero.
}

// parse reads a client's header from the start of buf and returns its size in
// bytes, or 0 if buf does not hold all of it yet. resuming says that a
// fragmented message is under way.
//
// Each rule is checked as soon as the byte it is about is there, and in the
// order of the bytes: a bad header is refused with the same error however the
// stream was cut, and the announced length is judged before the mask arrives.
func (h *header) parse(buf []byte, resuming bool, room uint64) (int, error) {
	if len(buf) == 0 {
		return 0, nil
	}
	if err := h.parseFirst(buf[0], resuming); err != nil {
		return 0, err
	}
	if len(buf) < 2 {
		return 0, nil
	}

	// RFC 6455 §5.1: a server MUST close the connection upon receiving a frame
	// that is not masked.
	if buf[1]&maskBit == 0 {
		return 0, ErrUnmasked
	}
	h.length = uint64(buf[1] & lengthBits)
	n := 2
	switch {
	case h.op.Control():
		// RFC 6455 §5.5: all control frames MUST have a payload length of 125
		// bytes or less.
		if h.length > maxControl {
			return 0, ErrControlTooLong
		}
	case h.length == length16:
		if len(buf) < 4 {
			return 0, nil
		}
		h.length, n = uint64(binary.BigEndian.Uint16(buf[2:])), 4
		// RFC 6455 §5.2: the minimal number of bytes MUST be used to encode the
		// length.
		if h.length < length16 {
			return 0, ErrLengthNotMinimal
		}
	case h.length == length64:
		if len(buf) < 10 {
			return 0, nil
		}
		h.length, n = binary.BigEndian.Uint64(buf[2:]), 10
		// RFC 6455 §5.2: the most significant bit MUST be 0.
		if h.length>>63 != 0 {
			return 0, ErrLengthOverflow
		}
		if h.length>>16 == 0 {
			return 0, ErrLengthNotMinimal
		}
	}
	if h.length > room && !h.op.Control() {
		return 0, ErrTooBig
	}

	if len(buf) < n+maskLen {
		return 0, nil
	}
	h.mask = [maskLen]byte(buf[n:])
	return n + maskLen, nil
}

// parseFirst reads the flags and the opcode.
func (h *header) parseFirst(b byte, resuming bool) error {
	h.fin = b&finBit != 0
	h.op = Opcode(b & opcodeBits)
	switch {
	// RFC 6455 §5.2: the reserved bits MUST be 0 unless an extension is
	// negotiated that defines a meaning for them.
	case b&reservedBits != 0:
		return ErrReservedBits
	// RFC 6455 §5.2: if an unknown opcode is received, the receiving endpoint
	// MUST fail the connection.
	case h.op.reserved():
		return ErrReservedOpcode
	case h.op.Control():
		// RFC 6455 §5.5: control frames MUST NOT be fragmented.
		if !h.fin {
			return ErrFragmentedControl
		}
	// RFC 6455 §5.4: fragments of one message MUST NOT be interleaved between
	// the fragments of another, and only the first has a data opcode.
	case h.op == OpContinuation:
		if !resuming {
			return ErrNoMessageToResume
		}
	case resuming:
		return ErrMessageInterrupted
	}
	return nil
}

// HeaderLen is the size in bytes of a server header for a payload of
// payloadLen bytes: 2, 4 or 10.
func HeaderLen(payloadLen int) int {
	switch {
	case payloadLen < length16:
		return 2
	case payloadLen < 1<<16:
		return 4
	default:
		return 10
	}
}

// AppendHeader appends the header of a server frame: final and not masked, as
// RFC 6455 §5.1 demands. Of a control frame payloadLen is at most 125.
func AppendHeader(dst []byte, op Opcode, payloadLen int) []byte {
	dst = append(dst, finBit|byte(op))
	switch HeaderLen(payloadLen) {
	case 2:
		return append(dst, byte(payloadLen))
	case 4:
		return binary.BigEndian.AppendUint16(append(dst, length16), uint16(payloadLen))
	default:
		return binary.BigEndian.AppendUint64(append(dst, length64), uint64(payloadLen))
	}
}

// AppendFrame appends a whole server frame.
func AppendFrame(dst []byte, op Opcode, payload []byte) []byte {
	return append(AppendHeader(dst, op, len(payload)), payload...)
}
