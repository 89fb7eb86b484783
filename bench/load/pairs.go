package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/target"
	"signalbox/protocol"
)

// PairsConfig describes peers that send to each other, two by two.
type PairsConfig struct {
	Pairs   int
	Bytes   int // of a delivered message's payload
	Sources Sources
	Ramp    client.Ramp
}

// Pairs are peers that send to each other: one asks, the other answers. Its
// methods are for one goroutine, but for the counts.
type Pairs struct {
	// Immutable after open.
	fleet *client.Fleet
	cfg   PairsConfig
	size  int // of a message's data
	loops []*pairLoop

	// Any goroutine (atomic).
	from   atomic.Int64 // what was asked from here on counts, as client.Now
	until  atomic.Int64 // nothing is asked from here on
	closed atomic.Bool  // the next question follows the answer
	asked  atomic.Uint64
	trips  atomic.Uint64
	losses
}

// pairLoop is the part of one client loop. It is loop-owned.
type pairLoop struct {
	pairs  *Pairs
	askers []*asker
	pacer  Pacer
	sent   int
	times  Histogram
	lag    Histogram
	data   []byte
	frame  []byte
}

// asker asks, and answerer answers. The stamp's slot is the pair's number.
type asker struct {
	loop  *pairLoop
	index int
	conn  *client.Conn
}

type answerer struct {
	loop  *pairLoop
	index int
}

// Both have names of one length, so that all messages are.
func askerName(i int) string    { return fmt.Sprintf("ask-%06d", i) }
func answererName(i int) string { return fmt.Sprintf("ans-%06d", i) }

// errDialect is the fault of a server that has no direct messages.
var errDialect = errors.New("load: only this project's server has direct messages")

// OpenPairs connects the peers.
func OpenPairs(ctx context.Context, fleet *client.Fleet, t *target.Target, cfg PairsConfig) (*Pairs, error) {
	d := t.Signalbox()
	if d == nil {
		return nil, errDialect
	}
	overhead := len(protocol.AppendDirect(nil, askerName(0), nil, nil))
	p := &Pairs{fleet: fleet, cfg: cfg, size: max(client.MinData, cfg.Bytes-overhead)}
	for range fleet.Size() {
		p.loops = append(p.loops, &pairLoop{pairs: p})
	}
	var specs []client.Spec
	add := func(name string, loop int, handler client.Handler) error {
		script, err := d.Peer(target.Claims{Peer: name, Permissions: []string{"send"}})
		n := len(specs)
		specs = append(specs, client.Spec{Index: n, Loop: loop, Addr: t.At(n), Source: cfg.Sources.At(n), Script: script, Handler: handler})
		return err
	}
	for i := range cfg.Pairs {
		// The two are on different loops, if there are: a round trip crosses.
		ask, answer := i%fleet.Size(), (i+1)%fleet.Size()
		a := &asker{loop: p.loops[ask], index: i}
		p.loops[ask].askers = append(p.loops[ask].askers, a)
		err := errors.Join(add(askerName(i), ask, a), add(answererName(i), answer, &answerer{loop: p.loops[answer], index: i}))
		if err != nil {
			return nil, err
		}
	}
	return p, fleet.Open(ctx, cfg.Ramp, specs).Err()
}

// Run has the pairs ask for d after a warm-up: rate questions a second in all,
// or, if that is 0, the next one as soon as the answer is there. Published is
// what was asked after the warm-up. If ctx ends it, the phase is that until then.
func (p *Pairs) Run(ctx context.Context, rate float64, warmUp, d time.Duration) (Phase, error) {
	start := client.Now() + int64(startLead)
	from := start + int64(warmUp)
	asking := p.start(rate, start, from, from+int64(d))
	stop := context.AfterFunc(ctx, func() { p.until.Store(0) })
	asking.Wait()
	took := time.Duration(max(0, min(client.Now()-from, int64(d))))
	stop()
	phase, err := p.finish(took)
	return phase, errors.Join(ctx.Err(), err)
}

// During has the pairs ask while do runs: rate questions a second in all.
func (p *Pairs) During(rate float64, do func() error) (Phase, error) {
	start := client.Now()
	asking := p.start(rate, start, start, math.MaxInt64)
	err := do()
	end := client.Now()
	p.until.Store(end)
	asking.Wait()
	phase, fault := p.finish(time.Duration(end - start))
	return phase, errors.Join(err, fault)
}

// start has the pairs ask from start until a time; what is asked from another time
// on counts.
func (p *Pairs) start(rate float64, start, from, until int64) *sync.WaitGroup {
	p.asked.Store(0)
	p.trips.Store(0)
	p.from.Store(from)
	p.until.Store(until)
	p.closed.Store(rate == 0)
	asking := new(sync.WaitGroup)
	p.fleet.Each(func(l *client.Loop) {
		part := p.loops[l.Index]
		part.times, part.lag, part.sent = Histogram{}, Histogram{}, 0
		if share := float64(len(part.askers)) / float64(p.cfg.Pairs); share > 0 {
			asking.Add(1)
			if rate > 0 {
				part.pacer = paceTo(start, from, share*rate)
			}
			l.At(start, func() { part.begin(l, rate == 0, asking.Done) })
		}
	})
	return asking
}

// finish waits for the last answers and returns what was asked in a while.
func (p *Pairs) finish(took time.Duration) (Phase, error) {
	phase := Phase{Took: took, Published: int(p.asked.Load())}
	arrive(func() bool { return p.trips.Load() >= uint64(phase.Published) || p.Err() != nil })
	phase.Delivered = p.trips.Load()
	phase.Missing = int64(phase.Published) - int64(phase.Delivered)
	p.collect(&phase)
	return phase, p.Err()
}

// collect takes the histograms from their loops.
func (p *Pairs) collect(phase *Phase) {
	times, lags := make([]Histogram, len(p.loops)), make([]Histogram, len(p.loops))
	p.fleet.Each(func(l *client.Loop) {
		part := p.loops[l.Index]
		times[l.Index], part.times = part.times, Histogram{}
		lags[l.Index], part.lag = part.lag, Histogram{}
	})
	for i := range times {
		phase.Times.Merge(&times[i])
		phase.Lag.Merge(&lags[i])
	}
}

// Trips is the number of round trips of this phase that count.
func (p *Pairs) Trips() uint64 { return p.trips.Load() }

// begin asks: in a closed loop one question a pair, and otherwise what is due.
// done is called when nothing is left to ask.
func (l *pairLoop) begin(loop *client.Loop, closed bool, done func()) {
	if !closed {
		l.tick(loop, done)
		return
	}
	l.askAll(client.Now())
	l.rest(loop, done)
}

// askAll asks a question a pair.
func (l *pairLoop) askAll(now int64) {
	for _, a := range l.askers {
		a.ask(now)
	}
}

// rest calls done once nothing more is to be asked: at the end, which may be
// called earlier than was said.
func (l *pairLoop) rest(loop *client.Loop, done func()) {
	now, until := client.Now(), l.pairs.until.Load()
	if now >= until {
		// Should all of the time have passed over a question from before it.
		if until > 0 && l.pairs.asked.Load() == 0 {
			l.askAll(now)
		}
		done()
		return
	}
	loop.At(min(until, now+int64(arrivePoll)), func() { l.rest(loop, done) })
}

// tick asks what is due, the pairs in turn, and sets the time of the next one.
func (l *pairLoop) tick(loop *client.Loop, done func()) {
	now, until := client.Now(), l.pairs.until.Load()
	for due := l.pacer.Due(min(now, until-1)); l.sent < due; l.sent++ {
		at := l.pacer.At(l.sent)
		l.askers[l.sent%len(l.askers)].ask(at)
		l.lag.Record(now - at)
	}
	if next := l.pacer.At(l.sent); next < until {
		loop.At(next, func() { l.tick(loop, done) })
	} else {
		done()
	}
}

// send has a connection send a message to a peer.
func (l *pairLoop) send(c *client.Conn, to string, s client.Stamp) {
	l.data = client.AppendData(l.data[:0], l.pairs.size, s)
	l.frame = target.AppendSend(l.frame[:0], to, l.data)
	c.Send(l.frame)
}

// ask asks what was due at a time.
func (a *asker) ask(at int64) {
	if at >= a.loop.pairs.from.Load() {
		a.loop.pairs.asked.Add(1)
	}
	a.loop.send(a.conn, answererName(a.index), client.Stamp{Slot: uint32(a.index), At: at})
}

// Ready implements client.Handler.
func (a *asker) Ready(c *client.Conn) { a.conn = c }

// Text implements client.Handler: it takes the answer.
func (a *asker) Text(c *client.Conn, payload []byte) {
	stamp, ok := client.ReadStamp(payload, 1)
	if !ok {
		return
	}
	p, now := a.loop.pairs, c.Loop.ReadAt()
	if stamp.At >= p.from.Load() {
		a.loop.times.Record(now - stamp.At)
		p.trips.Add(1)
	}
	// By the clock and not by when it was read: after rest there is no question.
	if p.closed.Load() && client.Now() < p.until.Load() {
		a.ask(now)
	}
}

// Closed implements client.Handler.
func (a *asker) Closed(c *client.Conn, why client.Cause) { a.loop.pairs.ended(c, why) }

// Ready implements client.Handler.
func (*answerer) Ready(*client.Conn) {}

// Text implements client.Handler: it answers.
func (a *answerer) Text(c *client.Conn, payload []byte) {
	if stamp, ok := client.ReadStamp(payload, 1); ok {
		a.loop.send(c, askerName(a.index), stamp)
	}
}

// Closed implements client.Handler.
func (a *answerer) Closed(c *client.Conn, why client.Cause) { a.loop.pairs.ended(c, why) }
