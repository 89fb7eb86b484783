package client

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"signalbox/protocol"
	"signalbox/protocol/frame"
)

func TestParseHeader(t *testing.T) {
	for _, tt := range []struct {
		name   string
		buf    string
		op     frame.Opcode
		length int
		size   int
		err    error
	}{
		{"nothing", "", 0, 0, 0, nil},
		{"one byte", "\x81", 0, 0, 0, nil},
		{"empty text", "\x81\x00", frame.OpText, 0, 2, nil},
		{"short text", "\x81\x05hello", frame.OpText, 5, 2, nil},
		{"longest short", "\x81\x7d", frame.OpText, 125, 2, nil},
		{"16 bits, cut", "\x81\x7e\x01", 0, 0, 0, nil},
		{"16 bits", "\x81\x7e\x01\x02", frame.OpText, 0x102, 4, nil},
		{"64 bits, cut", "\x81\x7f\x00\x00\x00\x00\x00\x01\x00", 0, 0, 0, nil},
		{"64 bits", "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", frame.OpText, 0x10000, 10, nil},
		{"64 bits, too big", "\x81\x7f\x00\x00\x00\x00\x00\x10\x00\x01", 0, 0, 0, errTooBig},
		{"64 bits, top bit", "\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 0, 0, 0, errTooBig},
		{"close", "\x88\x02", frame.OpClose, 2, 2, nil},
		{"ping", "\x89\x00", frame.OpPing, 0, 2, nil},
		{"reserved bit", "\xc1\x00", 0, 0, 0, errReserved},
		{"fragment", "\x01\x00", 0, 0, 0, errFragmented},
		{"masked", "\x81\x80", 0, 0, 0, errMasked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, size, err := parseHeader([]byte(tt.buf))
			if !errors.Is(err, tt.err) || size != tt.size {
				t.Fatalf("got size %d, error %v, want %d, %v", size, err, tt.size, tt.err)
			}
			if size > 0 && (h.op != tt.op || h.length != tt.length) {
				t.Errorf("got opcode %d, length %d, want %d, %d", h.op, h.length, tt.op, tt.length)
			}
		})
	}
}

// heard is a Handler that keeps what it gets.
type heard struct {
	ready  bool
	texts  []string
	causes []Cause
}

func (h *heard) Ready(*Conn)                  { h.ready = true }
func (h *heard) Text(_ *Conn, payload []byte) { h.texts = append(h.texts, string(payload)) }
func (h *heard) Closed(_ *Conn, why Cause)    { h.causes = append(h.causes, why) }

// TestSplitAnywhere feeds a server's whole output in every two pieces.
func TestSplitAnywhere(t *testing.T) {
	const head = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept + "\r\n\r\n"
	long := strings.Repeat("x", 300)
	stream := []byte(head)
	for _, text := range []string{`{"type":"welcome"}`, `{"type":"ack","requestId":"0"}`, `{"type":"message","data":1}`, long} {
		stream = frame.AppendFrame(stream, frame.OpText, []byte(text))
	}
	for cut := range len(stream) {
		h := &heard{}
		c := &Conn{Loop: &Loop{opens: 1}, fd: -1, state: upgrading,
			spec: Spec{Handler: h, Script: Script{Welcome: true, Acks: 1, Hello: []byte("hello")}}}
		var kept []byte
		for _, piece := range [][]byte{stream[:cut], stream[cut:]} {
			kept = append(kept, piece...)
			n, err := c.consume(kept)
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			kept = kept[n:]
		}
		if !h.ready || len(kept) != 0 || len(h.causes) != 0 {
			t.Fatalf("cut at %d: ready %t, %d bytes are left, ended by %v", cut, h.ready, len(kept), h.causes)
		}
		if got, want := strings.Join(h.texts, "\n"), `{"type":"message","data":1}`+"\n"+long; got != want {
			t.Fatalf("cut at %d: got %q, want %q", cut, got, want)
		}
	}
}

func TestConsumeRefuses(t *testing.T) {
	closing := frame.AppendClose(nil, protocol.CloseUnauthorized, "unauthorized")
	refusal := frame.AppendFrame(nil, frame.OpText, protocol.AppendError(nil, []byte("0"), protocol.ChannelNotAuthorized))
	const upgraded = "HTTP/1.1 101 OK\r\nsec-websocket-accept: " + accept + "\r\n\r\n"
	for _, tt := range []struct {
		name   string
		stream string
		want   Cause
	}{
		{"status", "HTTP/1.1 401 Unauthorized\r\n\r\n", Cause{During: "upgrade", Status: 401}},
		{"wrong accept", "HTTP/1.1 101 OK\r\nSec-WebSocket-Accept: x\r\n\r\n", Cause{During: "upgrade", Text: errAnswer}},
		{"no HTTP", "SSH-2.0\r\n\r\n", Cause{During: "upgrade", Text: errAnswer}},
		{"close", upgraded + string(closing), Cause{During: "subscribe", Code: 4001}},
		{"error frame", upgraded + string(refusal), Cause{During: "subscribe", Text: "channel_not_authorized"}},
		{"binary", upgraded + "\x82\x00", Cause{During: "subscribe", Text: "unexpected opcode 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &heard{}
			c := &Conn{Loop: &Loop{opens: 1}, fd: -1, state: upgrading, spec: Spec{Handler: h, Script: Script{Welcome: true}}}
			if _, err := c.consume([]byte(tt.stream)); err != nil {
				t.Fatal(err)
			}
			if len(h.causes) != 1 || h.causes[0] != tt.want {
				t.Errorf("got %v, want %v", h.causes, tt.want)
			}
			if h.ready || c.Loop.opens != 0 {
				t.Errorf("ready %t, %d still opening", h.ready, c.Loop.opens)
			}
		})
	}
}

func TestErrorCode(t *testing.T) {
	for _, tt := range []struct{ name, frame, want string }{
		{"known", `{"type":"error","code":"invalid_channel","message":"m"}`, "invalid_channel"},
		{"unknown", `{"type":"error","code":"<script>"}`, "unknown error frame"},
		{"no JSON", `{`, "unknown error frame"},
	} {
		if got := errorCode([]byte(tt.frame)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestKindOf(t *testing.T) {
	for _, tt := range []struct {
		name, frame string
		want        Kind
	}{
		{"message", `{"type":"message","channel":"c"}`, Message},
		{"direct", `{"type":"direct"}`, Direct},
		{"presence", `{"type":"presence"}`, Presence},
		{"ack", `{"type":"ack"}`, Ack},
		{"error", `{"type":"error"}`, Error},
		{"welcome", `{"type":"welcome"}`, Welcome},
		{"pong", `{"type":"pong"}`, Pong},
		{"going away", `{"type":"going_away"}`, GoingAway},
		{"type not first", `{ "requestId":"1", "type":"ack"}`, Ack},
		{"unknown type", `{"type":"x"}`, Other},
		{"no end", `{"type":"mess`, Other},
		{"empty", ``, Other},
		{"no object", `[1]`, Other},
		{"no JSON", `{"data"`, Other},
	} {
		if got := KindOf([]byte(tt.frame)); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestAppendFrame holds what clients send against the server's reader.
func TestAppendFrame(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte("a"), size)
		var r frame.Reader
		m, n, err := r.Next(AppendText([]byte("before")[6:], payload), size)
		if err != nil || m.Op != frame.OpText || !bytes.Equal(m.Payload, payload) {
			t.Errorf("%d bytes: got opcode %d, %d bytes of %d, error %v", size, m.Op, len(m.Payload), n, err)
		}
	}
}
