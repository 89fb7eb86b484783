package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const (
	crowdSize  = 200
	crowdRooms = 40
	visitors   = 4
	// publishEvery is the time between a member's messages.
	publishEvery = 50 * time.Millisecond
)

// crowd is clients that stay connected, come back when they are told to go away,
// and publish all the time, and visitors, who come and go.
type crowd struct {
	t     *testing.T
	ports string
	hosts []string

	members  []*member
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	connects atomic.Int64 // of members
	visits   atomic.Int64
	acked    atomic.Int64
	stopped  sync.Once
}

// member is one client of a crowd.
type member struct {
	crowd *crowd
	index int
	// markC gets the last mark published, from every other member of the room.
	markC chan string
	// pongC gets the answers to pings, of which there is one at a time.
	pongC chan struct{}

	mu   sync.Mutex
	conn net.Conn // nil while it is not subscribed
	pub  sync.Mutex
}

func newCrowd(t *testing.T, addr string, hosts []string) *crowd {
	c := &crowd{t: t, hosts: hosts}
	_, c.ports, _ = net.SplitHostPort(addr)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	t.Cleanup(c.stop)
	for i := range crowdSize {
		m := &member{crowd: c, index: i, markC: make(chan string, crowdSize), pongC: make(chan struct{}, 1)}
		c.members = append(c.members, m)
		c.wg.Go(m.live)
	}
	for i := range visitors {
		c.wg.Go(func() { c.visit(i) })
	}
	return c
}

// stop ends all clients.
func (c *crowd) stop() {
	c.stopped.Do(func() {
		c.cancel()
		c.wg.Wait()
	})
}

// connect opens a connection and takes the welcome.
func (c *crowd) connect(i int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	url := "ws://" + c.hosts[i%len(c.hosts)] + ":" + c.ports + "/v1?key=" + upgradeKey
	conn, buffered, _, err := ws.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	conn = withBuffered(conn, buffered)
	if text, err := wsutil.ReadServerText(conn); err != nil || !bytes.HasPrefix(text, []byte(`{"type":"welcome"`)) {
		_ = conn.Close()
		return nil, fmt.Errorf("no welcome: %q, %w", text, err)
	}
	return conn, nil
}

// withBuffered returns the connection with what the handshake has read ahead, nil if
// that is nothing.
func withBuffered(conn net.Conn, buffered *bufio.Reader) net.Conn {
	if buffered == nil {
		return conn
	}
	rest, _ := buffered.Peek(buffered.Buffered()) // that much is there
	return &prefixed{conn, bytes.NewReader(bytes.Clone(rest))}
}

// prefixed is a connection of which something has been read ahead.
type prefixed struct {
	net.Conn
	first *bytes.Reader
}

func (p *prefixed) Read(b []byte) (int, error) {
	if p.first.Len() > 0 {
		return p.first.Read(b)
	}
	return p.Conn.Read(b)
}

const visitEvery = 5 * time.Millisecond

// visit connects again and again.
func (c *crowd) visit(i int) {
	for c.ctx.Err() == nil {
		conn, err := c.connect(i)
		if err != nil {
			c.t.Errorf("visitor: %v", err)
			return
		}
		c.visits.Add(1)
		_ = conn.Close()
		select {
		case <-time.After(visitEvery):
		case <-c.ctx.Done():
		}
	}
}

// ask has another visitor ask for a URL again and again.
func (c *crowd) ask(url string) {
	c.wg.Go(func() {
		for c.ctx.Err() == nil {
			if err := fetch(url, nil); err != nil {
				c.t.Errorf("%s: %v", url, err)
				return
			}
			select {
			case <-time.After(visitEvery):
			case <-c.ctx.Done():
			}
		}
	})
}

// live keeps the member connected.
func (m *member) live() {
	for m.crowd.ctx.Err() == nil {
		pause, err := m.session()
		if err != nil && m.crowd.ctx.Err() == nil {
			m.crowd.t.Errorf("member %d: %v", m.index, err)
			return
		}
		select {
		case <-time.After(pause): // as it was told to
		case <-m.crowd.ctx.Done():
		}
	}
}

func (m *member) room() string { return "room-" + strconv.Itoa(m.index%crowdRooms) }

// session is one connection, to its end, and the pause to make before the next.
func (m *member) session() (pause time.Duration, err error) {
	conn, err := m.crowd.connect(m.index)
	if err != nil {
		return 0, err
	}
	m.crowd.connects.Add(1)
	defer conn.Close()
	if err := m.say(conn, `{"type":"subscribe","channel":"`+m.room()+`","requestId":"sub"}`); err != nil {
		return 0, err
	}
	endC := make(chan struct{})
	defer close(endC)
	defer m.setConn(nil)
	for {
		text, err := wsutil.ReadServerText(answering{conn, m})
		var closed wsutil.ClosedError
		switch {
		case errors.As(err, &closed) && closed.Code == ws.StatusGoingAway && pause > 0:
			return pause, nil
		case err != nil:
			return 0, err
		}
		var frame struct {
			Type, RequestID, Code string
			RetryAfterMs          int
			Data                  struct{ Mark string }
		}
		if err := json.Unmarshal(text, &frame); err != nil {
			return 0, err
		}
		switch {
		case frame.Type == "error":
			return 0, errors.New(string(text))
		case frame.Type == "going_away":
			pause = time.Duration(frame.RetryAfterMs) * time.Millisecond
		case frame.Type == "ack" && frame.RequestID == "sub":
			m.setConn(conn)
			go m.publish(conn, endC)
		case frame.Type == "ack":
			m.crowd.acked.Add(1)
		case frame.Type == "pong":
			m.pongC <- struct{}{}
		case frame.Type == "message" && frame.Data.Mark != "":
			m.markC <- frame.Data.Mark
		}
	}
}

// answering is a member's connection whose reader answers pings between the frames that
// the member says.
type answering struct {
	net.Conn
	m *member
}

// Write reports no failure: a server that has said why it closes may have ended since, and
// why is what the reader is to hear.
func (a answering) Write(b []byte) (int, error) {
	a.m.pub.Lock()
	defer a.m.pub.Unlock()
	_, _ = a.Conn.Write(b)
	return len(b), nil
}

func (m *member) setConn(conn net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conn = conn
}

func (m *member) subscribed() net.Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn
}

// answered has the server answer on the member's connection. It reports false if there
// is none, or it ends: the member may not have noticed yet that it has.
func (m *member) answered(deadline time.Time) bool {
	select {
	case <-m.pongC: // of a connection that has ended since
	default:
	}
	conn := m.subscribed()
	if conn == nil || m.say(conn, `{"type":"ping"}`) != nil {
		return false
	}
	for m.subscribed() == conn && time.Now().Before(deadline) {
		select {
		case <-m.pongC:
			return true
		case <-time.After(pollEvery):
		}
	}
	return false
}

func (m *member) say(conn net.Conn, text string) error {
	m.pub.Lock()
	defer m.pub.Unlock()
	return wsutil.WriteClientText(conn, []byte(text))
}

// publish sends messages until the session ends, or all do; then the connection
// ends, once all is acked.
func (m *member) publish(conn net.Conn, endC chan struct{}) {
	t := time.NewTicker(publishEvery)
	defer t.Stop()
	for {
		select {
		case <-endC:
			return
		case <-m.crowd.ctx.Done():
			// The answer to the close comes behind all acks.
			_ = m.sayClose(conn)
			return
		case <-t.C:
			_ = m.say(conn, `{"type":"publish","channel":"`+m.room()+`","data":{},"requestId":"p"}`) // the reader hears of a failure
		}
	}
}

func (m *member) sayClose(conn net.Conn) error {
	m.pub.Lock()
	defer m.pub.Unlock()
	return wsutil.WriteClientMessage(conn, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
}

// settle waits until every member is subscribed, with a server that is there.
func (c *crowd) settle() {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	var asking sync.WaitGroup
	var away atomic.Int64
	for _, m := range c.members {
		asking.Go(func() {
			for !m.answered(deadline) {
				if c.t.Failed() || time.Now().After(deadline) {
					away.Add(1)
					return
				}
				<-time.After(pollEvery)
			}
		})
	}
	asking.Wait()
	if n := away.Load(); n > 0 {
		c.t.Fatalf("%d members are not back", n)
	}
}

const pollEvery = 10 * time.Millisecond

// proveDelivery has every member publish a mark and wants every other member of its
// room to get it.
func (c *crowd) proveDelivery() {
	c.t.Helper()
	c.settle()
	for _, m := range c.members {
		conn := m.subscribed()
		text := fmt.Sprintf(`{"type":"publish","channel":%q,"data":{"mark":"m%d"},"requestId":"mark"}`, m.room(), m.index)
		if err := m.say(conn, text); err != nil {
			c.t.Fatal(err)
		}
	}
	timeout := time.After(patience)
	for _, m := range c.members {
		var got []string
		for len(got) < crowdSize/crowdRooms-1 {
			select {
			case mark := <-m.markC:
				got = append(got, mark)
			case <-timeout:
				c.t.Fatalf("member %d got only %s", m.index, strings.Join(got, " "))
			}
		}
	}
}
