package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// directCmd measures direct messages there and back.
type directCmd struct {
	commonFlags `embed:""`
	Pairs       []int         `group:"load" placeholder:"N" default:"1,100,1000" help:"Pairs of peers that send to each other (default: ${default})."`
	Share       float64       `group:"load" placeholder:"S" default:"0.5" help:"Paced load, as a share of the most round trips (default: ${default})."`
	Bytes       int           `group:"load" placeholder:"N" default:"128" help:"Size of a delivered message, as JSON (default: ${default})."`
	For         time.Duration `group:"load" placeholder:"D" default:"3s" help:"Length of a load (default: ${default})."`
	WarmUp      time.Duration `group:"load" placeholder:"D" default:"500ms" help:"Load before it that is not counted (default: ${default})."`
}

// Validate is called by kong once the flags are parsed.
func (c *directCmd) Validate() error {
	for _, n := range c.Pairs {
		if n < 1 {
			return errors.New("--pairs: at least 1 each")
		}
	}
	if len(c.Pairs) == 0 || c.Share <= 0 || c.For <= 0 || c.WarmUp < 0 {
		return errors.New("--pairs: at least one number; --share and --for: more than 0; --warm-up: at least 0")
	}
	return c.commonFlags.Validate()
}

// Run measures.
func (c *directCmd) Run(ctx context.Context, std *stdio) error {
	return scenario(ctx, "direct", &c.commonFlags, std, func(ctx context.Context, h *harness) error {
		if err := h.fits(2 * slices.Max(c.Pairs)); err != nil {
			return err
		}
		server, err := h.server(ctx)
		if err != nil {
			return err
		}
		for _, n := range c.Pairs {
			if err := c.measure(ctx, h, server, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// measure has n pairs send as fast as answers come, and then at a share of that
// rate.
func (c *directCmd) measure(ctx context.Context, h *harness, t *target.Target, n int) error {
	ramp, p := h.ramp("connect to "+t.Name, 2*n)
	pairs, err := load.OpenPairs(ctx, h.fleet, t, load.PairsConfig{Pairs: n, Bytes: c.Bytes, Sources: h.sources(t), Ramp: ramp})
	p.done()
	if err != nil {
		return err
	}
	if err := h.settle(ctx, t); err != nil {
		return err
	}
	closed, err := c.phase(ctx, h, t, pairs, n, 0)
	if err != nil {
		return err
	}
	if _, err := c.phase(ctx, h, t, pairs, n, c.Share*closed); err != nil {
		return err
	}
	return h.drop(ctx, t)
}

// phase adds a row for one load, 0 for as fast as answers come, and returns the
// round trips a second.
func (c *directCmd) phase(ctx context.Context, h *harness, t *target.Target, pairs *load.Pairs, n int, rate float64) (float64, error) {
	end, err := h.meter(t).Span()
	if err != nil {
		return 0, err
	}
	var phase load.Phase
	count := func() (int, int) { return int(pairs.Trips()), 0 }
	err = h.watch("round trips", 0, c.WarmUp+c.For, count, func() error {
		phase, err = pairs.Run(ctx, rate, c.WarmUp, c.For)
		return err
	})
	if phase.Delivered == 0 {
		return 0, errors.Join(err, errors.New("no round trip was done"))
	}
	s, spanErr := end()
	kind := "closed loop"
	if rate > 0 {
		kind = "paced"
	}
	trips := float64(phase.Delivered) / phase.Took.Seconds()
	row := result.Row{}.Label("pairs", n).Label("load", kind).Figure("round trips", "1/s", trips)
	if t.Process != nil && s.Frames > 0 {
		row = row.Figure("CPU a direct", "µs", s.ServerCPU.Seconds()*1e6/float64(s.Frames))
	}
	row = phase.Times.Figures(row)
	row = row.Figure("missing", "", float64(phase.Missing))
	if rate > 0 {
		row = row.Figure("client lag p99", "ms", phase.Lag.At(99).Seconds()*1e3)
	}
	h.record.Add(h.loads(row, t.Process != nil, s))
	return trips, errors.Join(err, phase.Complete(), spanErr)
}
