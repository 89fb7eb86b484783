package clustertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// frame is what a server sends.
type frame struct {
	Type         string
	RequestID    string `json:"requestId"`
	Code         string
	Channel      string
	From         string
	FromMetadata json.RawMessage `json:"fromMetadata"`
	Data         json.RawMessage
	Joined, Left []rosterPeer
}

type rosterPeer struct {
	PeerID   string `json:"peerId"`
	Metadata json.RawMessage
}

// client is a connection to a node.
type client struct {
	t    testing.TB
	node *node
	peer string
	conn net.Conn

	writing sync.Mutex
	serial  int // of the last request; the test's goroutine

	since time.Time // when it had subscribed; what was said before it may have missed

	// Guarded by mu.
	mu       sync.Mutex
	frames   []*frame // those that nobody has awaited
	pictures map[string]*picture
	lies     []string
	heard    map[string][]int       // numbers of utterances, by talker
	heardAt  map[string][]time.Time // and when
	answers  map[string]string
	end      error         // why nothing more comes
	changedC chan struct{} // closed at the next change
}

// connect opens a connection of a peer of app one.
func (n *node) connect(peer string) *client {
	n.t.Helper()
	return n.connectAs(one, peer, nil)
}

// connectAs opens a connection and takes the welcome. The connection ends with the
// test.
func (n *node) connectAs(a app, peer string, claims map[string]any) *client {
	n.t.Helper()
	c, err := n.tryConnect(a, peer, claims)
	if err != nil {
		n.t.Fatalf("connect %s to %s: %v", peer, n.name, err)
	}
	return c
}

// tryConnect is connectAs for those who may be refused, on any goroutine.
func (n *node) tryConnect(a app, peer string, claims map[string]any) (*client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dialer := ws.Dialer{NetDial: func(_ context.Context, _, addr string) (net.Conn, error) { return n.in.dial(addr) }}
	conn, ahead, _, err := dialer.Dial(ctx, "ws://"+n.addr+"/v1?token="+a.token(n.t, peer, claims))
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	if ahead != nil {
		in = ahead
	}
	c := &client{
		t: n.t, node: n, peer: peer, conn: conn,
		pictures: make(map[string]*picture), heard: make(map[string][]int),
		heardAt: make(map[string][]time.Time), answers: make(map[string]string),
		changedC: make(chan struct{}),
	}
	doneC := make(chan struct{})
	go func() {
		defer close(doneC)
		c.read(in)
	}()
	n.t.Cleanup(func() {
		_ = conn.Close()
		<-doneC
	})
	if _, err := c.next(func(f *frame) bool { return f.Type == "welcome" }); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// duplex is a connection that is read ahead, and that answers pings between the
// client's own frames.
type duplex struct {
	in *bufio.Reader
	c  *client
}

func (d duplex) Read(p []byte) (int, error) { return d.in.Read(p) }

func (d duplex) Write(p []byte) (int, error) {
	d.c.writing.Lock()
	defer d.c.writing.Unlock()
	return d.c.conn.Write(p)
}

// read takes note of all that comes, until the end.
func (c *client) read(in *bufio.Reader) {
	for {
		text, err := wsutil.ReadServerText(duplex{in, c})
		var f frame
		if err == nil {
			err = json.Unmarshal(text, &f)
		}
		c.mu.Lock()
		if err != nil {
			c.end = err
		} else {
			c.note(&f)
		}
		close(c.changedC)
		c.changedC = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// note takes note of a frame. Numbered utterances and their answers are kept by
// number alone: there are many.
func (c *client) note(f *frame) {
	c.look(f)
	var u utterance
	switch {
	case f.Type == "ack" && f.RequestID[0] == 'u':
		c.answers[f.RequestID] = acked
	case f.Type == "error" && f.RequestID != "" && f.RequestID[0] == 'u':
		c.answers[f.RequestID] = f.Code
	case (f.Type == "message" || f.Type == "direct") && json.Unmarshal(f.Data, &u) == nil && u.Number > 0:
		c.heard[u.By] = append(c.heard[u.By], u.Number)
		c.heardAt[u.By] = append(c.heardAt[u.By], now())
	default:
		c.frames = append(c.frames, f)
	}
}

// next takes the oldest frame for which match is true, waiting for it if need be.
func (c *client) next(match func(*frame) bool) (*frame, error) {
	var found *frame
	err := c.until(patience, func() bool {
		for i, f := range c.frames {
			if match(f) {
				c.frames = append(c.frames[:i:i], c.frames[i+1:]...)
				found = f
				return true
			}
		}
		return false
	})
	return found, err
}

var errLate = errors.New("not in time")

// until waits until a condition on what is under the lock holds, or nothing more
// can come.
func (c *client) until(within time.Duration, holds func() bool) error {
	deadline := now().Add(within)
	for {
		c.mu.Lock()
		ok, end, changedC := holds(), c.end, c.changedC
		c.mu.Unlock()
		left := till(deadline)
		switch {
		case ok:
			return nil
		case end != nil:
			return end
		case left <= 0:
			return errLate
		}
		select {
		case <-changedC:
		case <-time.After(left):
		}
	}
}

// await is next for frames that must come.
func (c *client) await(what string, match func(*frame) bool) *frame {
	c.t.Helper()
	f, err := c.next(match)
	if err != nil {
		c.t.Fatalf("%s on %s awaits %s: %v; unread: %s", c.peer, c.node.name, what, err, c.unread())
	}
	return f
}

// unread are the frames that nobody has awaited, for error texts.
func (c *client) unread() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var text bytes.Buffer
	for _, f := range c.frames[max(0, len(c.frames)-10):] {
		fmt.Fprintf(&text, "%s %s %s %s %s; ", f.Type, f.RequestID, f.Code, f.Channel, f.Data)
	}
	return text.String()
}

// say sends a frame.
func (c *client) say(text string) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return wsutil.WriteClientText(c.conn, []byte(text))
}

// try sends a frame with these fields and returns the code of the error that
// answers it, "" for an ack.
func (c *client) try(format string, args ...any) (string, error) {
	c.serial++
	id := strconv.Itoa(c.serial)
	if err := c.say(fmt.Sprintf(`{"requestId":"`+id+`",`+format+`}`, args...)); err != nil {
		return "", err
	}
	f, err := c.next(func(f *frame) bool { return f.RequestID == id })
	if err != nil {
		return "", err
	}
	return f.Code, nil
}

// ask is try for those who must get an answer.
func (c *client) ask(format string, args ...any) string {
	c.t.Helper()
	code, err := c.try(format, args...)
	if err != nil {
		c.t.Fatalf("%s on %s says "+format+": %v", append(append([]any{c.peer, c.node.name}, args...), err)...)
	}
	return code
}

// do is ask for what must be acked.
func (c *client) do(format string, args ...any) {
	c.t.Helper()
	if code := c.ask(format, args...); code != "" {
		c.t.Fatalf("%s on %s says "+format+": got error %s, want an ack", append(append([]any{c.peer, c.node.name}, args...), code)...)
	}
}

func (c *client) subscribe(channels ...string) *client {
	c.t.Helper()
	for _, channel := range channels {
		c.do(`"type":"subscribe","channel":%q`, channel)
	}
	c.since = now()
	return c
}

// reachable returns once what is sent to the peer comes to this socket, too, even if
// the peer has others: what its node has said before an ack of a subscribe is heard by
// all nodes.
func (c *client) reachable() *client {
	c.t.Helper()
	return c.subscribe("peers/reachable")
}

func (c *client) publish(channel, data string) {
	c.t.Helper()
	c.do(`"type":"publish","channel":%q,"data":%s`, channel, data)
}

// wantMessage wants the next message to be this one.
func (c *client) wantMessage(channel, from, fromMetadata, data string) {
	c.t.Helper()
	f := c.await("a message", func(f *frame) bool { return f.Type == "message" })
	if f.Channel != channel || f.From != from || string(f.FromMetadata) != fromMetadata || string(f.Data) != data {
		c.t.Errorf("%s on %s: got message %s from %s %s: %s; want %s from %s %s: %s", c.peer, c.node.name,
			f.Channel, f.From, f.FromMetadata, f.Data, channel, from, fromMetadata, data)
	}
}

// wantDirect wants the next direct to be this one.
func (c *client) wantDirect(from, fromMetadata, data string) {
	c.t.Helper()
	f := c.await("a direct", func(f *frame) bool { return f.Type == "direct" })
	if f.From != from || string(f.FromMetadata) != fromMetadata || string(f.Data) != data {
		c.t.Errorf("%s on %s: got direct from %s %s: %s; want from %s %s: %s", c.peer, c.node.name,
			f.From, f.FromMetadata, f.Data, from, fromMetadata, data)
	}
}

// wantNone wants no frame of these types to be unread.
func (c *client) wantNone(types ...string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.frames {
		if slices.Contains(types, f.Type) {
			c.t.Errorf("%s on %s: got %s %s from %s: %s %v %v, want none", c.peer, c.node.name, f.Type, f.Channel, f.From, f.Data, f.Joined, f.Left)
		}
	}
}

// leave closes the connection as clients do, and waits for the answer.
func (c *client) leave() {
	c.writing.Lock()
	// If it has ended already, that is what is wanted.
	_ = wsutil.WriteClientMessage(c.conn, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	c.writing.Unlock()
	_ = c.until(patience, func() bool { return false })
	_ = c.conn.Close()
}

// wantClosed wants the server to close the connection with this code.
func (c *client) wantClosed(code ws.StatusCode) {
	c.t.Helper()
	err := c.until(patience, func() bool { return false })
	var closed wsutil.ClosedError
	if !errors.As(err, &closed) || closed.Code != code {
		c.t.Errorf("%s on %s: got %v, want it closed with %d", c.peer, c.node.name, err, code)
	}
}
