package client

import (
	"encoding/binary"
	"errors"

	"signalbox/protocol/frame"
)

// Faults of a server's frames.
var (
	errReserved   = errors.New("client: a reserved bit is set in a frame")
	errFragmented = errors.New("client: a fragmented message")
	errMasked     = errors.New("client: a masked frame")
	errTooBig     = errors.New("client: a frame that exceeds the buffer")
)

// maxPayload is the largest payload taken, in bytes: presence frames come near
// 1 MB.
const maxPayload = 1 << 20

// header is one parsed server frame header.
type header struct {
	op     frame.Opcode
	length int // payload bytes
}

// parseHeader reads a server's frame header from the start of buf and returns
// its size in bytes, 0 if buf does not hold all of it yet.
func parseHeader(buf []byte) (h header, size int, err error) {
	if len(buf) < 2 {
		return h, 0, nil
	}
	switch {
	case buf[0]&0x70 != 0: // RFC 6455 §5.2: no extension is negotiated
		return h, 0, errReserved
	case buf[0]&0x80 == 0:
		return h, 0, errFragmented
	case buf[1]&0x80 != 0: // RFC 6455 §5.1: a server MUST NOT mask
		return h, 0, errMasked
	}
	h.op = frame.Opcode(buf[0] & 0x0f)
	h.length, size = int(buf[1]), 2
	switch h.length {
	case 126:
		if size = 4; len(buf) < size {
			return h, 0, nil
		}
		h.length = int(binary.BigEndian.Uint16(buf[2:]))
	case 127:
		if size = 10; len(buf) < size {
			return h, 0, nil
		}
		length := binary.BigEndian.Uint64(buf[2:])
		if length > maxPayload {
			return h, 0, errTooBig
		}
		h.length = int(length)
	}
	return h, size, nil
}
