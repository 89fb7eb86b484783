package client

import (
	"encoding/binary"

	"github.com/gobwas/ws"

	"signalbox/protocol/frame"
)

// mask is the masking key of every frame sent. RFC 6455 §5.3 wants it
// unpredictable so that pages cannot choose what crosses a proxy; a load
// generator has no such page, and the server's work is the same for any key.
var mask = [4]byte{0x5a, 0xc3, 0x96, 0x0f}

// AppendFrame appends a client's frame: final and masked.
func AppendFrame(dst []byte, op frame.Opcode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, 0x80|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[start:], mask, 0)
	return dst
}

// AppendText appends a client's text frame.
func AppendText(dst, payload []byte) []byte {
	return AppendFrame(dst, frame.OpText, payload)
}
