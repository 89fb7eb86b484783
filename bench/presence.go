package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// presenceCmd measures a storm of joins and leaves, and what it does to two peers
// that have no part in it and send to each other.
type presenceCmd struct {
	commonFlags `embed:""`
	Peers       []int         `group:"load" placeholder:"N" default:"500,2000" help:"Peers that join one channel (default: ${default})."`
	Rate        float64       `group:"load" placeholder:"R" help:"Joins a second, each counting from when it was due (default: as fast as --window allows)."`
	Limit       time.Duration `group:"load" placeholder:"D" default:"60s" help:"Time that rosters may take to become right (default: ${default})."`

	pairLoad float64 // of one core, in percent, that the pair takes of the server without a storm
}

// Validate is called by kong once the flags are parsed.
func (c *presenceCmd) Validate() error {
	for _, n := range c.Peers {
		if n < 2 || n > 999_999 {
			return errors.New("--peers: from 2 to 999999 each")
		}
	}
	if len(c.Peers) == 0 || c.Rate < 0 || c.Limit <= 0 {
		return errors.New("--peers: at least one number; --rate: at least 0; --limit: more than 0")
	}
	return c.commonFlags.Validate()
}

// Run measures.
func (c *presenceCmd) Run(ctx context.Context, std *stdio) error {
	return scenario(ctx, "presence", &c.commonFlags, std, func(ctx context.Context, h *harness) error {
		if err := h.fits(slices.Max(c.Peers) + 2); err != nil {
			return err
		}
		server, err := h.server(ctx)
		if err != nil {
			return err
		}
		fleet, err := client.NewFleet(1) // a thread that the storm does not keep busy
		if err != nil {
			return err
		}
		defer fleet.Close()
		pair, err := load.OpenPairs(ctx, fleet, server, load.PairsConfig{Pairs: 1, Bytes: pairBytes, Sources: h.sources(server), Ramp: client.Ramp{Window: 1}})
		if err != nil {
			return err
		}
		if err := c.calm(ctx, h, server, pair); err != nil {
			return err
		}
		for _, n := range c.Peers {
			if err := c.storm(ctx, h, server, pair, n); err != nil {
				return err
			}
			if err := h.drop(ctx, server); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	// pairRate is how often a second one of the pair asks the other.
	pairRate  = 500
	pairBytes = 128
	joinWave  = "join"
	// calmTime is how long the pair is measured without a storm.
	calmTime = 3 * time.Second
)

// calm adds a row for the pair without a storm, and takes down what it costs.
func (c *presenceCmd) calm(ctx context.Context, h *harness, t *target.Target, pair *load.Pairs) error {
	end, err := h.meter(t).Span()
	if err != nil {
		return err
	}
	phase, err := pair.During(pairRate, func() error { return load.Sleep(ctx, calmTime) })
	if err != nil {
		return err
	}
	s, err := end()
	if err != nil {
		return err
	}
	c.pairLoad = s.ServerLoad()
	h.record.Add(h.loads(trips(result.Row{}.Label("storm", "none").Label("peers", 0), phase), t.Process != nil, s))
	return phase.Complete()
}

// trips adds the pair's round trips to a row.
func trips(row result.Row, phase load.Phase) result.Row {
	for _, p := range []float64{50, 99} {
		row = row.Figure(fmt.Sprintf("pair p%v", p), "ms", phase.Times.At(p).Seconds()*1e3)
	}
	return row.Figure("pair max", "ms", phase.Times.Max().Seconds()*1e3).
		Figure("pair missing", "", float64(phase.Missing)).
		Figure("pair's client lag p99", "ms", phase.Lag.At(99).Seconds()*1e3)
}

// storm has n peers join, and then half of them vanish.
func (c *presenceCmd) storm(ctx context.Context, h *harness, t *target.Target, pair *load.Pairs, n int) error {
	cfg := load.RosterConfig{Channel: "presence", Peers: n, Sources: h.sources(t)}
	roster := load.NewRoster(h.fleet, cfg)
	joins := func() error {
		ramp, p := h.ramp("join", n)
		defer p.done()
		ramp.Rate, cfg.Ramp = c.Rate, ramp
		return roster.Join(ctx, t, cfg)
	}
	if err := c.wave(ctx, h, t, roster, pair, joinWave, n, joins); err != nil {
		return err
	}
	stay := (n + 1) / 2
	return c.wave(ctx, h, t, roster, pair, "leave", n-stay, func() error {
		roster.Leave(stay, n)
		return nil
	})
}

// wave adds a row for n joins or leaves.
func (c *presenceCmd) wave(ctx context.Context, h *harness, t *target.Target, roster *load.Roster, pair *load.Pairs, what string, n int, do func() error) error {
	end, err := h.meter(t).Span()
	if err != nil {
		return err
	}
	frames, bytes := roster.Traffic()
	start := time.Now()
	var last, right time.Time
	phase, err := pair.During(pairRate, func() error {
		if err := do(); err != nil {
			return err
		}
		last = time.Now()
		count := func() (int, int) { return roster.Right(), 0 }
		err := h.watch("rosters right", roster.Goal(), 0, count, func() error { return roster.Settle(ctx, c.Limit) })
		right = time.Now()
		return err
	})
	if err != nil {
		return err
	}
	s, err := end()
	if err != nil {
		return err
	}
	framesNow, bytesNow := roster.Traffic()
	each := float64(framesNow-frames) / float64(n)
	row := result.Row{}.Label("storm", what).Label("peers", n).
		Figure("took", "s", last.Sub(start).Seconds()).
		Figure("all right after the last", "s", right.Sub(last).Seconds()).
		Figure("frames", "", float64(framesNow-frames)).
		Figure("frames each", "", each).
		Figure("bytes", "MB", float64(bytesNow-bytes)/1e6)
	if what == joinWave {
		row = row.Figure("join p99", "ms", roster.Joins().At(99).Seconds()*1e3)
	}
	if cost := c.stormCPU(s); t.Process != nil && cost > 0 { // of a small storm it may be less than the noise
		row = row.Figure("CPU each", "µs", cost.Seconds()*1e6/float64(n))
	}
	h.record.Add(h.loads(trips(row, phase), t.Process != nil, s))
	return phase.Complete()
}

// stormCPU is what a storm cost the server: without what it does for the pair, and
// at rest. In a storm the pair costs less than alone, as it shares turns with the
// storm, so that this is a little too low.
func (c *presenceCmd) stormCPU(s load.Sample) time.Duration {
	return s.ServerCPU - time.Duration(c.pairLoad/100*float64(s.Wall))
}
