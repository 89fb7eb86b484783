package sim

import (
	"errors"
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
		Figure("its CPU at most", "ms", millis(s.longestCPU)))
	return c, nil
}

// maxPairs is how many joins and leaves are measured at most.
const maxPairs = 2000

// pairs has one session join and leave the hall again and again.
func (r *run) pairs(w *world, l *loop, row result.Row) error {
	c, err := w.visit(l, role{peer: "visitor", permissions: unseeing})
	if err != nil {
		return err
	}
	p := &commuter{conn: c, left: newLatch(1)}
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
	if p.pairs == 0 {
		return errors.New("sim: nobody has joined and left")
	}
	r.add(Roster, row.Figure("CPU", "µs", perEach(s.cpu, p.pairs, time.Microsecond)).
		Figure("time", "µs", perEach(s.wall, p.pairs, time.Microsecond)).
		Figure("longest hold", "ms", millis(s.longest)).
		Figure("its CPU at most", "ms", millis(s.longestCPU)))
	return w.on(l, func() { l.hangUp(c) })
}

// commuter joins and leaves the hall. Loop-owned.
type commuter struct {
	conn        *conn
	join, leave []byte // frames
	end         time.Time
	in          bool
	pairs       int64
	left        *latch // opens at the end
}

func (p *commuter) start() {
	p.conn.loop.hear = func(c *conn, kind client.Kind, _ int) {
		if c == p.conn && kind == client.Ack {
			p.acked()
		}
	}
	p.feed(p.join)
}

// feed sends a frame, with the next event.
func (p *commuter) feed(frame []byte) {
	l := p.conn.loop
	l.push(func() { l.feed(p.conn, slices.Clone(frame)) })
}

// acked goes on with the other of the two.
func (p *commuter) acked() {
	if p.in = !p.in; p.in {
		p.feed(p.leave)
		return
	}
	p.pairs++
	if p.pairs < maxPairs && time.Now().Before(p.end) {
		p.feed(p.join)
		return
	}
	p.conn.loop.hear = nil
	p.left.done(1)
}
