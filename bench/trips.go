package main

import (
	"context"
	"time"

	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

const (
	// pacedSubscribers is few, so that the way counts and not the fan-out.
	pacedSubscribers = 60
	// joinEvery is the time between a join that all have been told of and the
	// leave: long enough that nothing is coalesced.
	joinEvery = 50 * time.Millisecond
)

// trips adds rows for what goes from one node to another: messages, directs, and
// what is told of joins and leaves. Where there is no other node there is none.
func (r *clusterRun) trips(ctx context.Context, nodes int) error {
	if nodes < 2 {
		return nil
	}
	for _, way := range []struct {
		to *target.Target
		do func(context.Context, side) error
	}{{r.nodes.Across(), r.messages}, {r.nodes.Whole(), r.directs}, {r.nodes.Whole(), r.joins}} {
		for _, s := range r.sides(way.to, nodes) {
			if err := way.do(ctx, s); err != nil {
				return err
			}
			if err := r.h.drop(ctx, s.Target); err != nil {
				return err
			}
		}
	}
	return nil
}

// way begins a row of what goes between nodes.
func way(what string, s side) result.Row {
	return result.Row{}.Label("way", what).Label("nodes", s.nodes)
}

// cost adds what each of n cost.
func cost(row result.Row, s side, sample load.Sample, n float64) result.Row {
	row = row.Figure("CPU each", "µs", 1e6*sample.ServerCPU.Seconds()/n)
	if s.Broker != nil {
		row = row.Figure("NATS CPU each", "µs", 1e6*sample.BrokerCPU.Seconds()/n)
	}
	return row
}

// messages adds a row for a paced channel whose subscribers are on other nodes.
func (r *clusterRun) messages(ctx context.Context, s side) error {
	stream, err := r.h.stream(ctx, s.Target, load.StreamConfig{Channel: "trips", Subscribers: min(pacedSubscribers, r.Subscribers), Bytes: r.Bytes})
	if err != nil {
		return err
	}
	end, err := r.h.meter(s.Target).Span()
	if err != nil {
		return err
	}
	phase, err := r.h.runStream(ctx, stream, "messages", r.Rate, r.WarmUp, r.For)
	if err != nil {
		return err
	}
	sample, err := end()
	if err != nil {
		return err
	}
	row := phase.Times.Figures(way("message", s)).Figure("missing", "", float64(phase.Missing))
	r.h.record.Add(cost(row, s, sample, r.Rate*(r.WarmUp+r.For).Seconds()))
	return phase.Complete()
}

// directs adds rows for pairs on different nodes, paced and as fast as answers
// come. A round trip is two directs.
func (r *clusterRun) directs(ctx context.Context, s side) error {
	ramp, p := r.h.ramp("connect to "+s.Name, 2*r.Pairs)
	pairs, err := load.OpenPairs(ctx, r.h.fleet, s.Target, load.PairsConfig{Pairs: r.Pairs, Bytes: r.Bytes, Sources: r.h.sources(s.Target), Ramp: ramp})
	p.done()
	if err != nil {
		return err
	}
	if err := r.h.settle(ctx, s.Target); err != nil {
		return err
	}
	for _, pace := range []struct {
		what string
		rate float64
	}{{"direct and back", r.Rate}, {"direct and back, closed loop", 0}} {
		end, err := r.h.meter(s.Target).Span()
		if err != nil {
			return err
		}
		phase, err := pairs.Run(ctx, pace.rate, r.WarmUp, r.For)
		if err != nil {
			return err
		}
		sample, err := end()
		if err != nil {
			return err
		}
		row := phase.Times.Figures(way(pace.what, s))
		row = cost(row.Figure("missing", "", float64(phase.Missing)), s, sample, float64(sample.Frames)/2)
		r.h.record.Add(row.Figure("rate", "1/s", float64(phase.Delivered)/phase.Took.Seconds()))
		if err := phase.Complete(); err != nil {
			return err
		}
	}
	return nil
}

// joins adds rows for a peer of the first node that joins and leaves a channel
// with a member on each: how long until all of them have been told.
func (r *clusterRun) joins(ctx context.Context, s side) error {
	n := len(r.nodes.Nodes)
	ramp, p := r.h.ramp("connect to "+s.Name, 1+n)
	witnesses, err := load.OpenWitnesses(ctx, r.h.fleet, s.Target, load.WitnessConfig{Channel: "joins", Witnesses: n, Sources: r.h.sources(s.Target), Ramp: ramp})
	p.done()
	if err != nil {
		return err
	}
	if err := r.h.settle(ctx, s.Target); err != nil {
		return err
	}
	joins, leaves, err := witnesses.Run(ctx, joinEvery, r.For)
	if err != nil {
		return err
	}
	r.h.record.Add(joins.Figures(way("join, all told", s)))
	r.h.record.Add(leaves.Figures(way("leave, all told", s)))
	return nil
}

// storm adds rows for peers that join one channel at once, on all nodes.
func (r *clusterRun) storm(ctx context.Context, nodes int) error {
	for _, s := range r.sides(r.nodes.Whole(), nodes) {
		if err := r.stormOf(ctx, s); err != nil {
			return err
		}
		if err := r.h.drop(ctx, s.Target); err != nil {
			return err
		}
	}
	return nil
}

func (r *clusterRun) stormOf(ctx context.Context, s side) error {
	cfg := load.RosterConfig{Channel: "storm", Peers: r.Joins, Sources: r.h.sources(s.Target)}
	roster := load.NewRoster(r.h.fleet, cfg)
	end, err := r.h.meter(s.Target).Span()
	if err != nil {
		return err
	}
	ramp, p := r.h.ramp("join", r.Joins)
	cfg.Ramp = ramp
	err = roster.Join(ctx, s.Target, cfg)
	p.done()
	if err != nil {
		return err
	}
	last := time.Now()
	if err := roster.Settle(ctx, stormLimit); err != nil {
		return err
	}
	right := time.Since(last)
	sample, err := end()
	if err != nil {
		return err
	}
	frames, _ := roster.Traffic()
	row := result.Row{}.Label("joins at once", r.Joins).Label("nodes", s.nodes).
		Figure("took", "s", sample.Wall.Seconds()).Figure("all right after the last", "s", right.Seconds()).
		Figure("frames each", "", float64(frames)/float64(r.Joins))
	r.h.record.Add(cost(row, s, sample, float64(r.Joins)))
	return nil
}

// stormLimit is how long rosters may take to become right.
const stormLimit = time.Minute
