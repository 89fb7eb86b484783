package frame

import (
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// firstGrowth is the smallest buffer for a message in progress, in bytes.
const firstGrowth = 64

// maxEmpty is how many fragments of a message may bring nothing and not end it. RFC 6455
// allows any number, but they are frames that no limit on sizes and no count of
// messages ever meets.
const maxEmpty = 128

// partial is a data message that is not all there yet.
type partial struct {
	payload []byte // Unmasked, of all frames so far.
	checked int    // Of a text: payload[:checked] is valid UTF-8.
	op      Opcode // Of the first frame: OpText or OpBinary.
	empty   uint8  // Fragments, up to maxEmpty, that brought nothing.

	// The frame being read, while inFrame; otherwise the next header is due.
	inFrame bool
	fin     bool
	mask    [maskLen]byte
	taken   int // Payload bytes of it in payload: where the mask goes on.
	need    int // Payload bytes of it still to come.
}

// take moves what src holds of the current frame's payload into p and returns
// how many bytes that was. It ends the frame when nothing is missing.
func (p *partial) take(src []byte, limit int) (int, error) {
	n := min(len(src), p.need)
	if n > 0 {
		p.grow(n, limit)
		start := len(p.payload)
		p.payload = append(p.payload, src[:n]...)
		ws.Cipher(p.payload[start:], p.mask, p.taken)
		p.taken += n
		p.need -= n
	}
	if p.need == 0 {
		p.inFrame = false
	}
	if p.op == OpText {
		return n, p.check(p.fin && p.need == 0)
	}
	return n, nil
}

// grow makes room for n more bytes. The buffer at least doubles, so that the
// cost of a message is linear in its size however small its pieces are; but it
// never exceeds what the message can still come to: the announced size of a
// last frame, limit before that.
func (p *partial) grow(n, limit int) {
	size := len(p.payload) + n
	if size <= cap(p.payload) {
		return
	}
	most := limit
	if p.fin {
		most = len(p.payload) + p.need
	}
	capacity := max(size, min(max(2*cap(p.payload), firstGrowth), most))
	grown := make([]byte, len(p.payload), capacity)
	copy(grown, p.payload)
	p.payload = grown
}

// check validates the text bytes that came since the last call. A rune cut off
// at the end is left for later, unless the message ends here.
func (p *partial) check(last bool) error {
	fresh := p.payload[p.checked:]
	end := len(fresh)
	if !last {
		end -= cutRune(fresh)
	}
	if !utf8.Valid(fresh[:end]) {
		return ErrInvalidUTF8
	}
	p.checked += end
	return nil
}

// cutRune returns how many bytes at the end of b, at most three, begin a rune
// that further bytes can still make valid.
func cutRune(b []byte) int {
	for n := 1; n <= min(len(b), utf8.UTFMax-1); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			// FullRune takes a sequence that is already invalid for complete:
			// it is the caller's to refuse now.
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}
