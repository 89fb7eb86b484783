package engine_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// fields are the members of one JSON object, names exact, values raw.
type fields map[string]json.RawMessage

// text returns the member as a string, empty when it is none.
func (f fields) text(name string) string {
	var s string
	_ = json.Unmarshal(f[name], &s)
	return s
}

// number returns the member as an integer, or -1 when it is none.
func (f fields) number(name string) int64 {
	var n *int64
	if err := json.Unmarshal(f[name], &n); err != nil || n == nil {
		return -1
	}
	return *n
}

// has reports whether the member is there at all.
func (f fields) has(name string) bool { _, ok := f[name]; return ok }

// rosterPeer is a peer in a presence frame or a REST roster; meta is "" without metadata.
type rosterPeer struct{ id, meta string }

// peers returns a member that is a list of peers, nil unless it is a list.
func (f fields) peers(name string) []rosterPeer {
	var list []fields
	if err := json.Unmarshal(f[name], &list); err != nil || list == nil {
		return nil
	}
	out := make([]rosterPeer, len(list))
	for i, p := range list {
		out[i] = rosterPeer{p.text("peerId"), string(p["metadata"])}
	}
	return out
}

// client is one raw connection. Its methods end the test on a surprise and belong to the test's goroutine; those that
// return an error may run elsewhere.
type client struct {
	t       testing.TB
	conn    *net.TCPConn
	in      *bufio.Reader
	key     string // Sec-WebSocket-Key of the upgrade
	welcome fields
	pings   bool // read returns the server's pings instead of answering them
	serial  int  // of the last requestId made by request

	patience time.Duration // bounds read
}

// dial connects from the address, any without one. The connection ends with the test.
func dial(t testing.TB, addr, from string) *client {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn.(*net.TCPConn), in: bufio.NewReader(conn), key: upgradeKey, patience: patience}
}

// upgradeKey is the nonce of RFC 6455 §1.3.
const upgradeKey = "dGhlIHNhbXBsZSBub25jZQ=="

// upgradeHead returns a WebSocket upgrade request for the target; a header "Name: value" replaces the default of that
// name, "Name:" drops it.
func upgradeHead(target string, headers ...string) string {
	lines := []string{
		"Host: signalbox.test", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: " + upgradeKey, "Sec-WebSocket-Version: 13",
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
		if value != "" {
			lines = append(lines, h)
		}
	}
	return "GET " + target + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// write sends the bytes as they stand, in one write.
func (c *client) write(b string) {
	c.t.Helper()
	if err := c.writeErr(b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// writeSome sends what the server will take: it may close at any byte.
func (c *client) writeSome(b string) { _ = c.writeErr(b) }

// writeErr is write for any goroutine.
func (c *client) writeErr(b string) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.patience))
	_, err := io.WriteString(c.conn, b)
	return err
}

// response reads one HTTP response head; its body follows on the connection.
func (c *client) response() *http.Response {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(2 * patience))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatalf("read response: %v", err)
	}
	return resp
}

// answer reads one whole HTTP response.
func (c *client) answer() answer {
	c.t.Helper()
	return readAnswer(c.t, c.response())
}

// expectSwitch reads the 101 and checks it against RFC 6455 §4.2.2.
func (c *client) expectSwitch() {
	c.t.Helper()
	resp := c.response()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(resp.Body)
		c.t.Fatalf("upgrade: got %d %s, want 101", resp.StatusCode, body)
	}
	sum := sha1.Sum([]byte(c.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if got, want := resp.Header.Get("Sec-WebSocket-Accept"), base64.StdEncoding.EncodeToString(sum[:]); got != want {
		c.t.Fatalf("Sec-WebSocket-Accept: got %q, want %q", got, want)
	}
	if !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") || !strings.EqualFold(resp.Header.Get("Connection"), "upgrade") {
		c.t.Fatalf("upgrade headers: got %v", resp.Header)
	}
	for _, h := range []string{"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"} {
		if resp.Header.Get(h) != "" {
			c.t.Fatalf("%s: got %q, want none", h, resp.Header.Get(h))
		}
	}
}

// text returns a masked text frame.
func text(payload string) string { return masked(ws.NewTextFrame([]byte(payload))) }

// masked returns the frame's bytes, masked as a client must.
func masked(f ws.Frame) string {
	b, err := ws.CompileFrame(ws.MaskFrame(f))
	if err != nil {
		panic(err) // a test's own frame
	}
	return string(b)
}

// send writes the messages as text frames, all in one write.
func (c *client) send(messages ...string) {
	c.t.Helper()
	var b strings.Builder
	for _, m := range messages {
		b.WriteString(text(m))
	}
	c.write(b.String())
}

// read returns the next frame of the server. It answers pings by itself unless c.pings is set. A frame that a server
// must not send (masked, fragmented, with reserved bits) is an error.
func (c *client) read() (ws.OpCode, []byte, error) { return c.readFor(c.patience) }

func (c *client) readFor(d time.Duration) (ws.OpCode, []byte, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(d))
	for {
		h, err := ws.ReadHeader(c.in)
		if err != nil {
			return 0, nil, err
		}
		if h.Masked || !h.Fin || h.Rsv != 0 {
			return 0, nil, fmt.Errorf("server frame header %+v", h)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(c.in, payload); err != nil {
			return 0, nil, err
		}
		if h.OpCode != ws.OpPing || c.pings {
			return h.OpCode, payload, nil
		}
		if err := c.writeErr(masked(ws.NewPongFrame(payload))); err != nil {
			return 0, nil, err
		}
	}
}

// next returns the next frame, which must be one JSON object in a text frame.
func (c *client) next() (fields, error) {
	op, payload, err := c.read()
	if err != nil {
		return nil, err
	}
	if op != ws.OpText {
		return nil, fmt.Errorf("opcode %v, payload %q, want text", op, payload)
	}
	return decode(payload)
}

func decode(payload []byte) (fields, error) {
	var f fields
	if err := json.Unmarshal(payload, &f); err != nil {
		return nil, fmt.Errorf("frame %q: %w", payload, err)
	}
	return f, nil
}

// recv returns the next frame, which must be of the type.
func (c *client) recv(frameType string) fields {
	c.t.Helper()
	f, err := c.next()
	if err != nil {
		c.t.Fatalf("waiting for %s: %v", frameType, err)
	}
	if f.text("type") != frameType {
		c.t.Fatalf("got %s, want type %s", f, frameType)
	}
	return f
}

// String shows the members in a failure.
func (f fields) String() string {
	b, _ := json.Marshal(f)
	if len(b) > 1000 {
		b = append(b[:1000], "…"...)
	}
	return string(b)
}

// expectAck expects the ack of the request next.
func (c *client) expectAck(requestID string) {
	c.t.Helper()
	if f := c.recv("ack"); f.text("requestId") != requestID {
		c.t.Fatalf("ack: got %s, want requestId %q", f, requestID)
	}
}

// expectError expects an error next, with the requestId or, when it is empty, without any.
func (c *client) expectError(requestID, code string) {
	c.t.Helper()
	f := c.recv("error")
	if f.text("code") != code || f.text("requestId") != requestID || f.has("requestId") != (requestID != "") || f.text("message") == "" {
		c.t.Fatalf("error: got %s, want code %q and requestId %q", f, code, requestID)
	}
}

// expectMessage expects a channel message next; fromMetadata "" means the member is absent.
func (c *client) expectMessage(channel, from, fromMetadata, data string) {
	c.t.Helper()
	f := c.recv("message")
	if f.text("channel") != channel || f.text("from") != from || string(f["fromMetadata"]) != fromMetadata || string(f["data"]) != data {
		c.t.Fatalf("message: got %s, want %s from %s (%s): %s", f, channel, from, fromMetadata, data)
	}
}

// expectDirect expects a direct message next; fromMetadata "" means the member is absent.
func (c *client) expectDirect(from, fromMetadata, data string) {
	c.t.Helper()
	f := c.recv("direct")
	if f.text("from") != from || string(f["fromMetadata"]) != fromMetadata || string(f["data"]) != data || f.has("channel") {
		c.t.Fatalf("direct: got %s, want from %s (%s): %s", f, from, fromMetadata, data)
	}
}

// expectClose expects a close frame next, then the end of the stream.
func (c *client) expectClose(code ws.StatusCode) {
	c.t.Helper()
	if got := c.closing(); got != code {
		c.t.Fatalf("close code: got %d, want %d", got, code)
	}
}

// closing reads a close frame and the end of the stream behind it, and returns the code.
func (c *client) closing() ws.StatusCode {
	c.t.Helper()
	op, payload, err := c.read()
	if err != nil || op != ws.OpClose {
		c.t.Fatalf("got %v %q, %v; want a close frame", op, payload, err)
	}
	code, reason := closeBody(c.t, payload)
	if len(reason) > 60 {
		c.t.Fatalf("close reason is not short: %q", reason)
	}
	c.writeSome(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(code, ""))))
	c.expectEnd()
	return code
}

func closeBody(t testing.TB, payload []byte) (ws.StatusCode, string) {
	t.Helper()
	if len(payload) < 2 {
		t.Fatalf("close body %q without a code", payload)
	}
	return ws.StatusCode(binary.BigEndian.Uint16(payload)), string(payload[2:])
}

// untilClose reads to the close frame, past whatever comes before it, and returns the code.
func (c *client) untilClose() (ws.StatusCode, error) {
	for {
		op, payload, err := c.read()
		if err != nil {
			return 0, err
		}
		if op == ws.OpClose && len(payload) >= 2 {
			return ws.StatusCode(binary.BigEndian.Uint16(payload)), nil
		}
	}
}

// expectEnd expects the stream to end without another byte. A reset counts as an end.
func (c *client) expectEnd() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	rest, err := io.ReadAll(c.in)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("the server did not close the connection")
	}
	if len(rest) > 0 {
		c.t.Fatalf("bytes after the last frame: %q", rest)
	}
}

// quietFor expects the socket to stay open and silent for d. It asserts an absence, it does not wait for anything.
func (c *client) quietFor(d time.Duration) {
	c.t.Helper()
	op, payload, err := c.readFor(d)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		c.t.Fatalf("got %v %q, %v; want silence", op, payload, err)
	}
}

// request sends the message, whose JSON object must not be empty, with a new requestId, which it returns.
func (c *client) request(format string, args ...any) string {
	c.t.Helper()
	c.serial++
	id := fmt.Sprintf("r%d", c.serial)
	c.send(strings.Replace(fmt.Sprintf(format, args...), "{", fmt.Sprintf(`{"requestId":%q,`, id), 1))
	return id
}

// succeed makes the request and expects its ack next.
func (c *client) succeed(format string, args ...any) {
	c.t.Helper()
	c.expectAck(c.request(format, args...))
}

// refused makes the request and expects an error of the code next.
func (c *client) refused(code, format string, args ...any) {
	c.t.Helper()
	c.expectError(c.request(format, args...), code)
}

// subscribe subscribes and expects the ack; a peer with presence has a snapshot to read after it, see join.
func (c *client) subscribe(channels ...string) *client {
	c.t.Helper()
	for _, ch := range channels {
		c.succeed(`{"type":"subscribe","channel":%q}`, ch)
	}
	return c
}

// unsubscribe unsubscribes and expects the ack.
func (c *client) unsubscribe(channel string) {
	c.t.Helper()
	c.succeed(`{"type":"unsubscribe","channel":%q}`, channel)
}

// publish publishes raw data and expects the ack.
func (c *client) publish(channel, data string) {
	c.t.Helper()
	c.succeed(`{"type":"publish","channel":%q,"data":%s}`, channel, data)
}

// direct sends raw data to a peer and expects the ack.
func (c *client) direct(to, data string) {
	c.t.Helper()
	c.succeed(`{"type":"send","to":%q,"data":%s}`, to, data)
}

// join subscribes and returns the snapshot that follows the ack.
func (c *client) join(channel string) []rosterPeer {
	c.t.Helper()
	c.subscribe(channel)
	return c.snapshot(channel)
}

// snapshot expects a presence frame of the channel that names nobody as gone.
func (c *client) snapshot(channel string) []rosterPeer {
	c.t.Helper()
	f := c.recv("presence")
	left := f.peers("left")
	joined := f.peers("joined")
	if f.text("channel") != channel || joined == nil || left == nil || len(left) != 0 {
		c.t.Fatalf("snapshot of %s: got %s", channel, f)
	}
	sortPeers(joined)
	return joined
}

// expectPresence expects one presence frame next with exactly these peers, in any order.
func (c *client) expectPresence(channel string, joined, left []rosterPeer) {
	c.t.Helper()
	f := c.recv("presence")
	gotJoined, gotLeft := f.peers("joined"), f.peers("left")
	if f.text("channel") != channel || gotJoined == nil || gotLeft == nil {
		c.t.Fatalf("presence of %s: got %s", channel, f)
	}
	samePeers(c.t, "joined", gotJoined, joined)
	samePeers(c.t, "left", gotLeft, left)
}

// samePeers compares two lists of peers, in any order.
func samePeers(t testing.TB, what string, got, want []rosterPeer) {
	t.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	sortPeers(got)
	sortPeers(want)
	if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func sortPeers(list []rosterPeer) {
	slices.SortFunc(list, func(a, b rosterPeer) int { return strings.Compare(a.id, b.id) })
}

// named returns peers without metadata.
func named(ids ...string) []rosterPeer {
	list := make([]rosterPeer, len(ids))
	for i, id := range ids {
		list[i].id = id
	}
	return list
}

// fence pings and expects the pong next: nothing else was due.
func (c *client) fence() {
	c.t.Helper()
	c.send(`{"type":"ping"}`)
	c.recv("pong")
}

// untilPong pings and returns the frames that came before the pong.
func (c *client) untilPong() []fields {
	c.t.Helper()
	c.send(`{"type":"ping"}`)
	var list []fields
	for {
		f, err := c.next()
		if err != nil {
			c.t.Fatalf("waiting for pong: %v", err)
		}
		if f.text("type") == "pong" {
			return list
		}
		list = append(list, f)
	}
}

// vanish resets the connection, as a peer does whose machine went away and came back.
func (c *client) vanish() {
	_ = c.conn.SetLinger(0)
	_ = c.conn.Close()
}

// leave closes the session in the orderly way and waits for the server's side.
func (c *client) leave() {
	c.t.Helper()
	c.write(masked(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
	c.expectClose(ws.StatusNormalClosure)
}

// eventually repeats try until it reports true. Each try must talk to the server, which paces the loop.
func eventually(t testing.TB, what string, try func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if try() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// equalJSON reports whether two texts are the same JSON value.
func equalJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y) || bytes.Equal(a, b)
}
