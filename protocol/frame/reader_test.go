package frame

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"
)

var testMask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			c := connection{t: t, limit: v.limit}
			c.receive(v.stream)
			c.check(v.want, v.err)
		})
	}
}

// TestSplitAnywhere cuts every vector in two at each byte, and into single
// bytes: the outcome is that of the whole.
func TestSplitAnywhere(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			step := 1
			if len(v.stream) > 4096 {
				step = 251 // A prime, so that all alignments occur.
			}
			for cut := 0; cut <= len(v.stream); cut += step {
				c := connection{t: t, limit: v.limit}
				_ = c.receive(v.stream[:cut]) && c.receive(v.stream[cut:])
				c.check(v.want, v.err)
			}
			c := connection{t: t, limit: v.limit}
			for i := 0; i < len(v.stream) && c.receive(v.stream[i:i+1]); i++ {
			}
			c.check(v.want, v.err)
		})
	}
}

// TestSplitRandomly strings the good vectors together and cuts them at random.
func TestSplitRandomly(t *testing.T) {
	var stream []byte
	var want []message
	for _, v := range vectors(t) {
		if v.err == "" && v.limit == defaultLimit {
			stream = append(stream, v.stream...)
			want = append(want, v.want...)
		}
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		c := connection{t: t, limit: defaultLimit}
		for rest := stream; len(rest) > 0; {
			n := min(1+random.IntN(1<<random.IntN(15)), len(rest))
			if !c.receive(rest[:n]) {
				break
			}
			rest = rest[n:]
		}
		c.check(want, "")
	}
}

func TestReaderWholeMessageInPlace(t *testing.T) {
	for _, op := range []Opcode{OpText, OpBinary, OpPing} {
		var r Reader
		buf := client(nil, finBit|byte(op), testMask, []byte("in place"))
		buf = append(buf, "behind"...)
		m, n, err := r.Next(buf, defaultLimit)
		if err != nil || m.Op != op || n != len(buf)-len("behind") {
			t.Fatalf("op %#x: Next = %v, %d, %v", op, m, n, err)
		}
		if &m.Payload[0] != &buf[6] {
			t.Errorf("op %#x: payload copied", op)
		}
		if cap(m.Payload) != len(m.Payload) {
			t.Errorf("op %#x: payload can grow into the bytes behind it", op)
		}
		if r != (Reader{}) {
			t.Errorf("op %#x: reader not idle: %+v", op, r)
		}
	}
}

func TestReaderIdleSize(t *testing.T) {
	if got, want := unsafe.Sizeof(Reader{}), unsafe.Sizeof(uintptr(0)); got != want {
		t.Errorf("idle Reader is %d bytes, want %d", got, want)
	}
}

func TestReaderReleasesMessage(t *testing.T) {
	stream := client(nil, byte(OpText), testMask, []byte("one "))
	stream = client(stream, finBit, testMask, []byte("message"))
	var r Reader
	_, n, err := r.Next(stream[:len(stream)-1], defaultLimit)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Pending(), len("one messag"); got != want {
		t.Errorf("Pending = %d, want %d", got, want)
	}
	m, _, err := r.Next(stream[n:], defaultLimit)
	if err != nil || string(m.Payload) != "one message" {
		t.Fatalf("Next = %q, %v", m.Payload, err)
	}
	if r != (Reader{}) || r.Pending() != 0 {
		t.Errorf("message still held: %+v", r)
	}
}

// TestReaderFailsFast: the first byte that cannot be UTF-8 ends the connection,
// with most of its frame still missing.
func TestReaderFailsFast(t *testing.T) {
	tests := []struct {
		name string
		good string
		bad  string
	}{
		{"first byte", "", "\xff"},
		{"stray continuation", "abc", "\x80"},
		{"overlong two", "abc", "\xc0"},
		{"overlong three", "abc\xe0", "\x9f"},
		{"overlong four", "abc\xf0", "\x8f"},
		{"surrogate", "abc\xed", "\xa0"},
		{"over the range", "abc\xf4", "\x90"},
		{"third byte", "abc\xe2\x82", "\x20"},
		{"fourth byte", "abc\xf0\xa4\xad", "\xc2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload := []byte(tt.good + tt.bad + strings.Repeat("x", 1000))
			for _, first := range []byte{finBit | byte(OpText), byte(OpText)} {
				stream := client(nil, first, testMask, payload)
				head := len(stream) - len(payload)
				c := connection{t: t, limit: defaultLimit}
				if !c.receive(stream[:head+len(tt.good)]) {
					t.Fatalf("valid start refused: %v", c.err)
				}
				if c.receive(stream[head+len(tt.good):][:1]) {
					t.Error("invalid byte accepted")
				}
				c.check(nil, "1007 frame: text is not UTF-8")
			}
		})
	}
}

func TestReaderLimitFallsDuringMessage(t *testing.T) {
	var r Reader
	buf := client(nil, byte(OpBinary), testMask, make([]byte, 100))
	if _, _, err := r.Next(buf, 100); err != nil {
		t.Fatal(err)
	}
	_, _, err := r.Next(client(nil, finBit, testMask, []byte("x")), 10)
	if got, want := describe(err), describe(ErrTooBig); got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

// TestReaderGiantAnnouncement: what is announced is never allocated.
func TestReaderGiantAnnouncement(t *testing.T) {
	const limit = 1 << 30
	refused := []byte{finBit | byte(OpBinary), maskBit | length64, 0, 0, 0, 0, 0x40, 0, 0, 1}
	allocs := testing.AllocsPerRun(100, func() {
		var r Reader
		if _, _, err := r.Next(refused, limit); err != ErrTooBig {
			t.Fatalf("error %v, want %v", err, ErrTooBig)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations to refuse a frame, want 0", allocs)
	}

	for _, first := range []byte{finBit | byte(OpBinary), byte(OpBinary)} {
		var r Reader
		accepted := []byte{first, maskBit | length64, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4, 5}
		_, n, err := r.Next(accepted, limit)
		if err != nil || n != len(accepted) || r.Pending() != 1 {
			t.Fatalf("Next = %d, %v, pending %d", n, err, r.Pending())
		}
		if got := cap(r.partial.payload); got > firstGrowth {
			t.Errorf("buffer of %d bytes for 1 that arrived, want at most %d", got, firstGrowth)
		}
	}
}

// TestReaderBufferFitsFrame: the buffer of a torn frame ends at its size.
func TestReaderBufferFitsFrame(t *testing.T) {
	const size = 1000
	stream := fragmented(make([]byte, size), size)
	var r Reader
	m := drainPieces(t, &r, stream, 99, defaultLimit)
	if got := cap(m.Payload); got != size {
		t.Errorf("buffer of %d bytes for a message of %d", got, size)
	}
}

// TestReaderLargestMessage: 16 MiB in 65 536 fragments and in torn packets cost
// a number of allocations that is logarithmic, so the copying is linear.
func TestReaderLargestMessage(t *testing.T) {
	const size, count = 16 << 20, 1 << 16
	want := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	tests := []struct {
		name     string
		fragment int
		piece    int
	}{
		{"65536 fragments in one packet", size / count, 2 * size},
		{"65536 fragments in torn packets", size / count, 1447},
		{"one frame in torn packets", size, 1447},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stream := fragmented(want, tt.fragment)
			var got Message
			run := func() {
				var r Reader
				got = drainPieces(t, &r, stream, tt.piece, size)
			}
			if allocs := testing.AllocsPerRun(1, run); allocs > 20 {
				t.Errorf("%v allocations, want at most 20", allocs)
			}
			if got.Op != OpText || !bytes.Equal(got.Payload, want) {
				t.Errorf("message of op %#x and %d bytes differs", got.Op, len(got.Payload))
			}
		})
	}
}

// fragmented is payload as text in fragments of size bytes, masked with zeros:
// unmasking leaves the stream as it is, so that it can be read again.
func fragmented(payload []byte, size int) []byte {
	var stream []byte
	for first := byte(OpText); ; first = byte(OpContinuation) {
		n := min(size, len(payload))
		if n == len(payload) {
			return client(stream, finBit|first, [4]byte{}, payload)
		}
		stream = client(stream, first, [4]byte{}, payload[:n])
		payload = payload[n:]
	}
}

// drainPieces presents a stream of one message in windows of piece more bytes
// and returns the message.
func drainPieces(t testing.TB, r *Reader, stream []byte, piece, limit int) Message {
	for start, end := 0, 0; end < len(stream); {
		end = min(end+piece, len(stream))
		m, n, err := r.Next(stream[start:end], limit)
		if err != nil {
			t.Fatal(err)
		}
		if m.Op != 0 {
			return m
		}
		start += n
	}
	t.Fatal("no message")
	return Message{}
}
