package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// request upgrades with the sample key of RFC 6455 §1.3, the only one that the
// floor knows the answer to.
const request = "GET %s HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

const wantAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

// peer is a client connection of a test.
type peer struct {
	t     *testing.T
	conn  net.Conn
	in    *bufio.Reader
	lines []string // of the text frame read last, not yet asked for
}

// dial connects a member. Some hubs join it only after they have answered the
// upgrade, but before they read: a pong tells that it is in.
func (r *running) dial(target string) *peer {
	r.t.Helper()
	p := upgrade(r.t, r.addr, target)
	if r.name != "floor" { // joins at once and answers nothing
		p.ping("joined")
	}
	return p
}

func upgrade(t *testing.T, addr, target string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn, in: bufio.NewReader(conn)}
	if _, err := fmt.Fprintf(conn, request, target); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(p.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the upgrade was answered with %s, want 101", response.Status)
	}
	if got := response.Header.Get("Sec-WebSocket-Accept"); got != wantAccept {
		t.Fatalf("the accept key is %q, want %q", got, wantAccept)
	}
	return p
}

// text sends text messages in one write.
func (p *peer) text(texts ...string) {
	p.t.Helper()
	var out bytes.Buffer
	for _, text := range texts {
		p.append(&out, ws.NewTextFrame([]byte(text)))
	}
	p.write(out.Bytes())
}

func (p *peer) append(out *bytes.Buffer, frame ws.Frame) {
	p.t.Helper()
	if err := ws.WriteFrame(out, ws.MaskFrame(frame)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) write(frames []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(frames); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the payload of the next frame, which must be of a kind.
func (p *peer) read(op ws.OpCode) string {
	p.t.Helper()
	header, err := ws.ReadHeader(p.in)
	if err != nil {
		p.t.Fatal(err)
	}
	if header.OpCode != op || !header.Fin || header.Masked || header.Length > maxMessage {
		p.t.Fatalf("got a frame %+v, want a whole unmasked one of opcode %d", header, op)
	}
	payload := make([]byte, header.Length)
	if _, err := io.ReadFull(p.in, payload); err != nil {
		p.t.Fatal(err)
	}
	return string(payload)
}

// want reads a text message.
func (p *peer) want(text string) {
	p.t.Helper()
	if got := p.read(ws.OpText); got != text {
		p.t.Fatalf("got %q, want %q", got, text)
	}
}

// wantLine reads a line, of which a text frame may hold several.
func (p *peer) wantLine(prefix string) {
	p.t.Helper()
	if len(p.lines) == 0 {
		p.lines = strings.Split(strings.TrimSuffix(p.read(ws.OpText), "\n"), "\n")
	}
	if !strings.HasPrefix(p.lines[0], prefix) {
		p.t.Fatalf("got the line %q, want one that begins with %q", p.lines[0], prefix)
	}
	p.lines = p.lines[1:]
}

// ping wants a pong.
func (p *peer) ping(payload string) {
	p.t.Helper()
	var out bytes.Buffer
	p.append(&out, ws.NewPingFrame([]byte(payload)))
	p.write(out.Bytes())
	if got := p.read(ws.OpPong); got != payload {
		p.t.Fatalf("got a pong %q, want %q", got, payload)
	}
}

// close cuts the connection.
func (p *peer) close() { _ = p.conn.Close() }
