package reactor

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds every wait. It is far above what any answer takes, because
// machines are noisy, and stop for seconds.
const patience = time.Minute

// testLoop is a Loop that runs what tests post.
type testLoop struct {
	waker *Waker
	begin func() // called by Begin, on the loop; nil: nothing
	turn  func() // called by Turn, on the loop; nil: nothing

	started, turns atomic.Int64

	mu    sync.Mutex
	tasks []func() // guarded by mu
}

func (l *testLoop) Start() { l.started.Add(1) }

func (l *testLoop) Begin() {
	if l.begin != nil {
		l.begin()
	}
}

func (l *testLoop) Turn() {
	l.turns.Add(1)
	l.mu.Lock()
	tasks := l.tasks
	l.tasks = nil
	l.mu.Unlock()
	for _, task := range tasks {
		task()
	}
	if l.turn != nil {
		l.turn()
	}
}

// do runs task on the loop and waits for its end.
func (l *testLoop) do(t *testing.T, task func()) {
	t.Helper()
	doneC := make(chan struct{})
	l.mu.Lock()
	l.tasks = append(l.tasks, func() { task(); close(doneC) })
	l.mu.Unlock()
	l.waker.Wake()
	await(t, doneC, "the loop has not run a task")
}

// await waits for a value, or the end, of a channel.
func await[T any](t *testing.T, c <-chan T, complaint string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal(complaint)
		panic("unreachable")
	}
}

// tap is a Receiver that sends back what it gets, while it is ready, and tells
// the test the rest.
type tap struct {
	conn    *Conn
	request Request

	// Loop-owned.
	mute    bool // nothing is sent back
	busy    bool // not ready
	piece   int  // the most that is dealt with at a time, 0: no limit
	receive func([]byte)
	behind  int    // calls of Behind
	fall    func() // called by Behind; nil: nothing

	overflowC chan struct{}
	closedC   chan []byte
}

func newTap(c *Conn, r Request) *tap {
	r.Target = bytes.Clone(r.Target)
	return &tap{conn: c, request: r, overflowC: make(chan struct{}, 64), closedC: make(chan []byte, 1)}
}

func (p *tap) Receive(buf []byte) int {
	if p.piece > 0 {
		buf = buf[:min(p.piece, len(buf))]
		p.busy = true
	}
	if p.receive != nil {
		p.receive(buf)
	}
	if !p.mute {
		p.conn.Write(buf)
	}
	return len(buf)
}

func (p *tap) Ready() bool          { return !p.busy }
func (p *tap) Overflow()            { p.overflowC <- struct{}{} }
func (p *tap) Closed(unread []byte) { p.closedC <- unread }

func (p *tap) Behind() {
	if p.behind++; p.fall != nil {
		p.fall()
	}
}

// tapGate lets everybody in and tells the test of each.
type tapGate struct {
	tapC  chan *tap
	admit func(*tap) *HTTPError // changes the tap before it is used; nil: nothing
}

func (g *tapGate) Admit(_ int, c *Conn, r *Request, response []byte) (Receiver, *HTTPError) {
	p := newTap(c, *r)
	if g.admit != nil {
		if refusal := g.admit(p); refusal != nil {
			return nil, refusal
		}
	}
	c.Write(response)
	select {
	case g.tapC <- p:
	default: // more than a test looks at
	}
	return p, nil
}

// world is a running Reactor.
type world struct {
	*Reactor
	t     *testing.T
	loops []*testLoop
	gate  *tapGate
	endC  chan error
}

// run starts a Reactor, which ends with the test.
func run(t *testing.T, cfg Config) *world {
	t.Helper()
	w := prepare(t, cfg)
	startedC := make(chan struct{})
	w.start(func() { close(startedC) })
	await(t, startedC, "the reactor has not started")
	return w
}

// prepare returns a Reactor that does not run yet.
func prepare(t *testing.T, cfg Config) *world {
	t.Helper()
	w := &world{t: t, gate: &tapGate{tapC: make(chan *tap, 1024)}, endC: make(chan error, 1)}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Loops == 0 {
		cfg.Loops = 1
	}
	if cfg.HandshakeTimeout == 0 {
		cfg.HandshakeTimeout = patience
	}
	if cfg.MaxUnread == 0 {
		cfg.MaxUnread = 1 << 20
	}
	if cfg.Gate == nil {
		cfg.Gate = w.gate
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Reactor = r
	for i := range cfg.Loops {
		w.loops = append(w.loops, &testLoop{waker: r.Waker(i)})
	}
	return w
}

func (w *world) start(started func()) {
	var uppers []Loop
	for _, l := range w.loops {
		uppers = append(uppers, l)
	}
	go func() { w.endC <- w.Run(uppers, started) }()
	w.t.Cleanup(w.stop)
}

// stop stops the Reactor, once.
func (w *world) stop() {
	if w.endC == nil {
		return
	}
	w.Stop()
	if err := await(w.t, w.endC, "Run has not returned"); err != nil {
		w.t.Errorf("Run: %v", err)
	}
	w.endC = nil
}

// onAdmit sets what the gate does of a reactor with one loop.
func (w *world) onAdmit(admit func(*tap) *HTTPError) {
	w.t.Helper()
	w.loops[0].do(w.t, func() { w.gate.admit = admit })
}

// client is one raw connection.
type client struct {
	*net.TCPConn
	t  *testing.T
	in *bufio.Reader
}

// dial connects; the connection ends with the test.
func (w *world) dial() *client {
	w.t.Helper()
	return dialTo(w.t, w.Addr().String())
}

func dialTo(t *testing.T, addr string) *client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &client{nc.(*net.TCPConn), t, bufio.NewReader(nc)}
}

// open connects, upgrades and returns both ends.
func (w *world) open() (*client, *tap) {
	w.t.Helper()
	c := w.dial()
	c.send(goodHead)
	c.expectSwitch()
	return c, await(w.t, w.gate.tapC, "no connection was admitted")
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

// expectStatus reads one HTTP answer and returns it with its body.
func (c *client) expectStatus(want int) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatalf("reading the answer: %v; want status %d", err, want)
	}
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != want {
		c.t.Fatalf("got status %d %q, want %d", resp.StatusCode, body, want)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, string(body)
}

// expectSwitch reads the answer to an upgrade.
func (c *client) expectSwitch() {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if got := resp.Header.Get("Sec-WebSocket-Accept"); resp.StatusCode != 101 || got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		c.t.Fatalf("got status %d, accept %q", resp.StatusCode, got)
	}
}

// expect reads exactly these bytes.
func (c *client) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.in, got); err != nil || string(got) != want {
		c.t.Fatalf("got %.80q (%d bytes), %v; want %.80q (%d bytes)", got[:n], n, err, want, len(want))
	}
}

// expectEnd reads the end of the stream: an orderly one, nothing before it.
func (c *client) expectEnd() {
	c.t.Helper()
	if b, err := c.in.ReadByte(); err != io.EOF {
		c.t.Fatalf("got byte %q, %v; want the end", b, err)
	}
}

// goodHead is an upgrade request with the key of RFC 6455 §1.3.
var goodHead = headOf("GET /v1?token=t HTTP/1.1")

// headOf returns a request head. A header "Name: value" replaces the good one of
// that name, "Name:-" drops it, and "+Name: value" is added.
func headOf(line string, headers ...string) string {
	lines := []string{
		"Host: signalbox.test", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
	}
	for _, h := range headers {
		if added, ok := strings.CutPrefix(h, "+"); ok {
			lines = append(lines, added)
			continue
		}
		name, value, _ := strings.Cut(h, ":")
		for i, l := range lines {
			if !strings.HasPrefix(l, name+":") {
				continue
			}
			if lines[i] = h; value == "-" {
				lines = append(lines[:i:i], lines[i+1:]...)
			}
			break
		}
	}
	return line + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}
