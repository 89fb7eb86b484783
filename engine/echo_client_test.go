package engine_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// echoWait bounds every read and write of the echo tests. Nothing waits that
// long but a test that is about to fail.
const echoWait = time.Minute

// echoClient is a WebSocket client that can break every rule: it writes frames
// as they are spelled and reads frame by frame.
type echoClient struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// dialEcho connects and upgrades. The connection ends with the test.
func dialEcho(t testing.TB, addr string) *echoClient {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, echoWait)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(echoWait)); err != nil {
		t.Fatal(err)
	}
	c := &echoClient{t: t, conn: conn, in: bufio.NewReaderSize(conn, 1<<16)}
	// The nonce and its answer are those of RFC 6455 §1.3.
	c.write([]byte("GET /any/path?case=" + strings.ReplaceAll(t.Name(), "/", ".") + " HTTP/1.1\r\n" +
		"Host: echo.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatalf("upgrade: %v", err)
	}
	accept := resp.Header.Get("Sec-WebSocket-Accept")
	if resp.StatusCode != http.StatusSwitchingProtocols || accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("upgrade: %s, accept %q", resp.Status, accept)
	}
	return c
}

// write sends b in one write. A server that has refused the connection may be
// gone already; if it should not be, the next read says so.
func (c *echoClient) write(b []byte) {
	_, _ = c.conn.Write(b)
}

// chop sends b in writes of size bytes.
func (c *echoClient) chop(b []byte, size int) {
	for piece := range slices.Chunk(b, size) {
		c.write(piece)
	}
}

// echoFrame is one frame of either side; the client's go out masked.
type echoFrame struct {
	op      ws.OpCode
	more    bool // FIN is not set.
	rsv     byte
	payload string
}

func (f echoFrame) String() string {
	if len(f.payload) > 40 {
		return fmt.Sprintf("opcode %#x %.40q… (%d bytes)", byte(f.op), f.payload, len(f.payload))
	}
	return fmt.Sprintf("opcode %#x %q", byte(f.op), f.payload)
}

// append encodes f as a client does, with the shortest length.
func (f echoFrame) append(dst []byte) []byte {
	const maskBit = 0x80
	first := byte(f.op) | f.rsv<<4
	if !f.more {
		first |= 0x80
	}
	dst = append(dst, first)
	switch n := len(f.payload); {
	case n <= 125:
		dst = append(dst, maskBit|byte(n))
	case n <= 65535:
		dst = binary.BigEndian.AppendUint16(append(dst, maskBit|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, maskBit|127), uint64(n))
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(dst, f.payload...)
	ws.Cipher(dst[start:], mask, 0)
	return dst
}

// Spellings of frames.

func textOf(payload string) echoFrame   { return echoFrame{op: ws.OpText, payload: payload} }
func binaryOf(payload string) echoFrame { return echoFrame{op: ws.OpBinary, payload: payload} }
func pingOf(payload string) echoFrame   { return echoFrame{op: ws.OpPing, payload: payload} }
func pongOf(payload string) echoFrame   { return echoFrame{op: ws.OpPong, payload: payload} }

// beginOf is a first text fragment, middleOf and finalOf are its continuations.
func beginOf(payload string) echoFrame { return echoFrame{op: ws.OpText, more: true, payload: payload} }
func middleOf(payload string) echoFrame {
	return echoFrame{op: ws.OpContinuation, more: true, payload: payload}
}
func finalOf(payload string) echoFrame { return echoFrame{op: ws.OpContinuation, payload: payload} }

// closeOf is a close frame with a code and a reason.
func closeOf(code uint16, reason string) echoFrame {
	return echoFrame{op: ws.OpClose, payload: string(binary.BigEndian.AppendUint16(nil, code)) + reason}
}

// fragmentsOf is payload as one message of op in fragments of size bytes, all in
// one slice, encoded.
func fragmentsOf(op ws.OpCode, payload string, size int) []byte {
	var out []byte
	for len(payload) > size {
		out = echoFrame{op: op, more: true, payload: payload[:size]}.append(out)
		op, payload = ws.OpContinuation, payload[size:]
	}
	return echoFrame{op: op, payload: payload}.append(out)
}

// read returns the server's next frame, which must be final and not masked.
func (c *echoClient) read() echoFrame {
	c.t.Helper()
	h, err := ws.ReadHeader(c.in)
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	if err := ws.CheckHeader(h, ws.StateClientSide); err != nil || !h.Fin {
		c.t.Fatalf("server frame %+v: %v", h, err)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		c.t.Fatalf("read payload of %d bytes: %v", h.Length, err)
	}
	return echoFrame{op: h.OpCode, payload: string(payload)}
}

// expect reads exactly these frames.
func (c *echoClient) expect(want ...echoFrame) {
	c.t.Helper()
	for _, w := range want {
		if got := c.read(); got != w {
			c.t.Fatalf("got %v, want %v", got, w)
		}
	}
}

// noStatus stands for a close frame without a body, RFC 6455 §7.1.5.
const noStatus = 1005

// expectClose reads a close frame with one of the codes, then the end of the
// connection.
func (c *echoClient) expectClose(codes ...uint16) {
	c.t.Helper()
	got := c.read()
	if got.op != ws.OpClose {
		c.t.Fatalf("got %v, want close %d", got, codes)
	}
	code, reason := uint16(noStatus), ""
	switch n := len(got.payload); {
	case n >= 2:
		code, reason = binary.BigEndian.Uint16([]byte(got.payload)), got.payload[2:]
	case n == 1:
		c.t.Errorf("close body of one byte")
	}
	if !slices.Contains(codes, code) {
		c.t.Errorf("close code %d, want %d", code, codes)
	}
	if !utf8.ValidString(reason) {
		c.t.Errorf("close reason %q is not UTF-8", reason)
	}
	if n, err := c.in.WriteTo(io.Discard); err != nil || n != 0 {
		c.t.Errorf("after the close: %d bytes, %v, want the end", n, err)
	}
}

// leave closes the way a client should and expects to be answered alike.
func (c *echoClient) leave() {
	c.t.Helper()
	c.write(closeOf(1000, "").append(nil))
	c.expectClose(1000)
}
