package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/target"
)

// MixConfig describes mixed traffic.
type MixConfig struct {
	Peers       int     // that stay; every delivery to them is accounted for
	Channels    int     // that they share
	Rate        float64 // messages a second
	DirectShare float64 // of the messages that go to one peer
	Churn       int     // connections beside them that come and go
	Life        time.Duration
	Bytes       int // of a message's data
	Sources     Sources
	Ramp        client.Ramp
}

// Mix is mixed traffic: peers that publish to their channel and send to each
// other at a steady rate, with presence on, while others come and go. It
// accounts for every delivery. Its methods are for one goroutine, but for the
// counts.
type Mix struct {
	// Immutable after open.
	fleet    *client.Fleet
	cfg      MixConfig
	d        *target.Signalbox
	addr     func(index int) client.Spec
	loops    []*mixLoop
	peers    []*mixPeer
	channels [][]*mixPeer // the peers of each

	// Any goroutine (atomic).
	until    atomic.Int64 // as client.Now: nothing is due from here on
	messages atomic.Uint64
	arrived  atomic.Uint64
	due      atomic.Uint64 // deliveries that are to come of what was sent
	visits   atomic.Uint64
	refused  atomic.Uint64 // visits that failed, and errors that peers were told
	losses                 // of connections that stay
}

// mixLoop is the part of one client loop. It is loop-owned.
type mixLoop struct {
	mix    *Mix
	peers  []*mixPeer
	pacer  Pacer
	sent   int
	random *rand.Rand
	times  Histogram
	data   []byte
	frame  []byte
}

// mixPeer is one peer that stays. It is loop-owned.
type mixPeer struct {
	loop     *mixLoop
	index    int
	channel  int
	place    int // in its channel
	conn     *client.Conn
	received []source // by place of the sender in the channel
	directs  int      // received
	// sent and sentTo are what is to be received: this peer's publishes, and
	// its directs by receiver.
	sent   int
	sentTo map[int]int
}

// source is what a peer has had from another one of its channel.
type source struct {
	count int
	last  int64 // stamp: it grows from message to message
	fault bool  // a message came twice or out of order
}

func mixName(i int) string            { return fmt.Sprintf("mix-%06d", i) }
func (m *Mix) channelOf(n int) string { return fmt.Sprintf("mix/%06d", n) }

// OpenMix connects the peers that stay.
func OpenMix(ctx context.Context, fleet *client.Fleet, t *target.Target, cfg MixConfig) (*Mix, error) {
	m := &Mix{fleet: fleet, cfg: cfg, d: t.Signalbox(), channels: make([][]*mixPeer, cfg.Channels)}
	if m.d == nil {
		return nil, errDialect
	}
	m.addr = func(index int) client.Spec {
		return client.Spec{Index: index, Loop: index % fleet.Size(), Addr: t.Addr, Source: cfg.Sources.At(index)}
	}
	for i := range fleet.Size() {
		m.loops = append(m.loops, &mixLoop{mix: m, random: rand.New(rand.NewPCG(uint64(i), 0))})
	}
	specs := make([]client.Spec, 0, cfg.Peers)
	for i := range cfg.Peers {
		p := m.newPeer(i)
		script, err := m.d.Subscriber(target.Claims{Peer: mixName(i)}, m.channelOf(p.channel))
		if err != nil {
			return nil, err
		}
		spec := m.addr(i)
		spec.Script, spec.Handler = script, p
		specs = append(specs, spec)
	}
	for _, p := range m.peers {
		p.received = make([]source, len(m.channels[p.channel]))
	}
	return m, fleet.Open(ctx, cfg.Ramp, specs).Err()
}

func (m *Mix) newPeer(i int) *mixPeer {
	l := m.loops[i%m.fleet.Size()]
	p := &mixPeer{loop: l, index: i, channel: i % m.cfg.Channels, sentTo: make(map[int]int)}
	p.place = len(m.channels[p.channel])
	m.channels[p.channel] = append(m.channels[p.channel], p)
	m.peers = append(m.peers, p)
	l.peers = append(l.peers, p)
	return p
}

// Run has traffic flow for d, or until ctx is done, and waits until it has
// arrived. Afterwards see Account and Err.
func (m *Mix) Run(ctx context.Context, d time.Duration) error {
	start := client.Now() + int64(startLead)
	m.until.Store(start + int64(d))
	var sending sync.WaitGroup
	m.fleet.Each(func(l *client.Loop) {
		part := m.loops[l.Index]
		part.sent = 0
		if len(part.peers) > 0 {
			sending.Add(1)
			part.pacer = NewPacer(start, m.cfg.Rate*float64(len(part.peers))/float64(m.cfg.Peers))
			l.At(start, func() { part.tick(l, sending.Done) })
		}
		for i := l.Index; i < m.cfg.Churn; i += m.fleet.Size() {
			v := &mixVisitor{loop: part, index: m.cfg.Peers + i}
			l.At(start+v.life(), func() { v.come(l) })
		}
	})
	stop := context.AfterFunc(ctx, func() { m.until.Store(0) })
	sending.Wait()
	stop()
	arrive(func() bool { return m.arrived.Load() >= m.due.Load() })
	return ctx.Err()
}

// Account is what has become of the deliveries.
type Account struct {
	Messages uint64
	Due      uint64
	Arrived  uint64
	Wrong    int // pairs of peers between which count or order is not right
	Visits   uint64
	Refused  uint64
	Times    Histogram
}

// Account compares all that was sent with all that was received. It is for when
// the traffic rests.
func (m *Mix) Account() Account {
	a := Account{Messages: m.messages.Load(), Due: m.due.Load(), Arrived: m.arrived.Load(), Visits: m.visits.Load(), Refused: m.refused.Load()}
	done := make(chan struct{})
	// The loops rest while one of them looks at all peers.
	var parked sync.WaitGroup
	parked.Add(m.fleet.Size())
	for i := range m.fleet.Size() {
		m.fleet.Loop(i).Post(func() { parked.Done(); <-done })
	}
	parked.Wait()
	defer close(done)
	directs := make(map[int]int)
	for _, p := range m.peers {
		for to, n := range p.sentTo {
			directs[to] += n
		}
		for _, other := range m.channels[p.channel] {
			had := p.received[other.place]
			if other != p && (had.fault || had.count != other.sent) {
				a.Wrong++
			}
		}
	}
	for _, p := range m.peers {
		if p.directs != directs[p.index] {
			a.Wrong++
		}
	}
	for _, l := range m.loops {
		a.Times.Merge(&l.times)
	}
	return a
}

// Counts are how many deliveries there were and how many errors.
func (m *Mix) Counts() (arrived, faults int) {
	return int(m.arrived.Load()), int(m.refused.Load()) + int(m.lost.Load())
}

// tick sends what is due, the peers in turn, and sets the time of the next one.
func (l *mixLoop) tick(loop *client.Loop, done func()) {
	now, until := client.Now(), l.mix.until.Load()
	for due := l.pacer.Due(min(now, until-1)); l.sent < due; l.sent++ {
		l.send(l.peers[l.sent%len(l.peers)], l.pacer.At(l.sent))
	}
	if next := l.pacer.At(l.sent); next < until {
		loop.At(next, func() { l.tick(loop, done) })
	} else {
		done()
	}
}

// send sends one message, to the peer's channel or to another peer.
func (l *mixLoop) send(p *mixPeer, at int64) {
	m := l.mix
	l.data = client.AppendData(l.data[:0], max(client.MinData, m.cfg.Bytes), client.Stamp{Slot: uint32(p.index), At: at})
	m.messages.Add(1)
	if l.random.Float64() < m.cfg.DirectShare {
		to := l.random.IntN(len(m.peers))
		p.sentTo[to]++
		m.due.Add(1)
		l.frame = target.AppendSend(l.frame[:0], mixName(to), l.data)
	} else {
		p.sent++
		m.due.Add(uint64(len(m.channels[p.channel]) - 1))
		l.frame = m.d.AppendPublish(l.frame[:0], m.channelOf(p.channel), l.data)
	}
	p.conn.Send(l.frame)
}

// Ready implements client.Handler.
func (p *mixPeer) Ready(c *client.Conn) { p.conn = c }

// Text implements client.Handler: it takes down a delivery.
func (p *mixPeer) Text(c *client.Conn, payload []byte) {
	kind := client.KindOf(payload)
	m := p.loop.mix
	switch kind {
	case client.Error:
		m.refused.Add(1)
		return
	case client.Message, client.Direct:
	default:
		return
	}
	stamp, ok := client.ReadStamp(payload, m.d.Closers())
	if !ok || int(stamp.Slot) >= len(m.peers) {
		m.refused.Add(1)
		return
	}
	p.loop.times.Record(c.Loop.ReadAt() - stamp.At)
	m.arrived.Add(1)
	if kind == client.Direct {
		p.directs++
		return
	}
	from := m.peers[stamp.Slot]
	if from.channel != p.channel {
		m.refused.Add(1)
		return
	}
	had := &p.received[from.place]
	had.fault = had.fault || stamp.At <= had.last
	had.last = stamp.At
	had.count++
}

// Closed implements client.Handler.
func (p *mixPeer) Closed(c *client.Conn, why client.Cause) { p.loop.mix.ended(c, why) }

// mixVisitor is a client that comes, stays a while in some channel, and goes,
// again and again. It is loop-owned.
type mixVisitor struct {
	loop  *mixLoop
	index int
}

// life is a random time around MixConfig.Life.
func (v *mixVisitor) life() int64 {
	return int64(v.loop.random.Float64() * 2 * float64(v.loop.mix.cfg.Life))
}

// come connects, while traffic flows.
func (v *mixVisitor) come(l *client.Loop) {
	m := v.loop.mix
	if client.Now() >= m.until.Load() {
		return
	}
	channel := m.channelOf(v.loop.random.IntN(m.cfg.Channels))
	spec := m.addr(v.index)
	var err error
	spec.Script, err = m.d.Subscriber(target.Claims{Peer: fmt.Sprintf("visitor-%06d", v.index)}, channel)
	if err != nil {
		m.refused.Add(1)
		return
	}
	spec.Handler = v
	l.Dial(spec)
}

// Ready implements client.Handler.
func (v *mixVisitor) Ready(c *client.Conn) {
	v.loop.mix.visits.Add(1)
	l := c.Loop
	l.At(client.Now()+v.life(), func() {
		c.Close()
		v.come(l)
	})
}

// Text implements client.Handler.
func (v *mixVisitor) Text(*client.Conn, []byte) {}

// Closed implements client.Handler. A visitor that fails comes again later.
func (v *mixVisitor) Closed(c *client.Conn, _ client.Cause) {
	v.loop.mix.refused.Add(1)
	if c.ReadyAt == 0 {
		l := c.Loop
		l.At(client.Now()+v.life(), func() { v.come(l) })
	}
}
