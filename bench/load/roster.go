package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/target"
)

// RosterConfig describes peers that join one channel and follow its presence.
type RosterConfig struct {
	Channel string
	Peers   int
	Sources Sources
	Ramp    client.Ramp
}

// Roster is a channel whose members each keep the roster as they are told of it.
// Its methods are for one goroutine, but for the counts.
type Roster struct {
	// Immutable after open.
	fleet   *client.Fleet
	channel string
	loops   []*rosterLoop

	// Any goroutine (atomic).
	wanted atomic.Int64 // others in a roster that is right
	frames atomic.Uint64
	bytes  atomic.Uint64
	right  atomic.Int64 // members whose roster is right
	rightC chan struct{}
	goal   atomic.Int64 // members that are to have it right
	losses
	fault atomic.Pointer[string]
}

// rosterLoop is the part of one client loop. It is loop-owned.
type rosterLoop struct {
	roster  *Roster
	members []*member
	joins   Histogram // from when a member was to be dialled until it was in
}

// member is one peer. It is loop-owned.
type member struct {
	roster *Roster
	loop   *rosterLoop
	index  int
	conn   *client.Conn
	seen   []uint64 // bit i: peer i is there
	count  int      // bits set
	right  bool
	left   bool // it has vanished
}

// Names of members are of one length and need no escaping.
const (
	memberPrefix = "member-"
	memberDigits = 6
)

func memberName(i int) string { return fmt.Sprintf("%s%0*d", memberPrefix, memberDigits, i) }

// NewRoster prepares a channel.
func NewRoster(fleet *client.Fleet, cfg RosterConfig) *Roster {
	r := &Roster{fleet: fleet, channel: cfg.Channel, rightC: make(chan struct{}, 1)}
	for i := range fleet.Size() {
		l := &rosterLoop{roster: r}
		for n := i; n < cfg.Peers; n += fleet.Size() {
			l.members = append(l.members, &member{roster: r, loop: l, index: n, seen: make([]uint64, (cfg.Peers+63)/64)})
		}
		r.loops = append(r.loops, l)
	}
	r.expect(cfg.Peers)
	return r
}

// expect says how many members there are to be.
func (r *Roster) expect(members int) {
	r.right.Store(0)
	r.goal.Store(int64(members))
	r.wanted.Store(int64(members - 1))
}

// Join connects all members and subscribes them.
func (r *Roster) Join(ctx context.Context, t *target.Target, cfg RosterConfig) error {
	d := t.Signalbox()
	if d == nil {
		return errors.New("load: only this project's server has presence")
	}
	specs := make([]client.Spec, cfg.Peers)
	for _, l := range r.loops {
		for _, m := range l.members {
			script, err := d.Subscriber(target.Claims{Peer: memberName(m.index), Permissions: []string{"subscribe", "presence"}}, r.channel)
			if err != nil {
				return err
			}
			specs[m.index] = client.Spec{Index: m.index, Loop: m.index % r.fleet.Size(), Addr: t.At(m.index),
				Source: cfg.Sources.At(m.index), Script: script, Handler: m}
		}
	}
	return r.fleet.Open(ctx, cfg.Ramp, specs).Err()
}

// Leave has members from..to vanish: their sockets close, as those of killed clients
// do. Those before from stay and must hear of it.
func (r *Roster) Leave(from, to int) {
	r.expect(from)
	// First all loops learn what is right now, then the first member leaves.
	r.fleet.Each(func(l *client.Loop) {
		for _, m := range r.loops[l.Index].members {
			m.left = m.index >= from && m.index < to
			m.right = false
			m.judge()
		}
	})
	r.fleet.Each(func(l *client.Loop) {
		for _, m := range r.loops[l.Index].members {
			if m.left {
				m.conn.Close()
			}
		}
	})
}

// Settle waits until every roster is right, or cannot become so.
func (r *Roster) Settle(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := time.NewTicker(arrivePoll)
	defer t.Stop()
	for r.right.Load() < r.goal.Load() && r.Err() == nil {
		select {
		case <-r.rightC:
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d rosters are right: %w", r.right.Load(), r.goal.Load(), errors.Join(ctx.Err(), r.Err()))
		}
	}
	return r.Err()
}

// Joins are how long joins took, each from when it was due.
func (r *Roster) Joins() *Histogram {
	all := &Histogram{}
	parts := make([]Histogram, len(r.loops))
	r.fleet.Each(func(l *client.Loop) { parts[l.Index].Merge(&r.loops[l.Index].joins) })
	for i := range parts {
		all.Merge(&parts[i])
	}
	return all
}

// Traffic is the number of presence frames received, and their bytes.
func (r *Roster) Traffic() (frames, bytes uint64) { return r.frames.Load(), r.bytes.Load() }

// Goal is the number of members that are to have it right.
func (r *Roster) Goal() int { return int(r.goal.Load()) }

// Right is the number of members whose roster is right.
func (r *Roster) Right() int { return int(r.right.Load()) }

// Err tells whether connections have been lost or presence was wrong.
func (r *Roster) Err() error {
	if fault := r.fault.Load(); fault != nil {
		return errors.New(*fault)
	}
	return r.losses.Err()
}

func (r *Roster) wrong(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.fault.CompareAndSwap(nil, &text)
}

// judge counts the member's roster if it has become right or wrong.
func (m *member) judge() {
	right := !m.left && m.exact(int(m.roster.wanted.Load()))
	if right == m.right {
		return
	}
	m.right = right
	if !right {
		m.roster.right.Add(-1)
		return
	}
	if m.roster.right.Add(1) == m.roster.goal.Load() {
		select {
		case m.roster.rightC <- struct{}{}:
		default:
		}
	}
}

// exact reports whether the roster is the first others+1 members but for the
// member itself.
func (m *member) exact(others int) bool {
	if m.count != others {
		return false
	}
	for i := others + 1; i < 64*len(m.seen); i++ {
		if m.seen[i/64]&(1<<(i%64)) != 0 {
			return false
		}
	}
	return true
}

// Ready implements client.Handler. A roster of none is right from the start, so
// only the snapshot counts.
func (m *member) Ready(c *client.Conn) {
	m.conn = c
	m.loop.joins.Record(c.ReadyAt - c.DueAt)
}

// Text implements client.Handler: it follows presence.
func (m *member) Text(_ *client.Conn, payload []byte) {
	if client.KindOf(payload) != client.Presence {
		return
	}
	m.roster.frames.Add(1)
	m.roster.bytes.Add(uint64(len(payload)))
	border := bytes.Index(payload, leftMember)
	if border < 0 {
		m.roster.wrong("a presence frame without %s", leftMember)
		return
	}
	m.each(payload[:border], func(word int, bit uint64) { m.seen[word] |= bit })
	m.each(payload[border:], func(word int, bit uint64) { m.seen[word] &^= bit })
	m.count = 0
	for _, word := range m.seen {
		m.count += bits.OnesCount64(word)
	}
	m.judge()
}

var (
	leftMember = []byte(`"left":[`)
	peerMember = []byte(`"peerId":"` + memberPrefix)
)

// each calls do for every peer named in a list.
func (m *member) each(list []byte, do func(word int, bit uint64)) {
	for {
		i := bytes.Index(list, peerMember)
		if i < 0 {
			return
		}
		list = list[i+len(peerMember):]
		n, ok := readDecimal(list, memberDigits)
		if !ok || n >= 64*len(m.seen) {
			m.roster.wrong("presence names an unknown peer")
			return
		}
		if n == m.index {
			m.roster.wrong("presence tells a peer of itself")
		}
		do(n/64, 1<<(n%64))
	}
}

// readDecimal reads a number of so many digits.
func readDecimal(text []byte, digits int) (n int, ok bool) {
	if len(text) < digits {
		return 0, false
	}
	for _, d := range text[:digits] {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = 10*n + int(d-'0')
	}
	return n, true
}

// Closed implements client.Handler.
func (m *member) Closed(c *client.Conn, why client.Cause) { m.roster.ended(c, why) }
