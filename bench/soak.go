package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// soakCmd runs mixed traffic for long and looks for what is lost or leaks.
type soakCmd struct {
	commonFlags `embed:""`
	For         time.Duration `group:"load" placeholder:"D" default:"10m" help:"Length of the run (default: ${default})."`
	Peers       int           `group:"load" placeholder:"N" default:"1000" help:"Peers that stay (default: ${default})."`
	Channels    int           `group:"load" placeholder:"N" default:"50" help:"Channels that they share (default: ${default})."`
	Rate        float64       `group:"load" placeholder:"R" default:"500" help:"Messages a second (default: ${default})."`
	Directs     float64       `group:"load" placeholder:"S" default:"0.2" help:"Share of them that go to one peer (default: ${default})."`
	Churn       int           `group:"load" placeholder:"N" default:"100" help:"Connections beside them that come and go (default: ${default})."`
	Life        time.Duration `group:"load" placeholder:"D" default:"2s" help:"Time that these stay, on average (default: ${default})."`
	Bytes       int           `group:"load" placeholder:"N" default:"128" help:"Size of a message's data (default: ${default})."`
	Samples     int           `group:"load" placeholder:"N" default:"10" help:"Times that memory and descriptors are looked at (default: ${default})."`
}

// Validate is called by kong once the flags are parsed.
func (c *soakCmd) Validate() error {
	switch {
	case c.Peers < 2 || c.Channels < 1 || c.Channels > c.Peers:
		return errors.New("--peers: at least 2; --channels: from 1 to --peers")
	case c.Rate <= 0 || c.For <= 0 || c.Life <= 0 || c.Samples < 1:
		return errors.New("--rate, --for, --life and --samples: more than 0")
	case c.Directs < 0 || c.Directs > 1 || c.Churn < 0:
		return errors.New("--directs: from 0 to 1; --churn: at least 0")
	}
	if c.Timeout < c.For+soakSlack {
		c.Timeout = c.For + soakSlack
	}
	return c.commonFlags.Validate()
}

const (
	// soakSlack is the time for what is beside the run itself.
	soakSlack = 2 * time.Minute
	// restGoroutines is how many goroutines a server without connections may
	// have: runtime, loops, listeners. A leak is one for each of thousands.
	restGoroutines = 100
	// restHeap is how many bytes of its heap may be alive more than before: what
	// loops keep for reuse.
	restHeap = 2 << 20
	// restDescriptors is how many descriptors it may have more than before.
	restDescriptors = 8
	// restLimit is how long it may take to give back what clients had.
	restLimit = time.Minute
	restPoll  = 200 * time.Millisecond
)

// Run runs the traffic and fails if anything was lost or leaked.
func (c *soakCmd) Run(ctx context.Context, std *stdio) error {
	return scenario(ctx, "soak", &c.commonFlags, std, func(ctx context.Context, h *harness) error {
		if err := h.fits(c.Peers + c.Churn); err != nil {
			return err
		}
		server, err := h.server(ctx)
		if err != nil {
			return err
		}
		before, err := look(ctx, server)
		if err != nil {
			return err
		}
		ramp, p := h.ramp("connect", c.Peers)
		mix, err := load.OpenMix(ctx, h.fleet, server, load.MixConfig{
			Peers: c.Peers, Channels: c.Channels, Rate: c.Rate, DirectShare: c.Directs, Churn: c.Churn, Life: c.Life,
			Bytes: c.Bytes, Sources: h.sources(server), Ramp: ramp,
		})
		p.done()
		if err != nil {
			return err
		}
		ran := c.traffic(ctx, h, server, mix)
		if ctx.Err() != nil {
			ran = nil // account tells what else there was
		}
		// Interrupted, or with connections lost, or not: what there is must add up.
		rest := context.WithoutCancel(ctx)
		return cmp.Or(errors.Join(ran, c.account(h, mix), c.leaks(rest, h, server, before)), ctx.Err())
	})
}

// holding is what a server holds.
type holding struct {
	memory      target.Memory
	live        int64 // bytes of its heap after a collection, if its admin address is known
	descriptors int
}

// look returns what the server holds, nothing if it cannot be measured.
func look(ctx context.Context, t *target.Target) (held holding, err error) {
	if t.Process == nil {
		return held, nil
	}
	if t.Admin != "" {
		if held.live, err = t.Live(ctx); err != nil {
			return held, err
		}
	}
	if held.memory, err = t.Process.Memory(); err != nil {
		return held, err
	}
	held.descriptors, err = t.Process.Descriptors()
	return held, err
}

// traffic has the mix run while what the server holds is looked at.
func (c *soakCmd) traffic(ctx context.Context, h *harness, t *target.Target, mix *load.Mix) error {
	sampled := make(chan error, 1)
	go func() { sampled <- c.sample(ctx, h, t, mix) }()
	err := h.watch("soak", 0, c.For, mix.Counts, func() error { return mix.Run(ctx, c.For) })
	return errors.Join(err, <-sampled)
}

// sample adds a row for each look at the server. A look that is late does not
// put off those after it.
func (c *soakCmd) sample(ctx context.Context, h *harness, t *target.Target, mix *load.Mix) error {
	start := time.Now()
	every := c.For / time.Duration(c.Samples)
	var x, pss, live []float64
	last, due := 0, time.Duration(0)
	for range c.Samples {
		due += every
		if load.Sleep(ctx, due-time.Since(start)) != nil {
			break
		}
		held, err := look(ctx, t)
		if ctx.Err() != nil {
			break
		} else if err != nil {
			return err
		}
		arrived, faults := mix.Counts()
		row := result.Row{}.Label("after", time.Since(start).Round(time.Second)).
			Figure("deliveries", "1/s", float64(arrived-last)/every.Seconds()).Figure("errors", "", float64(faults))
		last = arrived
		if t.Process != nil {
			row = row.Figure("PSS", "MiB", float64(held.memory.PSS)/(1<<20)).Figure("descriptors", "", float64(held.descriptors))
			if t.Admin != "" {
				row = row.Figure("live heap", "MiB", float64(held.live)/(1<<20))
			}
			x, pss, live = append(x, time.Since(start).Hours()), append(pss, float64(held.memory.PSS)), append(live, float64(held.live))
		}
		h.record.Add(row)
	}
	if half := len(x) / 2; len(x)-half >= 2 {
		// The first half is the heap growing to its size, and pages of the program
		// that are needed for the first time.
		h.record.Note("in the second half PSS grows by %s MiB an hour", result.Number(load.Slope(x[half:], pss[half:])/(1<<20)))
		if t.Admin != "" {
			h.record.Note("in the second half the live heap grows by %s MiB an hour", result.Number(load.Slope(x[half:], live[half:])/(1<<20)))
		}
	}
	return nil
}

// account adds the row about deliveries and fails if they do not add up, or visits
// were refused.
func (c *soakCmd) account(h *harness, mix *load.Mix) error {
	a := mix.Account()
	row := result.Row{}.Label("account", "deliveries").
		Figure("messages", "", float64(a.Messages)).Figure("due", "", float64(a.Due)).Figure("arrived", "", float64(a.Arrived)).
		Figure("wrong", "", float64(a.Wrong)).Figure("visits", "", float64(a.Visits)).Figure("refused", "", float64(a.Refused))
	h.record.Add(a.Times.Figures(row))
	err := mix.Err()
	if a.Wrong > 0 || a.Arrived != a.Due {
		err = errors.Join(err, fmt.Errorf("%d deliveries were due, %d arrived; between %d pairs of peers count or order is wrong", a.Due, a.Arrived, a.Wrong))
	}
	if a.Refused > 0 {
		err = errors.Join(err, fmt.Errorf("%d visits and frames were refused or cut off", a.Refused))
	}
	return err
}

// leaks looks at what the server holds once all clients are gone.
func (c *soakCmd) leaks(ctx context.Context, h *harness, t *target.Target, before holding) error {
	if err := h.drop(ctx, t); err != nil || t.Process == nil {
		return err
	}
	after, err := look(ctx, t)
	// A server that does not get to run seems idle.
	for end := time.Now().Add(restLimit); err == nil && after.leaked(before) != nil && time.Now().Before(end); {
		if err = load.Sleep(ctx, restPoll); err == nil {
			after, err = look(ctx, t)
		}
	}
	if err != nil {
		return err
	}
	row := result.Row{}.Label("rest", "no clients").
		Figure("PSS", "MiB", float64(after.memory.PSS)/(1<<20)).Figure("PSS before", "MiB", float64(before.memory.PSS)/(1<<20)).
		Figure("descriptors", "", float64(after.descriptors)).Figure("descriptors before", "", float64(before.descriptors))
	if t.Admin != "" {
		row = row.Figure("live heap", "MiB", float64(after.live)/(1<<20)).Figure("live heap before", "MiB", float64(before.live)/(1<<20))
	}
	goroutines := 0
	if c.URL == "" {
		// It ends the server, so it comes last.
		if goroutines, err = t.Process.Goroutines(ctx); err != nil {
			return err
		}
		row = row.Figure("goroutines", "", float64(goroutines))
	}
	h.record.Add(row)
	if goroutines > restGoroutines {
		err = fmt.Errorf("goroutines leak: %d are left", goroutines)
	}
	return cmp.Or(after.leaked(before), err)
}

// leaked tells what is held that was not before, nil if that may be.
func (held holding) leaked(before holding) error {
	switch {
	case held.live > before.live+restHeap:
		return fmt.Errorf("memory leaks: %d bytes of the heap are alive, %d were before", held.live, before.live)
	case held.descriptors > before.descriptors+restDescriptors:
		return fmt.Errorf("descriptors leak: %d before, %d after", before.descriptors, held.descriptors)
	}
	return nil
}
