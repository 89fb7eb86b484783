package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// fanoutCmd measures what a delivery costs.
type fanoutCmd struct {
	commonFlags `embed:""`
	Subscribers []int         `group:"load" placeholder:"N" default:"100,1000,10000" help:"Subscribers of the channel (default: ${default})."`
	InFlight    []int         `group:"load" placeholder:"K" default:"1,64" help:"Publishes under way at a time (default: ${default})."`
	Publishers  []int         `group:"load" placeholder:"P" default:"1,64" help:"Publishers that share them (default: ${default})."`
	Bytes       int           `group:"load" placeholder:"N" default:"128" help:"Size of a delivered message, as JSON (default: ${default})."`
	Rounds      int           `group:"load" placeholder:"N" default:"3" help:"Times that server and floor are measured, in turn (default: ${default})."`
	For         time.Duration `group:"load" placeholder:"D" default:"2s" help:"Length of a measurement (default: ${default})."`
	WarmUp      time.Duration `group:"load" placeholder:"D" default:"500ms" help:"Load before it that is not counted (default: ${default})."`
	NoFloor     bool          `group:"load" help:"Leave the floor out."`
}

// mode is one way to load a channel.
type mode struct{ inFlight, publishers int }

// modes are the combinations that make sense: no publisher without a message.
func (c *fanoutCmd) modes() []mode {
	var modes []mode
	for _, k := range c.InFlight {
		for _, p := range c.Publishers {
			if p <= k {
				modes = append(modes, mode{k, p})
			}
		}
	}
	return modes
}

// Validate is called by kong once the flags are parsed.
func (c *fanoutCmd) Validate() error {
	switch {
	case len(c.Subscribers) == 0 || slices.Min(c.Subscribers) < 1:
		return fmt.Errorf("--subscribers: at least 1 each")
	case len(c.modes()) == 0 || slices.Min(c.InFlight) < 1 || slices.Min(c.Publishers) < 1:
		return fmt.Errorf("--in-flight and --publishers: at least 1 each, and one with no more publishers than messages in flight")
	case c.Rounds < 1 || c.For <= 0 || c.WarmUp < 0:
		return fmt.Errorf("--rounds and --for: more than 0; --warm-up: at least 0")
	}
	return c.commonFlags.Validate()
}

// Run measures.
func (c *fanoutCmd) Run(ctx context.Context, std *stdio) error {
	return scenario(ctx, "fanout", &c.commonFlags, std, func(ctx context.Context, h *harness) error {
		if err := h.fits(slices.Max(c.Subscribers) + slices.Max(c.Publishers)); err != nil {
			return err
		}
		targets, err := h.serverAndFloor(ctx, c.NoFloor)
		if err != nil {
			return err
		}
		for _, n := range c.Subscribers {
			if err := c.compare(ctx, h, targets, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// fanoutCell is what the rounds have shown for one target and mode.
type fanoutCell struct {
	target  *target.Target
	mode    mode
	samples []load.Sample
}

// compare measures the targets in turn, round by round.
func (c *fanoutCmd) compare(ctx context.Context, h *harness, targets []*target.Target, n int) error {
	cells := make(map[string]*fanoutCell)
	var order []*fanoutCell
	for range c.Rounds {
		for _, t := range targets {
			modes := c.modes()
			if t.Name == floorName {
				modes = []mode{{1, 1}}
			}
			samples, err := c.measure(ctx, h, t, n, modes)
			for i, s := range samples {
				id := fmt.Sprint(t.Name, modes[i])
				if cells[id] == nil {
					cells[id] = &fanoutCell{target: t, mode: modes[i]}
					order = append(order, cells[id])
				}
				cells[id].samples = append(cells[id].samples, s)
			}
			if err != nil {
				c.report(h, n, order)
				return err
			}
		}
	}
	c.report(h, n, order)
	return nil
}

// measure connects to a target and measures it in each mode.
func (c *fanoutCmd) measure(ctx context.Context, h *harness, t *target.Target, n int, modes []mode) (samples []load.Sample, err error) {
	cfg := load.FanOutConfig{Channel: "fanout", Subscribers: n, Bytes: c.Bytes, Sources: h.sources(t)}
	for _, m := range modes {
		cfg.InFlight, cfg.Publishers = max(cfg.InFlight, m.inFlight), max(cfg.Publishers, m.publishers)
	}
	total := n + cfg.Publishers
	if err := h.fits(total); err != nil {
		return nil, err
	}
	ramp, p := h.ramp("connect to "+t.Name, total)
	cfg.Ramp = ramp
	fan, err := load.OpenFanOut(ctx, h.fleet, t, cfg)
	p.done()
	if err != nil {
		return nil, err
	}
	if err := h.settle(ctx, t); err != nil {
		return nil, err
	}
	meter := h.meter(t)
	meter.Publishes = fan.Publishes
	for _, m := range modes {
		before := fan.Publishes()
		count := func() (int, int) { return int(fan.Publishes() - before), 0 }
		fan.Start(m.inFlight, m.publishers)
		if err := load.Sleep(ctx, c.WarmUp); err != nil {
			return samples, err
		}
		var s load.Sample
		err := h.watch(fmt.Sprintf("%s, %d in flight to %d", t.Name, m.inFlight, n), 0, c.For, count, func() (err error) {
			s, err = meter.During(ctx, c.For)
			return err
		})
		if err == nil {
			err = stopFanOut(ctx, fan)
		}
		// Cut short, it is what there was until then. Else there is one for each mode.
		if err == nil || ctx.Err() != nil && s.Publishes > 0 {
			samples = append(samples, s)
		}
		if err = errors.Join(err, fan.Err()); err != nil {
			return samples, err
		}
	}
	return samples, h.drop(ctx, t)
}

// arriveLimit is how long messages that are under way may take to arrive.
const arriveLimit = time.Minute

func stopFanOut(ctx context.Context, fan *load.FanOut) error {
	ctx, cancel := context.WithTimeout(ctx, arriveLimit)
	defer cancel()
	return fan.Stop(ctx)
}

// report adds a row for each target and mode.
func (c *fanoutCmd) report(h *harness, n int, cells []*fanoutCell) {
	var bare []float64
	for _, cell := range cells {
		if cell.target.Name == floorName {
			bare = perDelivery(cell.samples)
		}
	}
	for _, cell := range cells {
		row := result.Row{}.Label("server", cell.target.Name).Label("subscribers", n).
			Label("in flight", cell.mode.inFlight).Label("publishers", cell.mode.publishers)
		row = row.Rounds("deliveries", "1/s", each(cell.samples, func(s load.Sample) float64 { return float64(s.Frames) / s.Wall.Seconds() }))
		row = row.Rounds("publishes", "1/s", each(cell.samples, func(s load.Sample) float64 { return float64(s.Publishes) / s.Wall.Seconds() }))
		if cost := perDelivery(cell.samples); cost != nil {
			row = row.Rounds("CPU a delivery", "µs", cost)
			if bare != nil && cell.mode.inFlight == 1 {
				row = row.Rounds("× floor", "", load.Ratios(cost, bare))
			}
		}
		h.record.Add(h.loads(row, cell.target.Process != nil, cell.samples...))
	}
}

// perDelivery is the server's CPU time for each delivery in µs, nil if it was
// not measured.
func perDelivery(samples []load.Sample) []float64 {
	var each []float64
	for _, s := range samples {
		if s.ServerCPU == 0 || s.Frames == 0 {
			return nil
		}
		each = append(each, s.ServerCPU.Seconds()*1e6/float64(s.Frames))
	}
	return each
}

// each is what samples have.
func each(samples []load.Sample, of func(load.Sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return values
}
