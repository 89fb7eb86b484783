package sim

import (
	"slices"
	"time"

	"signalbox/bench/result"
)

// hall is the channel that all sessions share.
const hall = "hall"

// Permissions of sessions that are not to see the roster: a million snapshots
// of a million peers are no load to measure anything by.
var unseeing = []string{"subscribe", "publish", "send"}

// inHall is a session with a channel of its own that is in the hall, too.
func inHall(i int) role {
	name := peerName(i)
	return role{peer: name, channels: []string{hall, name}, permissions: unseeing}
}

// shared looks at a channel of all sessions: fan-out and roster.
func (r *run) shared() error {
	w, err := r.world(slices.Max(r.Sessions))
	if err != nil {
		return err
	}
	defer w.close()
	// The first is there before the others, so that the hall's home is the
	// first loop's.
	if err := r.grow(w, 1, inHall); err != nil {
		return err
	}
	publisher, err := w.visit(w.loops[0], role{peer: "publisher", permissions: unseeing})
	if err != nil {
		return err
	}
	for _, n := range r.Sessions {
		if err := r.grow(w, n, inHall); err != nil {
			return err
		}
		if r.has(FanOut) {
			if err := r.fanOut(w, publisher); err != nil {
				return err
			}
		}
		if r.has(Roster) {
			if err := r.roster(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// spread returns how many of n sessions each loop has.
func (w *world) spread(n int) []int {
	shares := make([]int, len(w.loops))
	for i := range shares {
		shares[i] = (n + len(w.loops) - 1 - i) / len(w.loops)
	}
	return shares
}

// fanOut publishes to all sessions, with and without garbage collections.
func (r *run) fanOut(w *world, publisher *conn) error {
	b := newBroadcast(w, publisher, "publisher", hall, r.Bytes, w.spread(w.count))
	for _, k := range r.InFlight {
		for _, collecting := range []bool{false, true} {
			r.progress("publish to all", 0, 0)
			var gc collection
			var work func() error
			if collecting {
				work = func() (err error) { gc, err = r.collect(); return err }
			}
			m, err := b.during(k, r.For, work)
			if err != nil {
				return err
			}
			row := result.Row{}.Label("sessions", w.count).Label("loops", len(w.loops)).Label("in flight", k).Label("collecting", collecting).
				Figure("deliveries", "1/s", float64(m.count)/m.wall.Seconds()).
				Figure("CPU a delivery", "ns", perEach(m.cpu, m.count, time.Nanosecond)).
				Figure("CPU a write", "ns", perEach(m.cpu, m.writes, time.Nanosecond)).
				Figure("time for a message in flight", "ms", perEach(m.wall, m.messages, time.Millisecond)*float64(k)).
				Figure("hold p99", "ms", millis(m.p99)).
				Figure("longest hold", "ms", millis(m.longest)).
				Figure("longest hold, CPU", "ms", millis(m.longestCPU))
			if collecting {
				row = r.collected(row, gc)
			}
			r.add(FanOut, row)
		}
	}
	return nil
}
