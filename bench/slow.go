package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// slowCmd measures what readers that stall cost the others. By default a round
// is more than kernel and server hold for one of them, 4 MB and 1 MiB: they are
// closed on the way.
type slowCmd struct {
	commonFlags `embed:""`
	Subscribers int           `group:"load" placeholder:"N" default:"500" help:"Healthy subscribers of the channel (default: ${default})."`
	Stalled     float64       `group:"load" placeholder:"S" default:"0.01" help:"Subscribers beside them that never read, as a share (default: ${default})."`
	Rate        float64       `group:"load" placeholder:"R" default:"50" help:"Publishes a second (default: ${default})."`
	Bytes       int           `group:"load" placeholder:"N" default:"8192" help:"Size of a delivered message, as JSON (default: ${default})."`
	Rounds      int           `group:"load" placeholder:"N" default:"5" help:"Times that both are measured, in turn (default: ${default})."`
	For         time.Duration `group:"load" placeholder:"D" default:"12s" help:"Length of a load (default: ${default})."`
	WarmUp      time.Duration `group:"load" placeholder:"D" default:"1s" help:"Load before it that is not counted (default: ${default})."`
}

// Validate is called by kong once the flags are parsed.
func (c *slowCmd) Validate() error {
	if c.Subscribers < 1 || c.Stalled <= 0 || c.Stalled > 1 || c.Rate <= 0 || c.Rounds < 1 || c.For <= 0 || c.WarmUp < 0 {
		return errors.New("--subscribers and --rounds: at least 1; --stalled: more than 0, at most 1; --rate and --for: more than 0; --warm-up: at least 0")
	}
	return c.commonFlags.Validate()
}

// stalledCount is how many readers stall: at least one.
func (c *slowCmd) stalledCount() int { return max(1, int(c.Stalled*float64(c.Subscribers))) }

// slowSide is one of the two conditions.
type slowSide struct {
	name    string
	times   load.Histogram
	p99     []float64 // of each round, in ms
	missing int64
	closed  int64 // stalled readers that the server has closed
}

// Run measures.
func (c *slowCmd) Run(ctx context.Context, std *stdio) error {
	return scenario(ctx, "slow", &c.commonFlags, std, func(ctx context.Context, h *harness) error {
		server, err := h.server(ctx)
		if err != nil {
			return err
		}
		if err := h.fits(c.Subscribers + c.stalledCount() + 1); err != nil {
			return err
		}
		stream, err := h.stream(ctx, server, load.StreamConfig{Channel: slowChannel, Subscribers: c.Subscribers, Bytes: c.Bytes})
		if err != nil {
			return err
		}
		without, with := &slowSide{name: "none"}, &slowSide{name: fmt.Sprint(c.stalledCount())}
		defer c.report(h, without, with)
		for range c.Rounds {
			if err := c.phase(ctx, h, stream, without); err != nil {
				return err
			}
			if err := c.stalledPhase(ctx, h, server, stream, with); err != nil {
				return err
			}
		}
		return nil
	})
}

const slowChannel = "slow"

func (c *slowCmd) phase(ctx context.Context, h *harness, stream *load.Stream, side *slowSide) error {
	phase, err := h.runStream(ctx, stream, side.name+" stalled", c.Rate, c.WarmUp, c.For)
	if phase.Delivered > 0 {
		side.times.Merge(&phase.Times)
		side.p99 = append(side.p99, phase.Times.At(99).Seconds()*1e3)
		side.missing += phase.Missing
	}
	return errors.Join(err, phase.Complete())
}

// stalledPhase measures with readers that stall, and then lets them see how the
// server has dealt with them.
func (c *slowCmd) stalledPhase(ctx context.Context, h *harness, t *target.Target, stream *load.Stream, side *slowSide) error {
	stall := &stalling{conns: make([][]*client.Conn, h.fleet.Size())}
	if err := c.openStalled(ctx, h, t, stall); err != nil {
		return err
	}
	if err := c.phase(ctx, h, stream, side); err != nil {
		return err
	}
	h.fleet.Each(func(l *client.Loop) {
		for _, conn := range stall.conns[l.Index] {
			if conn.IsReady() {
				conn.Resume()
			}
		}
	})
	if err := load.Sleep(ctx, resumeTime); err != nil {
		return err
	}
	side.closed += stall.closed.Load()
	h.fleet.Each(func(l *client.Loop) {
		for _, conn := range stall.conns[l.Index] {
			conn.Close()
		}
	})
	return h.settle(ctx, t)
}

const (
	// resumeTime is how long readers that have stalled read, to find out whether
	// they were closed.
	resumeTime = 500 * time.Millisecond
	// stalledBuffer is the receive buffer of a reader that stalls, in bytes:
	// small, so that its backlog is the server's.
	stalledBuffer = 4096
)

func (c *slowCmd) openStalled(ctx context.Context, h *harness, t *target.Target, stall *stalling) error {
	var specs []client.Spec
	for i := range c.stalledCount() {
		script, err := t.Dialect.Join(fmt.Sprintf("stalled-%06d", i), slowChannel)
		if err != nil {
			return err
		}
		n := c.Subscribers + 1 + i
		specs = append(specs, client.Spec{Index: n, Loop: i % h.fleet.Size(), Addr: t.Addr, Source: h.sources(t).At(n),
			RecvBuf: stalledBuffer, Script: script, Handler: stall})
	}
	return h.fleet.Open(ctx, client.Ramp{Window: h.flags.Window}, specs).Err()
}

// stalling handles readers that stall.
type stalling struct {
	conns  [][]*client.Conn // by loop, loop-owned
	closed atomic.Int64
}

// Ready implements client.Handler.
func (s *stalling) Ready(c *client.Conn) {
	s.conns[c.Loop.Index] = append(s.conns[c.Loop.Index], c)
	c.Stall()
}

// Text implements client.Handler.
func (s *stalling) Text(*client.Conn, []byte) {}

// Closed implements client.Handler.
func (s *stalling) Closed(c *client.Conn, _ client.Cause) {
	if c.ReadyAt != 0 {
		s.closed.Add(1)
	}
}

func (c *slowCmd) report(h *harness, without, with *slowSide) {
	for _, side := range []*slowSide{without, with} {
		if len(side.p99) == 0 {
			continue
		}
		row := result.Row{}.Label("stalled", side.name).Label("healthy", c.Subscribers).Label("publishes/s", result.Number(c.Rate))
		row = side.times.Figures(row).Rounds("median p99", "ms", side.p99)
		if side == with {
			row = row.Rounds("× without", "", load.Ratios(with.p99, without.p99)).
				Figure("closed", "", float64(side.closed))
		}
		h.record.Add(row.Figure("missing", "", float64(side.missing)))
	}
}
