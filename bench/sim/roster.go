package sim

import (
	"fmt"
	"slices"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/result"
	"signalbox/bench/target"
	"signalbox/protocol"
)

// visit opens one session more, outside of those that are counted, and waits
// for the replies to its subscribes.
func (w *world) visit(l *loop, r role) (*conn, error) {
	token, err := w.token(r)
	if err != nil {
		return nil, err
	}
	c := &conn{loop: l}
	replies := newLatch(1 + len(r.channels))
	err = w.on(l, func() {
		l.hear = func(from *conn, kind client.Kind, _ int) {
			if from == c && (kind == client.Welcome || kind == client.Ack) {
				replies.done(1)
			}
		}
		l.connect(w, c, r, token)
	})
	if err == nil {
		err = w.wait(replies, nil)
	}
	if err == nil && r.watches() {
		err = w.fence(c)
	}
	if err != nil {
		return nil, err
	}
	return c, w.on(l, func() { l.hear = nil })
}

// fence waits until everything that is due to c has been written.
func (w *world) fence(c *conn) error {
	pong := newLatch(1)
	c.loop.do(func() {
		c.loop.hear = func(from *conn, kind client.Kind, _ int) {
			if from == c && kind == client.Pong {
				pong.done(1)
			}
		}
		c.loop.feed(c, client.AppendText(nil, []byte(`{"type":"ping"}`)))
	})
	return w.wait(pong, nil)
}

// roster looks at what a large roster costs: joins and leaves at its home and
// from another loop, unwatched and watched, and the snapshot for the watcher.
func (r *run) roster(w *world) error {
	loops := []*loop{w.loops[0]}
	if len(w.loops) > 1 {
		loops = append(loops, w.loops[1])
	}
	for _, l := range loops {
		at := "home"
		if l != w.loops[0] {
			at = "another"
		}
		label := func(what string) result.Row {
			return result.Row{}.Label("roster", w.count).Label("loop", at).Label("what", what)
		}
		r.progress("join and leave", 0, 0)
		if err := r.pairs(w, l, label("join and leave")); err != nil {
			return err
		}
		watcher, err := r.watch(w, l, label("snapshot"))
		if err != nil {
			return err
		}
		if err := r.pairs(w, l, label("join and leave, watched")); err != nil {
			return err
		}
		if err := w.on(l, func() { l.hangUp(watcher) }); err != nil {
			return err
		}
	}
	return nil
}

// watch opens a session that sees the roster and adds what its snapshot cost.
func (r *run) watch(w *world, l *loop, row result.Row) (*conn, error) {
	var c *conn
	s, err := w.measure(func() (err error) {
		c, err = w.visit(l, role{peer: "watcher", channels: []string{hall}})
		return err
	})
	if err != nil {
		return nil, err
	}
	r.add(Roster, row.Figure("CPU", "µs", micros(s.cpu)).
		Figure("time", "µs", micros(s.wall)).
		Figure("written", "MiB", float64(s.bytes)/mib).
		Figure("longest hold", "ms", millis(s.longest)).
		Figure("longest hold, CPU", "ms", millis(s.longestCPU)))
	return c, nil
}

const (
	// commuters is how many sessions join and leave at a time: enough that
	// what it costs to wake the other loop is shared by many.
	commuters = 64
	// maxPairs is how many joins and leaves are measured at most.
	maxPairs = 20_000
)

// pairs has sessions join and leave the hall again and again.
func (r *run) pairs(w *world, l *loop, row result.Row) error {
	p := &commute{loop: l, in: map[*conn]bool{}, left: newLatch(commuters)}
	for i := range commuters {
		c, err := w.visit(l, role{peer: fmt.Sprintf("commuter-%02d", i), permissions: unseeing})
		if err != nil {
			return err
		}
		p.conns = append(p.conns, c)
	}
	p.join = target.AppendSubscribe(nil, hall, "1")
	text := protocol.AppendString([]byte(`{"type":"unsubscribe","channel":`), hall)
	p.leave = client.AppendText(nil, append(text, `,"requestId":"1"}`...))
	s, err := w.measure(func() error {
		p.end = time.Now().Add(r.For)
		l.do(p.start)
		return w.wait(p.left, nil)
	})
	if err != nil {
		return err
	}
	r.add(Roster, row.Figure("CPU", "µs", perEach(s.cpu, p.pairs, time.Microsecond)).
		Figure("time", "µs", perEach(s.wall, p.pairs, time.Microsecond)).
		Figure("longest hold", "ms", millis(s.longest)).
		Figure("longest hold, CPU", "ms", millis(s.longestCPU)))
	return w.on(l, func() {
		l.hear = nil
		for _, c := range p.conns {
			l.hangUp(c)
		}
	})
}

// commute is sessions that join and leave the hall. Loop-owned while it runs.
type commute struct {
	loop        *loop
	conns       []*conn
	join, leave []byte // frames
	end         time.Time
	in          map[*conn]bool
	pairs       int64
	left        *latch // a count for each that has left for good
}

func (p *commute) start() {
	p.loop.hear = func(c *conn, kind client.Kind, _ int) {
		if _, ours := p.in[c]; ours && kind == client.Ack {
			p.acked(c)
		}
	}
	for _, c := range p.conns {
		p.in[c] = false
		p.feed(c, p.join)
	}
}

// feed sends a frame, with the next event.
func (p *commute) feed(c *conn, frame []byte) {
	p.loop.push(func() { p.loop.feed(c, slices.Clone(frame)) })
}

// acked goes on with the other of the two.
func (p *commute) acked(c *conn) {
	p.in[c] = !p.in[c]
	if p.in[c] {
		p.feed(c, p.leave)
		return
	}
	p.pairs++
	if p.pairs < maxPairs && time.Now().Before(p.end) {
		p.feed(c, p.join)
		return
	}
	p.left.done(1)
}
