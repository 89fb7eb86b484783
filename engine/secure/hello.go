package secure

import (
	"encoding/binary"
	"errors"
)

// MaxHello is how many bytes of records a connection may send before its
// ClientHello is whole: one record of the greatest length.
const MaxHello = recordHeader + maxRecord

const (
	recordHeader    = 5       // bytes, RFC 8446 §5.1
	maxRecord       = 1 << 14 // bytes of a record's fragment, RFC 8446 §5.1
	maxHelloRecords = 64

	recordHandshake = 22
	messageHeader   = 4 // bytes, RFC 8446 §4
	messageHello    = 1
)

var (
	// ErrPlain tells that a connection does not begin with TLS.
	ErrPlain = errors.New("secure: this is no TLS")
	// ErrHello tells that a connection begins with no acceptable ClientHello.
	ErrHello = errors.New("secure: malformed or overlong ClientHello")
)

// Hello reports whether buf, the first bytes of a connection, holds a whole
// ClientHello in whole records. The error is ErrPlain or ErrHello.
func Hello(buf []byte) (whole bool, err error) {
	if len(buf) > 0 && buf[0] != recordHandshake {
		return false, ErrPlain
	}
	var head [messageHeader]byte
	message, need := 0, messageHeader // bytes of the message there are, and must be
	for rest, records := buf, 0; len(rest) >= recordHeader; records++ {
		length := int(binary.BigEndian.Uint16(rest[3:]))
		// No handshake fragment is empty (RFC 8446 §5.1).
		if rest[0] != recordHandshake || rest[1] != 3 || length == 0 || length > maxRecord || records == maxHelloRecords {
			return false, ErrHello
		}
		rest = rest[recordHeader:]
		fragment := rest[:min(length, len(rest))]
		if message < messageHeader {
			copy(head[message:], fragment)
		}
		if message += len(fragment); message >= messageHeader {
			need = messageHeader + int(head[1])<<16 + int(binary.BigEndian.Uint16(head[2:]))
			if head[0] != messageHello || need > maxRecord {
				return false, ErrHello
			}
		}
		if len(fragment) < length {
			break
		}
		if message >= need {
			return true, nil
		}
		rest = rest[length:]
	}
	if len(buf) >= MaxHello {
		return false, ErrHello
	}
	return false, nil
}
