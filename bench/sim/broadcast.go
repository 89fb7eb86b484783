package sim

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"signalbox/bench/client"
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// broadcast is a client at the first loop that publishes to a channel all the
// time: as often as the subscribers take it, which they say in no time. No more
// than so many deliveries are under way as some messages to all of them are.
type broadcast struct {
	// Immutable after newBroadcast.
	w      *world
	conn   *conn   // the publisher; it is not subscribed
	frame  []byte  // masked
	shares []int64 // bytes of one message to all subscribers at a loop, by loop
	size   int64   // bytes of a delivered message, as a frame

	done    []atomic.Int64 // messages' worth of bytes delivered, by loop
	stopped atomic.Bool

	// Owned by the first loop.
	inFlight int64
	sent     int64
	burst    []byte
	idle     *latch // opens when stopped and all is delivered
}

// newBroadcast has conn, of the world's first loop, publish messages of so many
// bytes (as JSON) to a channel. subscribers are their numbers by loop.
func newBroadcast(w *world, conn *conn, from, channel string, bytes int, subscribers []int) *broadcast {
	overhead := len(protocol.AppendMessage(nil, channel, from, nil, []byte(`""`)))
	data := `"` + strings.Repeat("x", max(bytes-overhead, 1)) + `"`
	payload := len(protocol.AppendMessage(nil, channel, from, nil, []byte(data)))
	text := protocol.AppendString([]byte(`{"type":"publish","channel":`), channel)
	text = append(append(text, `,"data":`...), data...)
	b := &broadcast{
		w: w, conn: conn, frame: client.AppendText(nil, append(text, '}')),
		size: int64(frame.HeaderLen(payload) + payload), done: make([]atomic.Int64, len(subscribers)),
	}
	for _, n := range subscribers {
		b.shares = append(b.shares, int64(n)*b.size)
	}
	return b
}

// run publishes while f runs, and at least once, with so many messages in flight, and
// returns their number once all have been delivered.
func (b *broadcast) run(inFlight int, f func() error) (sent int64, err error) {
	b.inFlight, b.sent, b.idle = int64(inFlight), 0, newLatch(1)
	b.stopped.Store(false)
	err = b.w.each(func(l *loop) {
		from, told := l.bytes, int64(0)
		share, done := b.shares[l.index], &b.done[l.index]
		done.Store(0)
		l.after = func() {
			if share == 0 {
				return
			}
			if n := (l.bytes - from) / share; n != told {
				told = n
				done.Store(n)
				if l.index != 0 {
					b.w.loops[0].bell.ring()
				}
			}
		}
	})
	first := b.w.loops[0]
	if err == nil {
		err = b.w.on(first, func() { first.source = b.next })
	}
	if err != nil {
		return 0, err
	}
	fault := f()
	b.stopped.Store(true)
	first.bell.ring()
	if err := b.w.wait(b.idle, nil); err != nil {
		return b.sent, err
	}
	if err := b.w.each(func(l *loop) { l.after = nil }); err != nil {
		return b.sent, err
	}
	return b.sent, fault
}

// next is the source of the first loop's events: the publishes that may go out.
func (b *broadcast) next() func() {
	delivered := b.sent
	for i, share := range b.shares {
		if share > 0 {
			delivered = min(delivered, b.done[i].Load())
		}
	}
	if b.stopped.Load() && b.sent > 0 {
		if delivered == b.sent {
			b.w.loops[0].source = nil
			b.idle.done(1)
		}
		return nil
	}
	room := b.inFlight - (b.sent - delivered)
	if room <= 0 {
		return nil
	}
	return func() {
		b.burst = b.burst[:0]
		for range room {
			b.burst = append(b.burst, b.frame...)
		}
		b.sent += room
		b.w.loops[0].feed(b.conn, b.burst)
	}
}

// deliveries is a measured broadcast.
type deliveries struct {
	span
	messages, count int64
}

// during measures the broadcast for d; work, if not nil, runs meanwhile.
func (b *broadcast) during(inFlight int, d time.Duration, work func() error) (m deliveries, err error) {
	m.span, err = b.w.measure(func() error {
		m.messages, err = b.run(inFlight, func() error {
			end := time.After(d)
			if work != nil {
				if err := work(); err != nil {
					return err
				}
			}
			select {
			case <-end:
				return nil
			case <-b.w.ctx.Done():
				return b.w.ctx.Err()
			}
		})
		return err
	})
	var each int64
	for _, share := range b.shares {
		each += share
	}
	m.count = m.messages * (each / b.size)
	if err == nil && m.bytes != m.count*b.size {
		return m, fmt.Errorf("sim: %d bytes were delivered of %d messages to %d subscribers, not %d", m.bytes, m.messages, each/b.size, m.count*b.size)
	}
	return m, err
}
