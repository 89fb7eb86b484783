package frame

import (
	"bytes"
	"io"
	"testing"

	"github.com/gobwas/ws"
)

// TestAppendFrame holds server frames to the unmasked examples of RFC 6455 §5.7.
func TestAppendFrame(t *testing.T) {
	tests := []struct {
		name    string
		op      Opcode
		payload []byte
		want    string // FIN RSV opcode  MASK length, then the extended length.
	}{
		{"text", OpText, []byte("Hello"), "1 000 0001  0 0000101"},
		{"ping", OpPing, []byte("Hello"), "1 000 1001  0 0000101"},
		{"empty pong", OpPong, nil, "1 000 1010  0 0000000"},
		{"125 bytes", OpBinary, make([]byte, 125), "1 000 0010  0 1111101"},
		{"126 bytes", OpBinary, make([]byte, 126), "1 000 0010  0 1111110 | 007e"},
		{"256 bytes", OpBinary, make([]byte, 256), "1 000 0010  0 1111110 | 0100"},
		{"65535 bytes", OpBinary, make([]byte, 65535), "1 000 0010  0 1111110 | ffff"},
		{"65536 bytes", OpBinary, make([]byte, 65536), "1 000 0010  0 1111111 | 0000000000010000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v vector
			if err := v.set("in", tt.want); err != nil {
				t.Fatal(err)
			}
			want := append([]byte("before"), v.stream...)
			want = append(want, tt.payload...)
			got := AppendFrame([]byte("before"), tt.op, tt.payload)
			if !bytes.Equal(got, want) {
				t.Errorf("AppendFrame starts %x, want %x", got[:min(len(got), 20)], want[:min(len(want), 20)])
			}
			if got, want := HeaderLen(len(tt.payload)), len(v.stream); got != want {
				t.Errorf("HeaderLen = %d, want %d", got, want)
			}
		})
	}
}

// TestAppendFrameReadBack reads server frames with another implementation.
func TestAppendFrameReadBack(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 20} {
		payload := bytes.Repeat([]byte{0x5a}, size)
		r := bytes.NewReader(AppendFrame(nil, OpBinary, payload))
		h, err := ws.ReadHeader(r)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if err := ws.CheckHeader(h, ws.StateClientSide); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		rest, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !h.Fin || h.OpCode != ws.OpBinary || h.Length != int64(size) || !bytes.Equal(rest, payload) {
			t.Errorf("%d bytes: read back %+v and %d bytes", size, h, len(rest))
		}
	}
}
