package cluster

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	json "github.com/goccy/go-json"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// times are how long things take. Those that are 0 take what they should.
type times struct {
	tick     time.Duration // between looks at what is due
	beat     time.Duration // between beats
	gone     time.Duration // without a word from a node until it is gone
	linger   time.Duration // without a holder until a subscription ends
	round    time.Duration // until a round ends without all answers
	fence    time.Duration // until one ends that only has to be heard: long enough to know who is gone
	patience time.Duration // until a message to a peer goes to all nodes
	quiet    time.Duration // without a new node until this one has joined
	join     time.Duration // until it has joined in any case
	ping     time.Duration // between pings to NATS
	dial     time.Duration // until NATS must have answered who connects
	stuck    time.Duration // until a node whose reader waits does not beat any more
	measure  time.Duration // between measurements of the link
}

func (t times) withDefaults() times {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.tick, 250 * time.Millisecond},
		{&t.beat, time.Second},
		{&t.gone, 3500 * time.Millisecond},
		{&t.linger, 2 * time.Second},
		{&t.round, time.Second},
		{&t.fence, 5 * time.Second},
		{&t.patience, 200 * time.Millisecond},
		{&t.quiet, 500 * time.Millisecond},
		{&t.join, 1500 * time.Millisecond},
		{&t.ping, pingInterval},
		{&t.dial, dialTimeout},
		{&t.stuck, 30 * time.Second},
		{&t.measure, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return t
}

// NATS is the Bus between the nodes of a cluster.
type NATS struct {
	// Immutable after Join.
	id          NodeID
	name        string
	log         *slog.Logger
	times       times
	connections func() int
	maxPayload  int64  // that a server must take
	welcome     string // subject of answers to this node's hello
	replies     string // prefix of the subjects by which NATS says that nobody hears
	helloText   []byte
	embedded    Config // with which the server in this process runs
	token       string // that it asks for
	wantsRoutes bool   // it has been told of other nodes
	conn        *nats.Conn
	socket      *socket
	messageC    chan *nats.Msg

	out     outbox
	rounds  rounds
	stats   counters
	failed  failures                      // exchanges of shares
	telling atomic.Int64                  // exchanges with a node of its own that are told now
	turns   atomic.Uint64                 // of the reader
	server  atomic.Pointer[server.Server] // nil unless embedded

	linkC    chan struct{}  // has room for one: the link has changed
	startC   chan Node      // the node to hand over to
	metC     chan struct{}  // has room for one: a new node is there
	clashC   chan error     // has room for one: a node of another format is there
	joining  atomic.Bool    // Join has not returned
	stop     func()         // ends the reader
	running  sync.WaitGroup // all goroutines but the writer
	writtenC chan struct{}  // closed when the writer has ended
	closing  sync.Once

	// Reader-owned.
	node      Node
	members   members
	usage     usage
	check     checker
	payloads  uint64    // messages of NATS heard
	keeping   bool      // some messages are kept
	finding   bool      // some exchanges are yet to begin
	unsettled int       // changes of rosters that the node was told of since it last caught up
	greeted   bool      // a node that has just come wants a beat
	resynced  time.Time // when it was last looked whether something is to be told anew
	ticked    time.Time

	// Writer-owned.
	seq     uint64 // number of the last payload
	hearing hearing
}

// Join joins the cluster: it links this node to NATS and waits until it knows the
// nodes that are there. Where NATS cannot be reached it returns all the same, and
// goes on trying; only what will not mend by itself is an error. The caller
// closes what it gets.
func Join(ctx context.Context, c Config) (*NATS, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	b, err := newNATS(c)
	if err != nil {
		return nil, err
	}
	if err := b.link(c); err != nil {
		b.stopServer()
		return nil, err
	}
	var running context.Context
	running, b.stop = context.WithCancel(context.Background())
	b.running.Add(3)
	go b.read(running)
	go b.beatOn(running)
	go b.measure(running)
	go b.write()
	b.linkC <- struct{}{}
	if err := b.await(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func newNATS(c Config) (*NATS, error) {
	b := &NATS{
		name: c.Name, log: c.Logger, times: c.times.withDefaults(), connections: c.Connections,
		maxPayload: MinPayload(c.MaxMessageSize),
		messageC:   make(chan *nats.Msg, maxQueue),
		linkC:      make(chan struct{}, 1), startC: make(chan Node), metC: make(chan struct{}, 1),
		clashC: make(chan error, 1), writtenC: make(chan struct{}),
		node:    nobody{},
		members: members{origins: make(map[NodeID]*origin), foreign: make(map[string]struct{}), shown: make(map[NodeID]NodeStats)},
		check:   checker{maxData: c.MaxMessageSize},
	}
	for b.id == 0 {
		b.id = NodeID(rand.Uint64())
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	b.socket = newSocket(b.times.dial, func() int { return len(b.messageC) })
	b.welcome = prefixWelcome + b.id.String()
	b.replies = prefixReply + b.id.String() + "."
	b.out = outbox{wakeC: make(chan struct{}, 1), interests: make(map[string]*interest)}
	b.usage = usage{ledger: c.Ledger, out: &b.out}
	b.rounds = rounds{
		out: &b.out, times: &b.times, stats: &b.stats,
		asks: make(map[uint64]*ask), open: make(map[uint64]*round), live: make(map[NodeID]struct{}), late: make(map[NodeID]int),
	}
	b.joining.Store(true)
	var err error
	b.helloText, err = json.Marshal(hello{Node: c.Name, ID: b.id.String(), Format: format, Version: c.Version})
	return b, err
}

// await says hello until the nodes that are there have been heard.
func (b *NATS) await(ctx context.Context) error {
	defer b.joining.Store(false)
	if !b.conn.IsConnected() {
		return nil
	}
	quiet := time.NewTimer(b.times.quiet)
	defer quiet.Stop()
	enough := time.NewTimer(b.times.join)
	defer enough.Stop()
	again := time.NewTicker(b.times.quiet / 2)
	defer again.Stop()
	for {
		select {
		case <-b.metC:
			quiet.Reset(b.times.quiet)
		case <-quiet.C:
			if !b.routed() {
				quiet.Reset(b.times.quiet) // its routes may yet come up
				continue
			}
			return nil
		case <-enough.C:
			return nil
		case <-again.C:
			b.out.hello(subjectHello)
		case err := <-b.clashC:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// met notes that a new node is there, for Join.
func (b *NATS) met() {
	select {
	case b.metC <- struct{}{}:
	default:
	}
}

// Start begins to hand over to the node. Call it once, when the node can be
// called. After Close it does nothing.
func (b *NATS) Start(n Node) {
	select {
	case b.startC <- n:
	case <-b.writtenC:
	}
}

// Close says goodbye and leaves the cluster. What was said before is passed on,
// if that is possible within a second.
func (b *NATS) Close() {
	b.closing.Do(func() {
		b.usage.last()
		b.out.close([]byte{kindBye})
		<-b.writtenC
		_ = b.conn.FlushTimeout(time.Second)
		b.conn.Close()
		b.stop()
		b.running.Wait()
		b.rounds.close()
		b.stopServer()
	})
}
