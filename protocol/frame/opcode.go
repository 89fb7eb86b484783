package frame

// Opcode says what a frame is (RFC 6455 §5.2). It is a four-bit number.
type Opcode byte

// The opcodes in use. The others are reserved; a peer that uses one is refused.
const (
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xa
)

// Control reports whether op is a control opcode: its top bit is set
// (RFC 6455 §5.5).
func (op Opcode) Control() bool { return op&0x8 != 0 }

// reserved reports whether op is 3–7 or B–F (RFC 6455 §5.2).
func (op Opcode) reserved() bool { return op&0x7 > 2 }
