package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/target"
)

// StreamConfig describes a channel under a paced load.
type StreamConfig struct {
	Channel     string
	Subscribers int
	Bytes       int // of a delivered message's payload
	Sources     Sources
	Ramp        client.Ramp
}

// Stream is a channel with subscribers and one publisher that sends at a steady
// rate, whatever the server does. Its methods are for one goroutine, but for
// the counts.
type Stream struct {
	// Immutable after open.
	fleet  *client.Fleet
	cfg    StreamConfig
	d      target.Dialect
	loops  []*streamLoop
	source *streamSource

	// Any goroutine (atomic).
	from      atomic.Int64 // stamps from here on count, as client.Now
	delivered atomic.Uint64
	losses
}

// streamLoop is the part of one client loop. It is loop-owned.
type streamLoop struct {
	stream *Stream
	times  Histogram
}

// streamSource is the publisher. It is loop-owned.
type streamSource struct {
	stream  *Stream
	conn    *client.Conn
	pacer   Pacer
	sent    int
	end     int64 // nothing is due from here on, as client.Now
	lag     Histogram
	data    []byte
	message []byte
	doneC   chan struct{}
}

// OpenStream connects subscribers and the publisher, which has a loop of its
// own if there are several.
func OpenStream(ctx context.Context, fleet *client.Fleet, t *target.Target, cfg StreamConfig) (*Stream, error) {
	s := &Stream{fleet: fleet, cfg: cfg, d: t.Dialect}
	for range fleet.Size() {
		s.loops = append(s.loops, &streamLoop{stream: s})
	}
	s.source = &streamSource{stream: s, doneC: make(chan struct{}, 1)}
	specs := make([]client.Spec, 0, cfg.Subscribers+1)
	for i := range cfg.Subscribers {
		spec, err := s.member(t, i)
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	script, err := t.Dialect.Visit(publisherName(0), cfg.Channel)
	if err != nil {
		return nil, err
	}
	specs = append(specs, client.Spec{Index: cfg.Subscribers, Addr: t.Addr, Source: cfg.Sources.At(cfg.Subscribers),
		Script: script, Handler: s.source})
	return s, fleet.Open(ctx, cfg.Ramp, specs).Err()
}

func (s *Stream) member(t *target.Target, i int) (client.Spec, error) {
	script, err := t.Dialect.Join(fmt.Sprintf("sub-%06d", i), s.cfg.Channel)
	loop := 0
	if n := s.fleet.Size(); n > 1 {
		loop = 1 + i%(n-1)
	}
	return client.Spec{Index: i, Loop: loop, Addr: t.At(i), Source: s.cfg.Sources.At(i), Script: script, Handler: s.loops[loop]}, err
}

// Phase is what a while of paced load has shown.
type Phase struct {
	Took      time.Duration // of what counts; pairs only
	Published int
	Delivered uint64
	Missing   int64     // deliveries that had not come when the phase ended
	Times     Histogram // from when a message was due until it had come
	Lag       Histogram // from when it was due until it left: the client's own delay
}

// ErrMissing is the fault of a phase of which something has not come. That is in
// none of its percentiles, which are too good.
var ErrMissing = errors.New("have not come")

// Complete wraps ErrMissing if something has not come.
func (p Phase) Complete() error {
	if p.Missing == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d %w within %s", p.Missing, p.Missing+int64(p.Delivered), ErrMissing, arriveLimit)
}

// Run publishes rate messages a second for d after a warm-up, or until ctx is
// done, waits until all that counts has arrived, and returns what was seen of the
// messages due after the warm-up.
func (s *Stream) Run(ctx context.Context, rate float64, warmUp, d time.Duration) (Phase, error) {
	start := client.Now() + int64(startLead)
	pacer := paceTo(start, start+int64(warmUp), rate)
	s.from.Store(start + int64(warmUp))
	s.delivered.Store(0)
	s.fleet.Each(func(l *client.Loop) { s.loops[l.Index].times = Histogram{} })
	home := s.fleet.Loop(0)
	home.Post(func() { s.source.begin(home, pacer, start+int64(warmUp+d)) })

	var err error
	select {
	case <-s.source.doneC:
	case <-ctx.Done():
		home.Post(func() { s.source.end = 0 })
		<-s.source.doneC
		err = ctx.Err()
	}
	// What was due, or, if it was cut short, what was sent until then.
	phase := Phase{Published: max(0, s.source.sent-pacer.Due(start+int64(warmUp)-1))}
	s.arrive(uint64(phase.Published * s.cfg.Subscribers))
	phase.Delivered = s.delivered.Load()
	phase.Missing = int64(phase.Published*s.cfg.Subscribers) - int64(phase.Delivered)
	s.collect(&phase)
	return phase, errors.Join(err, s.Err())
}

// collect takes the histograms from their loops.
func (s *Stream) collect(phase *Phase) {
	times := make([]Histogram, len(s.loops))
	s.fleet.Each(func(l *client.Loop) {
		part := s.loops[l.Index]
		times[l.Index], part.times = part.times, Histogram{}
		if l.Index == 0 {
			phase.Lag, s.source.lag = s.source.lag, Histogram{}
		}
	})
	for i := range times {
		phase.Times.Merge(&times[i])
	}
}

const (
	// startLead is the time from the start of a phase to its first message.
	startLead = 10 * time.Millisecond
	// arriveLimit is how long the last deliveries may take. It is counted in looks at
	// them: while the machine stands still there is none.
	arriveLimit = 10 * time.Second
	arrivePoll  = 10 * time.Millisecond
	arrivePolls = int(arriveLimit / arrivePoll)
)

// arrive waits until the wanted deliveries are there, or arriveLimit is over, or
// a connection is lost: what is missing then is for the caller to see.
func (s *Stream) arrive(wanted uint64) {
	arrive(func() bool { return s.delivered.Load() >= wanted || s.Err() != nil })
}

// arrive waits until all is there, at most arriveLimit. That is not cut short by
// a context: what was sent before its end is to be accounted for as well.
func arrive(there func() bool) {
	for range arrivePolls {
		if there() {
			return
		}
		time.Sleep(arrivePoll)
	}
}

// Delivered is the number of deliveries of this phase that count.
func (s *Stream) Delivered() uint64 { return s.delivered.Load() }

// begin starts a phase, on the publisher's loop.
func (p *streamSource) begin(l *client.Loop, pacer Pacer, end int64) {
	p.pacer, p.end, p.sent, p.lag = pacer, end, 0, Histogram{}
	l.At(pacer.At(0), func() { p.tick(l) })
}

// tick publishes what is due and sets the time of the next one.
func (p *streamSource) tick(l *client.Loop) {
	now := client.Now()
	from := p.stream.from.Load()
	for due := p.pacer.Due(min(now, p.end-1)); p.sent < due; p.sent++ {
		at := p.pacer.At(p.sent)
		p.publish(at)
		if at >= from {
			p.lag.Record(now - at)
		}
	}
	if next := p.pacer.At(p.sent); next < p.end {
		l.At(next, func() { p.tick(l) })
	} else {
		p.doneC <- struct{}{}
	}
}

func (p *streamSource) publish(at int64) {
	s := p.stream
	size := max(client.MinData, s.cfg.Bytes-s.d.Overhead(s.cfg.Channel, publisherName(0)))
	p.data = client.AppendData(p.data[:0], size, client.Stamp{At: at})
	p.message = s.d.AppendPublish(p.message[:0], s.cfg.Channel, p.data)
	p.conn.Send(p.message)
}

// Ready implements client.Handler.
func (p *streamSource) Ready(c *client.Conn) { p.conn = c }

// Text implements client.Handler.
func (p *streamSource) Text(*client.Conn, []byte) {}

// Closed implements client.Handler.
func (p *streamSource) Closed(c *client.Conn, why client.Cause) { p.stream.ended(c, why) }

// Ready implements client.Handler.
func (l *streamLoop) Ready(*client.Conn) {}

// Text implements client.Handler: it notes a delivery.
func (l *streamLoop) Text(c *client.Conn, payload []byte) {
	stamp, ok := client.ReadStamp(payload, l.stream.d.Closers())
	if !ok || stamp.At < l.stream.from.Load() {
		return
	}
	l.times.Record(c.Loop.ReadAt() - stamp.At)
	l.stream.delivered.Add(1)
}

// Closed implements client.Handler.
func (l *streamLoop) Closed(c *client.Conn, why client.Cause) { l.stream.ended(c, why) }
