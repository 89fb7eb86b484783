package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"signalbox/engine/auth"
)

// client is one connection of the simulated world and what its end knows.
type client struct {
	*wire
	world   *world
	name    string
	peer    string
	meta    string
	loop    *simLoop
	watches bool // has the presence permission

	input     []byte // sent, not yet read by the loop
	welcomed  bool
	gone      bool // closed, or about to be
	audited   bool // gone, and its events were looked at
	histories map[string]*history
	asked     map[string]bool // names whose last subscribe asked for metadata
	touched   int             // subscribes and unsubscribes sent
	expects   []expectation
	views     map[string]*view
	last      map[stream]int // number of the last post received
	closed    int            // close code received
	reading   int            // the write that is being read
}

// expectation is a request whose answer is to come, in the order they were sent.
type expectation struct {
	answer string // "ack", "pong", "error", "wsPong"; "" if none comes
	id     string
	or     string // another answer that is right
	settle func(answer string)
}

// stream is what keeps its order: what a client publishes, and what it sends.
type stream struct {
	from   *client
	direct bool
}

type rosterPeer struct {
	PeerID   string          `json:"peerId"`
	Metadata json.RawMessage `json:"metadata"`
}

// serverFrame is any frame of the server's.
type serverFrame struct {
	Type         string          `json:"type"`
	RequestID    string          `json:"requestId"`
	Code         string          `json:"code"`
	Channel      string          `json:"channel"`
	From         string          `json:"from"`
	FromMetadata json.RawMessage `json:"fromMetadata"`
	Data         json.RawMessage `json:"data"`
	Joined       []rosterPeer    `json:"joined"`
	Left         []rosterPeer    `json:"left"`
}

func (w *world) connect(name, peer, meta string, permissions []string, conn *wire) {
	c := &client{
		wire: conn, world: w, name: name, peer: peer, meta: meta, loop: w.loops[w.random.IntN(len(w.loops))],
		histories: map[string]*history{}, asked: map[string]bool{}, views: map[string]*view{}, last: map[stream]int{},
	}
	id := identify(w.t, w.hub.Keys(), peer, meta, permissions, 86400)
	c.watches = id.Grant.Allows(auth.Presence)
	c.wire.ended = func() { w.locked(c.lose) }
	w.locked(func() {
		w.clients = append(w.clients, c)
		c.expects = append(c.expects, expectation{answer: "welcome", settle: func(string) { c.welcomed = true }})
	})
	w.on(c.loop, func() {
		c.wire.session = c.loop.Open(c.wire, id, nil)
		w.locked(c.receive)
	})
}

// lose notes that the connection is over, or will be without the client's doing:
// it leaves everything, some time.
func (c *client) lose() {
	c.gone = true
	for _, h := range c.histories {
		if h.now() {
			h.states = append(h.states, false)
		}
	}
}

// request sends a JSON frame.
func (c *client) request(text string, e expectation) {
	c.world.trace("%s > %.200s", c.name, text)
	c.input = append(c.input, clientFrame(1, []byte(text))...)
	c.expects = append(c.expects, e)
}

func (c *client) history(name string) *history {
	h := c.histories[name]
	if h == nil {
		h = &history{states: []bool{false}}
		c.histories[name] = h
	}
	return h
}

func (c *client) subscribe(name string, meta bool) {
	h := c.history(name)
	h.states = append(h.states, true)
	nth := len(h.states) - 1
	c.touched++
	c.asked[name] = meta
	id := c.world.id()
	c.request(fmt.Sprintf(`{"type":"subscribe","channel":%q,"includeSenderMetadata":%v,"requestId":%q}`, name, meta, id),
		expectation{answer: "ack", id: id, settle: func(string) {
			h.settled = max(h.settled, nth)
			if strings.Contains(name, "*") || !c.watches {
				return
			}
			if c.views[name] == nil {
				c.views[name] = &view{peers: map[string]string{}}
			}
			c.views[name].awaits = true
			c.views[name].ack = c.reading
		}})
}

func (c *client) unsubscribe(name string, silent bool) {
	h := c.history(name)
	h.states = append(h.states, false)
	nth := len(h.states) - 1
	c.touched++
	settle := func(string) {
		h.settled = max(h.settled, nth)
		delete(c.views, name)
	}
	if silent {
		c.request(fmt.Sprintf(`{"type":"unsubscribe","channel":%q}`, name), expectation{settle: settle})
		return
	}
	id := c.world.id()
	c.request(fmt.Sprintf(`{"type":"unsubscribe","channel":%q,"requestId":%q}`, name, id), expectation{answer: "ack", id: id, settle: settle})
}

func (c *client) publish(channel string, silent bool, pad int) {
	p := &post{from: c, sender: c.peer, channel: channel, meta: c.meta != ""}
	c.world.posted(p)
	settle := func(string) { c.world.done(p, false) }
	if silent {
		c.request(fmt.Sprintf(`{"type":"publish","channel":%q,"data":%s}`, channel, data(p.number, pad)), expectation{settle: settle})
		return
	}
	id := c.world.id()
	c.request(fmt.Sprintf(`{"type":"publish","channel":%q,"data":%s,"requestId":%q}`, channel, data(p.number, pad), id),
		expectation{answer: "ack", id: id, settle: settle})
}

// data returns the data of a post, padded to some length, and number reads it.
func data(n, pad int) string {
	return fmt.Sprintf("[%d,%q]", n, strings.Repeat("x", pad))
}

func (f *serverFrame) number() int {
	n, err := strconv.Atoi(string(f.Data[1:max(1, bytes.IndexByte(f.Data, ','))]))
	if err != nil {
		return 1 << 30
	}
	return n
}

func (c *client) send(to string) {
	p := &post{from: c, sender: c.peer, to: to, meta: c.meta != ""}
	c.world.posted(p)
	if c.peer == to && c.welcomed { // every socket of that peer, its own too
		p.wishes[c] = wish{meta: true}
	}
	id := c.world.id()
	e := expectation{answer: "ack", or: "error", id: id, settle: func(answer string) { c.world.done(p, answer == "error") }}
	c.request(fmt.Sprintf(`{"type":"send","to":%q,"data":%s,"requestId":%q}`, to, data(p.number, 0), id), e)
}

func (c *client) ping() {
	since := c.world.settledMarks(c.loop.node)
	c.request(`{"type":"ping"}`, expectation{answer: "pong", settle: func(string) {
		c.checkViews("at a fence", since)
	}})
}

// faulty sends a request that is refused.
func (c *client) faulty(r *rand.Rand) {
	id := c.world.id()
	text := []string{
		`{"type":"publish","channel":"a*","data":1,"requestId":%q}`,
		`{"type":"what","requestId":%q}`,
		`{"type":"subscribe","channel":"_system/x","requestId":%q}`,
		`{"type":"send","to":"nobody","data":1,"requestId":%q}`,
	}[r.IntN(4)]
	c.request(fmt.Sprintf(text, id), expectation{answer: "error", id: id})
}

// wsPing sends a WebSocket ping.
func (c *client) wsPing() {
	id := c.world.id()
	c.input = append(c.input, clientFrame(9, []byte(id))...)
	c.expects = append(c.expects, expectation{answer: "wsPong", id: id})
}

// leave ends the client in one of the ways there are.
func (c *client) leave(r *rand.Rand) {
	c.lose()
	if r.IntN(2) == 0 {
		c.world.trace("%s > close", c.name)
		c.input = append(c.input, clientFrame(8, []byte{3, 232})...)
		return
	}
	c.world.trace("%s vanishes", c.name)
	c.world.on(c.loop, c.wire.vanish)
}
