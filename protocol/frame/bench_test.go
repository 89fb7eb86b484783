package frame

import (
	"bytes"
	"strings"
	"testing"
)

// sample is a message of n bytes, as text.
func sample(n int) []byte {
	return bytes.Repeat([]byte(`{"type":"publish"}`), n/18+1)[:n]
}

func TestNextAllocs(t *testing.T) {
	tests := []struct {
		name   string
		stream []byte
		want   float64
	}{
		{"text of 130 bytes", fragmented(sample(130), 130), 0},
		{"text of 64 KiB", fragmented(sample(1<<16), 1<<16), 0},
		{"non-ASCII text", fragmented([]byte(strings.Repeat("ж€𤭢", 100)), 1000), 0},
		{"ping", client(nil, finBit|byte(OpPing), [4]byte{}, []byte("ping")), 0},
		// The state, and a buffer that grows from the first fragment to the limit
		// of what doubling reaches.
		{"two fragments of 65 bytes", fragmented(sample(130), 65), 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r Reader
			got := testing.AllocsPerRun(100, func() {
				if m, _, err := r.Next(tt.stream, 1<<16); m.Op == 0 || err != nil {
					t.Fatalf("Next = %v, %v", m, err)
				}
			})
			if got != tt.want {
				t.Errorf("%v allocations, want %v", got, tt.want)
			}
		})
	}
}

func TestAppendAllocs(t *testing.T) {
	buf := make([]byte, 0, 1024)
	payload := sample(130)
	got := testing.AllocsPerRun(100, func() {
		b := AppendFrame(buf, OpText, payload)
		b = AppendFrame(b, OpPong, nil)
		_ = AppendClose(b, 1000, "bye")
	})
	if got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func BenchmarkNext(b *testing.B) {
	benchmarks := []struct {
		name     string
		payload  []byte
		fragment int
	}{
		{"130B", sample(130), 130},
		{"130B/non-ASCII", bytes.Repeat([]byte("жжжжж€𤭢abc"), 7)[:130], 130},
		{"64KiB", sample(1 << 16), 1 << 16},
		{"64KiB/16fragments", sample(1 << 16), 1 << 12},
		{"16MiB/65536fragments", sample(1 << 24), 1 << 8},
	}
	for _, bm := range benchmarks {
		b.Run(bm.name, func(b *testing.B) {
			stream := fragmented(bm.payload, bm.fragment)
			var r Reader
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				if m, _, err := r.Next(stream, 1<<24); m.Op == 0 || err != nil {
					b.Fatal(m.Op, err)
				}
			}
		})
	}
}

// BenchmarkNextTorn reads one 64 KiB frame that arrives in 1 447-byte segments.
func BenchmarkNextTorn(b *testing.B) {
	stream := fragmented(sample(1<<16), 1<<16)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		var r Reader
		drainPieces(b, &r, stream, 1447, 1<<16)
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	payload := sample(130)
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendFrame(buf[:0], OpText, payload)
	}
}
