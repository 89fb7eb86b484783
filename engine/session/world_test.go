package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// world is a hub whose loops, connections and clients are simulated, and the
// model of what its clients may see.
//
// It runs in one of two ways. Driven by step, everything happens on one
// goroutine in an order that its seed decides. Driven by goroutines, each loop
// has its own, and the lock guards the model.
type world struct {
	t      *testing.T
	random *rand.Rand
	hub    *Hub // the first of hubs
	hubs   []*Hub
	mesh   *mesh      // between hubs; nil if there is one
	loops  []*simLoop // of all hubs, one after another
	kind   kind
	// finishedC has the posts from outside that are handed over, unless parallel.
	finishedC chan *post

	mu sync.Mutex
	// Guarded by mu if parallel.
	clients []*client
	peers   []string
	names   []string // channels
	globs   []string
	posts   []*post
	crowd   []*wire
	journal *journal
	ids     int
	traces  []string
	faults  int
}

// kind is what a world is like.
type kind struct {
	loops    int
	nodes    int  // hubs with so many loops each, in a cluster; 0: one alone
	cuts     bool // nodes lose one another, and what was under way between them
	parallel bool
	lonely   bool // each client is a peer of its own
	pad      int  // the longest data, in bytes
	tight    bool // the loops' budgets are so small that everything is done in pieces
	// A crowd of bystanders in every channel: so many sockets, of so many
	// peers, with metadata of so many bytes.
	crowd, crowdPeers, crowdMeta int
	wild                         bool // the crowd listens to everything by patterns, too
}

// simLoop is a loop with its waker.
type simLoop struct {
	*Loop
	flag
	node int
	// Of a parallel world: what the loop's goroutine has to do.
	wakeC    chan struct{}
	commandC chan func()
}

// bell is the Waker of a loop with a goroutine.
type bell chan struct{}

func (b bell) Wake() {
	select {
	case b <- struct{}{}:
	default:
	}
}

func (b bell) WakeFair() { b.Wake() }

func (b bell) Submit() {}

func newWorld(t *testing.T, seed uint64, k kind) *world {
	limits := testLimits()
	limits.MaxMessageSize += k.pad
	if k.tight || k.crowdMeta > 0 {
		// Who reads is not to be closed for what gathers behind a long snapshot.
		limits.MaxBacklog, limits.MaxBacklogTotal = 1<<20, 0
	}
	w := &world{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), kind: k, finishedC: make(chan *post, 1000),
		peers: []string{"ann", "bob", "cat", "dan", "eve"},
		names: []string{"a/1", "a/2", "b/1"},
		globs: []string{"a/*", "**", "b/*"},
	}
	if k.nodes > 0 {
		w.mesh = newMesh(w, k.nodes)
		for i := range k.nodes {
			hub := testHubOn(t, k.loops, limits, nil, w.mesh.nodes[i])
			w.hubs, w.mesh.nodes[i].remote = append(w.hubs, hub), hub.Remote().(*remote)
		}
	} else {
		w.journal = newJournal()
		w.hubs = []*Hub{testHubTo(t, k.loops, limits, w.journal)}
	}
	w.hub = w.hubs[0]
	for i := range k.loops * len(w.hubs) {
		node := i / k.loops
		l := &simLoop{Loop: w.hubs[node].Loop(i % k.loops), node: node, wakeC: make(chan struct{}, 1), commandC: make(chan func(), 16)}
		if k.tight {
			l.budget = budget{tasks: 2, subs: 1, writes: 3, flush: 300, part: 4000, parked: 1}
		}
		w.loops = append(w.loops, l)
		if k.parallel {
			l.Bind(bell(l.wakeC))
		} else {
			l.Bind(&l.flag)
		}
	}
	return w
}

// locked runs f with the model to itself.
func (w *world) locked(f func()) {
	if w.kind.parallel {
		w.mu.Lock()
		defer w.mu.Unlock()
	}
	f()
}

// on runs f on the loop's goroutine: now, if there is only one.
func (w *world) on(l *simLoop, f func()) {
	if w.kind.parallel {
		l.Post(func(*Loop) { f() })
		return
	}
	f()
}

func (w *world) id() string {
	w.ids++
	return fmt.Sprintf("r%d", w.ids)
}

const maxTraces = 400

func (w *world) trace(format string, args ...any) {
	if len(w.traces) == 2*maxTraces {
		w.traces = append(w.traces[:0], w.traces[maxTraces:]...)
	}
	w.traces = append(w.traces, fmt.Sprintf(format, args...))
}

func (w *world) fault(format string, args ...any) {
	w.trace("FAULT "+format, args...)
	if w.faults++; w.faults <= 5 {
		w.t.Errorf(format, args...)
	}
}

// tell prints the last steps of a run that went wrong.
func (w *world) tell() {
	if w.faults > 0 {
		w.t.Logf("the last steps:\n%s", strings.Join(w.traces[max(0, len(w.traces)-120):], "\n"))
	}
}

// gather fills the channels with the crowd.
func (w *world) gather() {
	for i := range w.kind.crowd {
		l := w.loops[i%len(w.loops)]
		meta := ""
		if w.kind.crowdMeta > 0 {
			meta = fmt.Sprintf(`{"pad":%q}`, strings.Repeat("y", w.kind.crowdMeta))
		}
		c := &wire{deaf: true}
		c.session = l.Open(c, identify(w.t, w.hub.Keys(), w.crowdPeer(i), meta, all, 86400), nil)
		w.crowd = append(w.crowd, c)
		w.mingle(i, true)
	}
}

func (w *world) crowdPeer(i int) string { return fmt.Sprintf("crowd%d", i%w.kind.crowdPeers) }

// mingle has one of the crowd subscribe to everything, or to all but the first
// channel.
func (w *world) mingle(i int, in bool) {
	var b []byte
	for k, name := range w.names {
		verb := "subscribe"
		if k == 0 && !in {
			verb = "unsubscribe"
		}
		b = append(b, clientFrame(1, fmt.Appendf(nil, `{"type":%q,"channel":%q}`, verb, name))...)
	}
	if w.kind.wild {
		for k, glob := range w.globs[:1+i%len(w.globs)] {
			verb := "subscribe"
			if k == 0 && !in {
				verb = "unsubscribe"
			}
			b = append(b, clientFrame(1, fmt.Appendf(nil, `{"type":%q,"channel":%q}`, verb, glob))...)
		}
	}
	w.crowd[i].feed(b)
}

// permissions are the sets of permissions that clients have.
var permissions = [][]string{all, all, all, {"publish", "subscribe", "send"}}

// arrive connects a client, of a random peer and kind.
func (w *world) arrive(r *rand.Rand) {
	peer := w.peers[r.IntN(len(w.peers))]
	if w.kind.lonely {
		peer = fmt.Sprintf("%s%d", peer, len(w.clients))
	}
	meta := ""
	if r.IntN(2) == 0 {
		meta = fmt.Sprintf(`{"n":%d}`, len(w.clients))
	}
	conn := &wire{}
	switch r.IntN(8) {
	case 0:
		conn.slow = true
	case 1:
		conn.breaks = 2 + r.IntN(30)
	}
	w.connect(fmt.Sprintf("%s%d", peer, len(w.clients)), peer, meta, permissions[r.IntN(len(permissions))], conn)
}

// act has the client do something.
func (w *world) act(c *client, r *rand.Rand) {
	if c.gone || !c.welcomed {
		return
	}
	name := w.names[r.IntN(len(w.names))]
	if r.IntN(6) == 0 {
		name = w.globs[r.IntN(len(w.globs))]
	}
	channel := w.names[r.IntN(len(w.names))]
	switch n := r.IntN(100); {
	case n < 28:
		c.subscribe(name, r.IntN(3) == 0)
	case n < 48:
		c.unsubscribe(name, r.IntN(4) == 0)
	case n < 76:
		pad := 0
		if w.kind.pad > 0 && r.IntN(3) == 0 {
			pad = r.IntN(w.kind.pad)
		}
		c.publish(channel, r.IntN(2) == 0, pad)
	case n < 86:
		c.send(w.peers[r.IntN(len(w.peers))])
	case n < 93:
		c.ping()
	case n < 95:
		c.faulty(r)
	case n < 97:
		c.wsPing()
	default:
		if r.IntN(3) == 0 {
			c.leave(r)
		}
	}
}

// read lets the client's loop read some of what the client has sent.
func (w *world) read(c *client, r *rand.Rand) {
	n := len(c.input)
	if r.IntN(4) == 0 {
		n = r.IntN(n + 1)
	}
	b := append([]byte(nil), c.input[:n]...)
	c.input = c.input[n:]
	c.feed(b)
	if c.over {
		c.input = nil
	}
}

// outside publishes, sends or kicks from outside the loops.
func (w *world) outside(r *rand.Rand) {
	peer := w.peers[r.IntN(len(w.peers))]
	p := &post{sender: "system", meta: r.IntN(2) == 0, node: r.IntN(len(w.hubs))}
	hub := w.hubs[p.node]
	var meta []byte
	if p.meta {
		meta = []byte(`{"s":1}`)
	}
	call := func(ctx context.Context, data []byte) { _, _ = hub.Kick(ctx, "app_one", peer) }
	switch n := r.IntN(10); {
	case n == 0:
		if w.arriving(peer) || w.kind.cuts {
			return // the kick might come before it or behind it, or never
		}
		w.trace("kick %s", peer)
		for _, c := range w.clients {
			if c.peer == peer && !c.gone {
				c.lose()
			}
		}
	case n < 6:
		p.channel = w.names[r.IntN(len(w.names))]
		if !w.kind.parallel && hub.waits(p.channel) {
			return // it would go on at some other time, beside this goroutine
		}
		w.posted(p)
		call = func(ctx context.Context, data []byte) {
			_, _ = hub.Publish(ctx, "app_one", p.channel, p.sender, meta, data)
			w.finished(p)
		}
	default:
		p.to = peer
		w.posted(p)
		call = func(ctx context.Context, data []byte) {
			_, _ = hub.Send(ctx, "app_one", p.to, p.sender, meta, data)
			w.finished(p)
		}
	}
	w.trace("outside: post %d to %s%s", p.number, p.channel, p.to)
	go call(w.t.Context(), []byte(data(p.number, 0)))
}

// waits reports whether a publish from outside would wait now.
func (h *Hub) waits(channel string) bool {
	a := h.App("app_one")
	ch := a.Space.Find(channel)
	return h.crowded(h.targets(a, ch), ch)
}

// finished notes that a call from outside has come to its end. On the call's
// goroutine; a world on one goroutine takes note at a time of its own.
func (w *world) finished(p *post) {
	if w.kind.parallel {
		w.locked(func() { w.done(p, false) })
		return
	}
	w.finishedC <- p
}

// finish notes which calls from outside have come to their end.
func (w *world) finish() {
	synctest.Wait()
	for len(w.finishedC) > 0 {
		w.done(<-w.finishedC, false)
	}
}

// arriving reports whether a client of the peer is about to be connected.
func (w *world) arriving(peer string) bool {
	return slices.ContainsFunc(w.clients, func(c *client) bool { return c.peer == peer && !c.gone && !c.welcomed })
}

// step does one thing of a world on one goroutine.
func (w *world) step() {
	r := w.random
	if r.IntN(2) == 0 {
		w.mesh.step(r)
	}
	switch n := r.IntN(100); {
	case n < 3 && w.living() < 9 || len(w.clients) == 0:
		w.arrive(r)
	case n < 40:
		w.act(w.clients[r.IntN(len(w.clients))], r)
	case n < 48 && len(w.crowd) > 0:
		// Often, so that some leave in the midst of a flush.
		w.mingle(r.IntN(len(w.crowd)), r.IntN(2) == 0)
	case n < 65:
		if c := w.clients[r.IntN(len(w.clients))]; len(c.input) > 0 {
			w.read(c, r)
		}
	case n < 90:
		if l := w.loops[r.IntN(len(w.loops))]; l.up.Load() {
			w.turn(l)
		}
	case n < 94:
		time.Sleep(time.Duration(1+r.IntN(8)) * time.Millisecond)
	case n < 97:
		for _, c := range w.clients {
			c.queued = r.IntN(c.queued + 1)
		}
	default:
		w.outside(r)
		w.finish()
	}
	w.receive()
}

func (w *world) living() int {
	n := 0
	for _, c := range w.clients {
		if !c.gone {
			n++
		}
	}
	return n
}

func (w *world) turn(l *simLoop) {
	l.up.Store(false)
	if l.Turn(); l.unfinished() && !l.up.Load() {
		w.fault("loop %d: a turn has left something over and does not come back", l.index)
	}
	w.checkLoop(l)
}

func (w *world) receive() {
	for _, c := range w.clients {
		c.receive()
	}
}

// settle lets everything that is under way come to its end.
func (w *world) settle() {
	w.mesh.heal()
	for range 100 {
		for busy := true; busy; {
			busy = false
			for _, c := range w.clients {
				if c.queued = 0; len(c.input) > 0 {
					b := c.input
					c.input = nil
					c.feed(b)
					busy = true
				}
			}
			for _, l := range w.loops {
				if l.up.Load() {
					w.turn(l)
					busy = true
				}
			}
			w.receive()
			busy = w.mesh.settle() || busy
		}
		time.Sleep(3 * time.Millisecond)
		w.finish()
	}
	w.checkSettled()
}

// checkSettled holds a world at rest against the model.
func (w *world) checkSettled() {
	if w.journal != nil {
		w.checkJournal()
	}
	for _, c := range w.clients {
		for !c.gone && len(c.expects) > 0 && c.expects[0].answer == "" {
			c.expects[0].settle("")
			c.expects = c.expects[1:]
		}
		for _, h := range c.histories {
			h.settled = len(h.states) - 1
		}
		if !c.gone && len(c.expects) > 0 && c.expects[0].answer != "" {
			w.fault("%s: %s %q never came", c.name, c.expects[0].answer, c.expects[0].id)
		}
	}
	since := w.settledMarks(everywhere)
	for _, c := range w.clients {
		if !c.gone {
			c.checkViews("at rest", since)
		}
	}
	for _, p := range w.posts {
		for c := range p.must {
			late := c.loop.node != p.node && p.to == "" && c.touched != p.wishes[c].touched // it was under way when c lost interest
			if !p.got[c] && !c.gone && !w.kind.cuts && !late {
				w.fault("%s: post %d of %s to %s%s is lost", c.name, p.number, p.sender, p.channel, p.to)
			}
		}
	}
	for node := range w.hubs {
		for _, name := range w.names {
			w.checkRosters(node, name)
		}
	}
}
