package api

import (
	"bufio"
	"bytes"
	"context"
	stdjson "encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"signalbox/engine/auth"
	"signalbox/engine/quota"
	"signalbox/protocol"
)

// patience bounds every wait. It is far above what any answer takes, because
// machines are noisy.
const patience = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret = "sk_secret_0123456789abcdef0123456789abcdef0123456789abcdef"

	fullKey    = "sk_id_full"    // all actions, all channels
	roomKey    = "sk_id_room"    // all actions, room-* and app/**
	muteKey    = "sk_id_mute"    // subscribe only, room-*
	revokedKey = "sk_id_revoked" //
	closedKey  = "sk_id_closed"  // of a suspended app
	otherKey   = "sk_id_other"   // of another app
	pageKey    = "pk_live_page"  // publishable
)

const appsFile = `apps:
  - id: app_a
    plan: {name: TEST <&>, maxConcurrentConnections: 10, maxMessagesPerPeriod: 100, overagesAllowed: true, overagesEnabled: false}
    keys:
      - {id: sk_id_full, secret: ` + secret + `, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}
      - {id: sk_id_room, secret: ` + secret + `, channelPatterns: ["room-*", "app/**"], actions: [publish, subscribe, presence, send]}
      - {id: sk_id_mute, secret: ` + secret + `, channelPatterns: ["room-*"], actions: [subscribe]}
      - {id: sk_id_revoked, secret: ` + secret + `, channelPatterns: ["**"], actions: [publish], revoked: true}
      - {id: pk_live_page, channelPatterns: ["**"], actions: [subscribe]}
  - id: app_closed
    suspended: true
    plan: {name: P, maxConcurrentConnections: 0, maxMessagesPerPeriod: 0, overagesAllowed: false, overagesEnabled: false}
    keys:
      - {id: sk_id_closed, secret: ` + secret + `, channelPatterns: ["**"], actions: [publish]}
  - id: app_b
    plan: {name: P, maxConcurrentConnections: 0, maxMessagesPerPeriod: 0, overagesAllowed: false, overagesEnabled: false}
    keys:
      - {id: sk_id_other, secret: ` + secret + `, channelPatterns: ["**"], actions: [publish]}
`

// bearer returns an Authorization header for the key.
func bearer(key string) string { return "Authorization: Bearer " + key + ":" + secret }

var testNow = time.Unix(1_800_000_000, 0)

// fakeBackend notes calls and answers as told.
type fakeBackend struct {
	keys *auth.Set

	// Guarded by mu.
	mu     sync.Mutex
	calls  []string
	fail   error
	panics any
	peers  []protocol.Peer
	list   []ChannelInfo
	more   bool

	// Immutable once served.
	startedC chan struct{} // takes a value when a Publish waits for blockC
	blockC   chan struct{} // a Publish waits for it, or for its context
}

func newBackend(t testing.TB) *fakeBackend {
	t.Helper()
	keys, err := auth.Parse("apps.yaml", []byte(appsFile))
	if err != nil {
		t.Fatal(err)
	}
	return &fakeBackend{keys: keys}
}

func (b *fakeBackend) note(format string, args ...any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, fmt.Sprintf(format, args...))
	if b.panics != nil {
		panic(b.panics)
	}
	return b.fail
}

// called returns what was called since it was last asked.
func (b *fakeBackend) called() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := b.calls
	b.calls = nil
	return calls
}

func (b *fakeBackend) Keys() *auth.Set { return b.keys }

func (b *fakeBackend) Publish(ctx context.Context, app, channel, from string, peerMetadata, data []byte) (int, error) {
	if b.blockC != nil {
		select {
		case b.startedC <- struct{}{}:
		default:
		}
		select {
		case <-b.blockC:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return 3, b.note("publish %s %q %s %s %s", app, channel, from, peerMetadata, data)
}

func (b *fakeBackend) Send(_ context.Context, app, peerID, from string, peerMetadata, data []byte) (int, error) {
	return 2, b.note("send %s %q %s %s %s", app, peerID, from, peerMetadata, data)
}

func (b *fakeBackend) Kick(_ context.Context, app, peerID string) (int, error) {
	return 1, b.note("kick %s %q", app, peerID)
}

func (b *fakeBackend) Peers(_ context.Context, app, channel string) ([]protocol.Peer, error) {
	return b.peers, b.note("peers %s %q", app, channel)
}

func (b *fakeBackend) Channels(_ context.Context, app, prefix, after string, limit int, allow func(string) bool) ([]ChannelInfo, bool, error) {
	err := b.note("channels %s %q %q %d", app, prefix, after, limit)
	var list []ChannelInfo
	for _, c := range b.list {
		if allow(c.Channel) {
			list = append(list, c)
		}
	}
	return list, b.more, err
}

func (b *fakeBackend) Usage(app string) quota.Usage {
	_ = b.note("usage %s", app)
	return quota.Usage{PeriodStartUnix: 1, PeriodEndUnix: 2, ConcurrentNow: 3, PeakConcurrent: 4, MessagesUsed: 5, OverageMessages: 6, OverageConnections: 7}
}

// world is a server on a loopback port with its fakes.
type world struct {
	backend  *fakeBackend
	server   *Server
	addr     string
	logs     *logBuffer
	handedC  chan handedBack
	serveErr chan error
}

type handedBack struct {
	conn net.Conn
	read []byte
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// newWorld starts a server and stops it with the test. change may alter the
// options.
func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	w := &world{backend: newBackend(t), logs: &logBuffer{}, handedC: make(chan handedBack, 8), serveErr: make(chan error, 1)}
	o := Options{
		Backend:  w.backend,
		Logger:   slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:      func() time.Time { return testNow },
		HandBack: func(c net.Conn, read []byte) { w.handedC <- handedBack{c, read} },
	}
	if change != nil {
		change(&o)
	}
	w.server = New(o)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	go func() { w.serveErr <- w.server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := w.server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if err := <-w.serveErr; err != nil {
			t.Errorf("Serve = %v, want nil after Shutdown", err)
		}
	})
	return w
}

// client is one raw connection.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func newClient(t testing.TB, conn net.Conn) *client {
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn, in: bufio.NewReader(conn)}
}

func (w *world) dial(t testing.TB) *client {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

func (c *client) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer is a response read whole.
type answer struct {
	status int
	header http.Header
	body   string
	close  bool // the server closes the connection
}

// read reads the answer to a request with the method.
func (c *client) read(method string) answer {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body), resp.Close}
}

// ended fails the test unless the server has closed the connection.
func (c *client) ended() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Errorf("after the answer: %q, %v, want the end", rest, err)
	}
}

// request is the text of a request with a Content-Length. headers are lines.
func request(method, target, body string, headers ...string) string {
	text := method + " " + target + " HTTP/1.1\r\nHost: h\r\n"
	for _, h := range headers {
		text += h + "\r\n"
	}
	if body != "" || method == http.MethodPost {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return text + "\r\n" + body
}

// do makes one request on a connection of its own, whose answer must be as the
// description of the calls says.
func (w *world) do(t testing.TB, method, target, body string, headers ...string) answer {
	t.Helper()
	c := w.dial(t)
	defer c.conn.Close()
	c.write(request(method, target, body, headers...))
	a := c.read(method)
	wantDescribed(t, method, target, a)
	return a
}

// want fails the test unless the answer has the status, and for an error the
// code, with the headers that every answer has.
func (a answer) want(t testing.TB, status int, code string) {
	t.Helper()
	var e struct{ Error, Message string }
	if status >= 400 {
		if err := stdjson.Unmarshal([]byte(a.body), &e); err != nil || e.Message == "" {
			t.Errorf("body %q is no error with a message: %v", a.body, err)
		}
	}
	if a.status != status || e.Error != code {
		t.Errorf("answer = %d %s, want %d %q", a.status, a.body, status, code)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type = %q, want application/json", got)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", got)
	}
	for name := range a.header {
		if name == "Access-Control-Allow-Origin" {
			t.Error("a CORS header: REST is for backends")
		}
	}
}

func (a answer) wantBody(t testing.TB, want string) {
	t.Helper()
	a.want(t, http.StatusOK, "")
	if a.body != want {
		t.Errorf("body:\n got %s\nwant %s", a.body, want)
	}
}
