package frame

import (
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Message is what [Reader.Next] found: a whole text or binary message, or one
// control frame. The zero Op means that more bytes are needed.
type Message struct {
	Op Opcode // OpText, OpBinary, OpClose, OpPing or OpPong.

	// Borrowed until the next call of Next and until the buffer is reused. Text
	// is valid UTF-8; a close body has yet to be checked with [ParseClose].
	Payload []byte
}

// Reader turns the bytes of one client into messages. The zero value is ready.
// While no message is half there it is a nil pointer and holds nothing else.
type Reader struct {
	partial *partial
}

// Next takes what it can from buf, at most one message, and returns it with the
// number of bytes consumed. The caller goes on with buf[n:] until m.Op is 0;
// what is left then, an incomplete header or control frame of at most 139 bytes,
// must be presented again with more bytes behind it.
//
// limit is the most payload bytes that one frame or one reassembled message may
// have. A frame that announces more is refused with [ErrTooBig] as soon as its
// length has been read. Control frames are not subject to it.
//
// A whole single-frame message is unmasked in buf and m.Payload points there.
// Otherwise data payloads are consumed at once into memory of the Reader's own,
// and text is checked as it arrives: invalid UTF-8 is reported with the first
// byte that cannot be part of it, be the frame complete or not.
//
// err is nil or an [*Error]. After an error the stream is beyond repair: the
// Reader has dropped what it held and must not be used again.
func (r *Reader) Next(buf []byte, limit int) (m Message, n int, err error) {
	for {
		if p := r.partial; p != nil && p.inFrame {
			k, err := p.take(buf[n:], limit)
			n += k
			switch {
			case err != nil:
				return r.fail(n, err)
			case p.inFrame:
				return Message{}, n, nil
			case p.fin:
				r.partial = nil
				return Message{Op: p.op, Payload: p.payload}, n, nil
			}
		}

		var h header
		size, err := h.parse(buf[n:], r.partial != nil, r.room(limit))
		if err != nil {
			return r.fail(n, err)
		}
		if size == 0 {
			return Message{}, n, nil
		}
		body := buf[n+size:]

		if !h.op.Control() && !r.whole(&h, body) {
			n += size
			if err := r.begin(&h); err != nil {
				return r.fail(n, err)
			}
			continue
		}
		if uint64(len(body)) < h.length {
			return Message{}, n, nil
		}
		n += size + int(h.length)
		body = body[:h.length:h.length]
		ws.Cipher(body, h.mask, 0)
		if h.op == OpText && !utf8.Valid(body) {
			return r.fail(n, ErrInvalidUTF8)
		}
		return Message{Op: h.op, Payload: body}, n, nil
	}
}

// Pending is the number of payload bytes held for a message that is still
// incomplete. The memory behind them is at most twice that.
func (r *Reader) Pending() int {
	if r.partial == nil {
		return 0
	}
	return len(r.partial.payload)
}

// whole reports whether a data frame is a message by itself and all of it is in
// body.
func (r *Reader) whole(h *header, body []byte) bool {
	return r.partial == nil && h.fin && uint64(len(body)) >= h.length
}

// room is how many payload bytes the next data frame may have.
func (r *Reader) room(limit int) uint64 {
	return uint64(max(limit-r.Pending(), 0))
}

// begin makes h the frame whose payload is being collected.
func (r *Reader) begin(h *header) error {
	if r.partial == nil {
		r.partial = &partial{op: h.op}
	}
	p := r.partial
	if h.length == 0 && !h.fin {
		if p.empty == maxEmpty {
			return ErrEmptyFragments
		}
		p.empty++
	}
	p.inFrame = true
	p.fin = h.fin
	p.mask = h.mask
	p.taken = 0
	p.need = int(h.length)
	return nil
}

func (r *Reader) fail(n int, err error) (Message, int, error) {
	r.partial = nil
	return Message{}, n, err
}
