package sim

import (
	"slices"
	"time"

	"signalbox/bench/load"
	"signalbox/bench/result"
)

// ownChannel is a session as the memory target has it.
func ownChannel(i int) role {
	name := peerName(i)
	return role{peer: name, channels: []string{name}}
}

// sessions looks at what sessions hold and cost that do nothing.
func (r *run) sessions() error {
	w, err := r.world(slices.Max(r.Sessions))
	if err != nil {
		return err
	}
	defer w.close()
	empty := readHeap(r.Profile)
	last := empty
	var x, y []float64
	for _, n := range r.Sessions {
		before := w.count
		opened, err := w.measure(func() error { return r.grow(w, n, ownChannel) })
		if err != nil {
			return err
		}
		now := readHeap(r.Profile)
		gc, err := r.collect()
		if err != nil {
			return err
		}
		idle, err := r.idle(w)
		if err != nil {
			return err
		}
		row := result.Row{}.Label("sessions", n).
			Figure("heap", "B/session", float64(now.bytes-empty.bytes)/float64(n)).
			Figure("heap, those added", "B/session", float64(now.bytes-last.bytes)/float64(n-before)).
			Figure("objects", "1/session", float64(now.objects-empty.objects)/float64(n)).
			Figure("connects", "1/s", float64(n-before)/opened.wall.Seconds()).
			Figure("CPU a connect", "µs", perEach(opened.cpu, int64(n-before), time.Microsecond)).
			Figure("longest hold connecting", "ms", millis(opened.longest)).
			Figure("longest hold connecting, CPU", "ms", millis(opened.longestCPU)).
			Figure("CPU a sweep of one loop", "µs", perEach(idle.cpu, idle.turns, time.Microsecond)).
			Figure("longest hold idle", "ms", millis(idle.longest)).
			Figure("loop cores idle", "%", 100*idle.cpu.Seconds()/idle.wall.Seconds()).
			Figure("pings", "1/s", float64(idle.pings)/idle.wall.Seconds())
		r.add(Sessions, r.collected(row, gc))
		if r.Profile {
			r.profile(n, empty, now)
		}
		x, y, last = append(x, float64(n)), append(y, float64(now.bytes)), now
	}
	if len(x) > 1 {
		r.add(Sessions, result.Row{}.Label("sessions", "slope").Figure("heap", "B/session", load.Slope(x, y)))
	}
	return r.leave(w)
}

// collected adds what garbage collections cost.
func (r *run) collected(row result.Row, gc collection) result.Row {
	row = row.Figure("GC CPU a cycle", "ms", perEach(gc.cpu, int64(gc.cycles), time.Millisecond)).
		Figure("GC cycle", "ms", perEach(gc.wall, int64(gc.cycles), time.Millisecond)).
		Figure("GC pause, p50", "µs", micros(gc.pauses.at(50))).
		Figure("p99", "µs", micros(gc.pauses.at(99))).
		Figure("max", "µs", micros(gc.pauses.at(100)))
	if r.Stall != nil {
		row = row.Figure("longest stall of the machine", "µs", micros(gc.stall)).
			Figure("pauses in calm cycles", "", float64(gc.calm.count()))
		if gc.calm.count() > 0 {
			row = row.Figure("calm p99", "µs", micros(gc.calm.at(99))).
				Figure("calm max", "µs", micros(gc.calm.at(100)))
		}
	}
	return row
}

// idle watches a world that has nothing to do.
func (r *run) idle(w *world) (span, error) {
	return w.measure(func() error { return load.Sleep(r.ctx, idleTime) })
}

// leave has all sessions close at once, and looks at what that costs.
func (r *run) leave(w *world) error {
	n := w.count
	closed, err := w.measure(func() error {
		return w.hangUp(func(done int) { r.progress("close sessions", done, n) })
	})
	if err != nil {
		return err
	}
	r.add(Sessions, result.Row{}.Label("sessions", "close").
		Figure("CPU a close", "µs", perEach(closed.cpu, int64(n), time.Microsecond)).
		Figure("longest hold closing", "ms", millis(closed.longest)).
		Figure("longest hold closing, CPU", "ms", millis(closed.longestCPU)))
	return nil
}

// leastProfiled is the least that a profile tells of, in bytes a session.
const leastProfiled = 0.5

// profile tells which places have allocated what n sessions hold.
func (r *run) profile(n int, empty, now heap) {
	for _, s := range now.growth(empty) {
		if each := float64(s.bytes) / float64(n); each >= leastProfiled {
			r.add("profile", result.Row{}.Label("sessions", n).Label("allocated by", s.name).Figure("heap", "B/session", each))
		}
	}
}
