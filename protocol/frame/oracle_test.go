package frame

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// oracle decodes a whole stream the obvious way: one byte after the other, all
// copied, nothing remembered but what RFC 6455 names.
type oracle struct {
	stream []byte
	limit  int
	at     int

	open    Opcode // Opcode of the fragmented message under way, or 0.
	message []byte
	empty   int // Fragments of it that brought nothing and did not end it.
	got     []message
}

// run returns the error text that ends the connection, or "" if the stream ends
// before anything is wrong.
func (o *oracle) run() string {
	for {
		if fate, more := o.frame(); !more {
			return fate
		}
	}
}

// frame decodes one frame; more is false when it is wrong or not all there.
func (o *oracle) frame() (fate string, more bool) {
	first, ok := o.next()
	if !ok {
		return "", false
	}
	fin, op := first>>7 == 1, Opcode(first&15)
	if fate := o.judge(first, fin, op); fate != "" {
		return fate, false
	}
	length, fate, ok := o.length(op)
	if !ok {
		return fate, false
	}
	var mask []byte
	for range 4 {
		b, ok := o.next()
		if !ok {
			return "", false
		}
		mask = append(mask, b)
	}
	if op >= OpClose {
		return "", o.control(op, int(length), mask)
	}
	return o.data(op, fin, int(length), mask)
}

func (o *oracle) next() (byte, bool) {
	if o.at == len(o.stream) {
		return 0, false
	}
	o.at++
	return o.stream[o.at-1], true
}

func (o *oracle) judge(first byte, fin bool, op Opcode) string {
	switch {
	case first&0x40 != 0, first&0x20 != 0, first&0x10 != 0:
		return describe(ErrReservedBits)
	case !strings.ContainsRune("\x00\x01\x02\x08\x09\x0a", rune(op)):
		return describe(ErrReservedOpcode)
	case op >= OpClose && !fin:
		return describe(ErrFragmentedControl)
	case op == OpContinuation && o.open == 0:
		return describe(ErrNoMessageToResume)
	case (op == OpText || op == OpBinary) && o.open != 0:
		return describe(ErrMessageInterrupted)
	}
	return ""
}

// length reads the second byte and the extended length.
func (o *oracle) length(op Opcode) (length uint64, fate string, ok bool) {
	second, ok := o.next()
	if !ok {
		return 0, "", false
	}
	if second < 128 {
		return 0, describe(ErrUnmasked), false
	}
	length = uint64(second - 128)
	if op >= OpClose {
		if length > 125 {
			return 0, describe(ErrControlTooLong), false
		}
		return length, "", true
	}
	size, least := 0, uint64(0)
	switch length {
	case 126:
		size, least = 2, 126
	case 127:
		size, least = 8, 65536
	}
	if size > 0 {
		length = 0
		for range size {
			b, ok := o.next()
			if !ok {
				return 0, "", false
			}
			length = length*256 + uint64(b)
		}
	}
	switch {
	case length > 1<<63-1:
		return 0, describe(ErrLengthOverflow), false
	case length < least:
		return 0, describe(ErrLengthNotMinimal), false
	case length > uint64(o.limit-len(o.message)):
		return 0, describe(ErrTooBig), false
	}
	return length, "", true
}

func (o *oracle) control(op Opcode, length int, mask []byte) (whole bool) {
	var payload []byte
	for i := range length {
		b, ok := o.next()
		if !ok {
			return false
		}
		payload = append(payload, b^mask[i%4])
	}
	o.got = append(o.got, message{op, string(payload)})
	return true
}

func (o *oracle) data(op Opcode, fin bool, length int, mask []byte) (fate string, more bool) {
	if op != OpContinuation {
		o.open = op
	}
	if length == 0 && !fin {
		if o.empty++; o.empty > 128 {
			return describe(ErrEmptyFragments), false
		}
	}
	for i := range length {
		b, ok := o.next()
		if !ok {
			return "", false
		}
		o.message = append(o.message, b^mask[i%4])
		if o.open == OpText && !viable(o.message) {
			return describe(ErrInvalidUTF8), false
		}
	}
	if !fin {
		return "", true
	}
	if o.open == OpText && !utf8.Valid(o.message) {
		return describe(ErrInvalidUTF8), false
	}
	o.got = append(o.got, message{o.open, string(o.message)})
	o.open, o.message, o.empty = 0, nil, 0
	return "", true
}

// viable reports whether some text starts with the bytes of prefix. These tails
// suffice to complete any rune: its second byte is at least 80, A0 or 90.
func viable(prefix []byte) bool {
	for _, tail := range []string{"", "\x80", "\x80\x80", "\x80\x80\x80", "\xa0\x80", "\x90\x80\x80"} {
		if utf8.ValidString(string(prefix) + tail) {
			return true
		}
	}
	return false
}

// FuzzReader compares the Reader, fed in random pieces, with the oracle.
func FuzzReader(f *testing.F) {
	for i, v := range vectors(f) {
		if len(v.stream) <= 512 {
			f.Add(v.stream, uint16(v.limit-1), uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, limit uint16, seed uint64) {
		if len(stream) > 512 {
			return // The oracle is quadratic.
		}
		compare(t, stream, int(limit)+1, seed)
	})
}

// compare feeds stream in random pieces and asks the oracle.
func compare(t *testing.T, stream []byte, limit int, seed uint64) {
	t.Helper()
	o := oracle{stream: stream, limit: limit}
	fate := o.run()
	random := rand.New(rand.NewPCG(seed, 1))
	c := connection{t: t, limit: limit}
	for rest := stream; ; {
		n := min(random.IntN(1<<random.IntN(8)), len(rest))
		if !c.receive(rest[:n]) || n == len(rest) {
			break
		}
		rest = rest[n:]
	}
	c.check(o.got, fate)
}

// TestReaderAgainstOracle makes up streams that are mostly right.
func TestReaderAgainstOracle(t *testing.T) {
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 2))
		compare(t, plausible(random), 1+random.IntN(400), seed)
	}
}

// plausible is a stream of frames of which few are wrong and the last is cut.
func plausible(random *rand.Rand) []byte {
	const alphabet = "ab¢€𤭢\x80\xed\xa0\xf4\x90"
	var stream []byte
	open := false
	for range random.IntN(12) {
		payload := make([]byte, random.IntN(1<<random.IntN(9)))
		text := random.IntN(len("ab¢€𤭢"))
		for i := range payload {
			payload[i] = alphabet[(text+i)%len("ab¢€𤭢")]
			if random.IntN(500) == 0 {
				payload[i] = alphabet[random.IntN(len(alphabet))]
			}
		}
		first := byte(random.IntN(2)) << 7
		switch {
		case random.IntN(4) == 0:
			first = finBit | byte(OpClose) + byte(random.IntN(3))
			payload = payload[:min(len(payload), maxControl)]
		case open:
			open = first == 0
		default:
			open = first == 0
			first |= 1 + byte(random.IntN(2))
		}
		if random.IntN(40) == 0 {
			first = byte(random.Uint32())
		}
		stream = client(stream, first, [4]byte{1, 2, 3, byte(random.Uint32())}, payload)
	}
	return stream[:len(stream)-random.IntN(min(len(stream)+1, 20))]
}
