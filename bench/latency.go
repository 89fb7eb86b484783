package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// latencyCmd measures the way of a message at a paced load.
type latencyCmd struct {
	commonFlags `embed:""`
	Subscribers int           `group:"load" placeholder:"N" default:"1000" help:"Subscribers of the channel (default: ${default})."`
	Shares      []float64     `group:"load" placeholder:"S" default:"0.1,0.25,0.5,0.75,0.9" help:"Loads, as shares of the most that the server takes (default: ${default})."`
	Rate        []float64     `group:"load" placeholder:"R" help:"Loads in publishes a second instead; the most is not looked for then."`
	Bytes       int           `group:"load" placeholder:"N" default:"128" help:"Size of a delivered message, as JSON (default: ${default})."`
	For         time.Duration `group:"load" placeholder:"D" default:"5s" help:"Length of a load (default: ${default})."`
	WarmUp      time.Duration `group:"load" placeholder:"D" default:"1s" help:"Load before it that is not counted (default: ${default})."`
}

// Validate is called by kong once the flags are parsed.
func (c *latencyCmd) Validate() error {
	for _, share := range append(c.Shares, c.Rate...) {
		if share <= 0 {
			return errors.New("--shares and --rate: more than 0 each")
		}
	}
	if c.Subscribers < 1 || c.For <= 0 || c.WarmUp < 0 {
		return errors.New("--subscribers: at least 1; --for: more than 0; --warm-up: at least 0")
	}
	return c.commonFlags.Validate()
}

// saturating is how many messages are in flight to find the most that the
// server takes.
const saturating = 64

// Run measures.
func (c *latencyCmd) Run(ctx context.Context, std *stdio) error {
	return scenario(ctx, "latency", &c.commonFlags, std, func(ctx context.Context, h *harness) error {
		server, err := h.server(ctx)
		if err != nil {
			return err
		}
		rates, most := c.Rate, 0.0
		if len(rates) == 0 {
			if most, err = c.most(ctx, h, server); err != nil {
				return err
			}
			h.record.Note("the most, with %d messages in flight: %s publishes/s", saturating, result.Number(most))
			for _, share := range c.Shares {
				rates = append(rates, share*most)
			}
		}
		stream, err := h.stream(ctx, server, load.StreamConfig{Channel: "latency", Subscribers: c.Subscribers, Bytes: c.Bytes})
		if err != nil {
			return err
		}
		for _, rate := range rates {
			if err := c.measure(ctx, h, server, stream, rate, most); err != nil {
				return err
			}
		}
		return nil
	})
}

// most finds how many publishes a second the server takes.
func (c *latencyCmd) most(ctx context.Context, h *harness, t *target.Target) (float64, error) {
	search := fanoutCmd{commonFlags: c.commonFlags, Bytes: c.Bytes, WarmUp: c.WarmUp, For: c.For}
	samples, err := search.measure(ctx, h, t, c.Subscribers, []mode{{saturating, 1}})
	if err != nil {
		return 0, err
	}
	most := float64(samples[0].Publishes) / samples[0].Wall.Seconds()
	if most == 0 {
		return 0, errors.New("no message arrived everywhere while looking for the most")
	}
	return most, nil
}

// measure adds a row for one load.
func (c *latencyCmd) measure(ctx context.Context, h *harness, t *target.Target, stream *load.Stream, rate, most float64) error {
	end, err := h.meter(t).Span()
	if err != nil {
		return err
	}
	phase, err := h.runStream(ctx, stream, fmt.Sprintf("%.0f publishes/s", rate), rate, c.WarmUp, c.For)
	if phase.Delivered == 0 {
		return errors.Join(err, errors.New("nothing was delivered"))
	}
	s, spanErr := end()
	row := result.Row{}.Label("subscribers", c.Subscribers).Label("publishes/s", result.Number(rate))
	if most > 0 {
		row = row.Label("of the most", result.Number(100*rate/most)+" %")
	}
	row = phase.Times.Figures(row).Figure("missing", "", float64(phase.Missing)).
		Figure("client lag p99", "ms", phase.Lag.At(99).Seconds()*1e3)
	h.record.Add(h.loads(row, t.Process != nil, s))
	return errors.Join(err, phase.Complete(), spanErr)
}

// stream opens a paced channel; cfg's sources and ramp are ours to fill in.
func (h *harness) stream(ctx context.Context, t *target.Target, cfg load.StreamConfig) (*load.Stream, error) {
	if err := h.fits(cfg.Subscribers + 1); err != nil {
		return nil, err
	}
	ramp, p := h.ramp("connect to "+t.Name, cfg.Subscribers+1)
	defer p.done()
	cfg.Ramp, cfg.Sources = ramp, h.sources(t)
	stream, err := load.OpenStream(ctx, h.fleet, t, cfg)
	if err != nil {
		return nil, err
	}
	return stream, h.settle(ctx, t)
}

// runStream runs a phase with a line of progress.
func (h *harness) runStream(ctx context.Context, stream *load.Stream, what string, rate float64, warmUp, d time.Duration) (phase load.Phase, err error) {
	count := func() (int, int) { return int(stream.Delivered()), 0 }
	err = h.watch(what, 0, warmUp+d, count, func() error {
		phase, err = stream.Run(ctx, rate, warmUp, d)
		return err
	})
	return phase, err
}
