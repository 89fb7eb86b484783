package sim

import (
	"fmt"
	"time"

	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// onlyHall is a session that is in the hall alone.
func onlyHall(i int) role {
	return role{peer: peerName(i), channels: []string{hall}, permissions: unseeing}
}

// lane is a world of some loops and what the rounds have shown in it.
type lane struct {
	w     *world
	b     *broadcast
	loops int
}

// lane makes a world of so many loops that share the subscribers.
func (r *run) lane(loops int) (*lane, error) {
	w, err := newWorld(r.ctx, worldConfig{loops: loops, sessions: r.Subscribers, pin: r.Pin})
	if err != nil {
		return nil, err
	}
	c, err := w.visit(w.loops[0], role{peer: "publisher", permissions: unseeing})
	if err == nil {
		err = r.grow(w, r.Subscribers, onlyHall)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return &lane{w, newBroadcast(w, c, "publisher", hall, r.Bytes, w.spread(w.count)), loops}, nil
}

// scale compares the same fan-out with different numbers of loops, in turn.
func (r *run) scale() error {
	if cores, err := target.Cores(); err == nil {
		for _, n := range r.Loops {
			if n >= len(cores) {
				r.record.Note("%d loops and %d cores: what else there is to do takes from the loops", n, len(cores))
			}
		}
	}
	var lanes []*lane
	defer func() {
		for _, l := range lanes {
			l.w.close()
		}
	}()
	for _, n := range r.Loops {
		l, err := r.lane(n)
		if err != nil {
			return err
		}
		lanes = append(lanes, l)
	}
	for _, cost := range r.WriteCosts {
		rounds := roundsFor(cost)
		for _, l := range lanes {
			if err := l.w.each(func(l *loop) { l.cost = rounds }); err != nil {
				return err
			}
		}
		for _, k := range r.InFlight {
			if err := r.compare(lanes, k, cost); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare measures the lanes in turn, with k messages in flight.
func (r *run) compare(lanes []*lane, k int, cost time.Duration) error {
	rates, each, busy := make([][]float64, len(lanes)), make([][]float64, len(lanes)), make([][]float64, len(lanes))
	for round := range r.Rounds {
		r.progress(fmt.Sprintf("scale, %d in flight, %v a write", k, cost), round, r.Rounds)
		for i, l := range lanes {
			m, err := l.b.during(k, r.For, nil)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], float64(m.count)/m.wall.Seconds())
			each[i] = append(each[i], perEach(m.cpu, m.writes, time.Nanosecond))
			busy[i] = append(busy[i], 100*m.cpu.Seconds()/m.wall.Seconds()/float64(l.loops))
		}
	}
	for i, l := range lanes {
		r.add(Scale, result.Row{}.Label("subscribers", r.Subscribers).Label("write cost", cost).Label("in flight", k).Label("loops", l.loops).
			Rounds("deliveries", "1/s", rates[i]).
			Rounds("× first", "", load.Ratios(rates[i], rates[0])).
			Rounds("CPU a write", "ns", each[i]).
			Rounds("loop cores", "%", busy[i]))
	}
	return nil
}
