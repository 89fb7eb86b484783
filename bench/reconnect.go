package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// reconnectCmd measures a deploy.
type reconnectCmd struct {
	commonFlags `embed:""`
	Connections int           `group:"load" placeholder:"N" default:"10000" help:"Connections that come back (default: ${default})."`
	Cut         bool          `group:"load" help:"Cut the connections instead of restarting the server; a server given with --url is never restarted."`
	Limit       time.Duration `group:"load" placeholder:"D" default:"2m" help:"Time that all may take to come back (default: ${default})."`
}

// Validate is called by kong once the flags are parsed.
func (c *reconnectCmd) Validate() error {
	if c.Connections < 1 || c.Limit <= 0 {
		return errors.New("--connections: at least 1; --limit: more than 0")
	}
	return c.commonFlags.Validate()
}

// Run measures.
func (c *reconnectCmd) Run(ctx context.Context, std *stdio) error {
	return scenario(ctx, "reconnect", &c.commonFlags, std, func(ctx context.Context, h *harness) error {
		if err := h.fits(c.Connections); err != nil {
			return err
		}
		server, err := h.server(ctx)
		if err != nil {
			return err
		}
		ramp, p := h.ramp("connect", c.Connections)
		herd, err := load.OpenHerd(ctx, h.fleet, server, load.HerdConfig{Connections: c.Connections, Sources: h.sources(server), Ramp: ramp})
		p.done()
		if err != nil {
			return err
		}
		if err := h.settle(ctx, server); err != nil {
			return err
		}
		return c.measure(ctx, h, server, herd)
	})
}

// measure cuts the connections or restarts the server, and adds a row.
func (c *reconnectCmd) measure(ctx context.Context, h *harness, t *target.Target, herd *load.Herd) error {
	cut := c.Cut || c.URL != ""
	row := result.Row{}.Label("connections", c.Connections).Label("event", "restart")
	if cut {
		row = result.Row{}.Label("connections", c.Connections).Label("event", "cut")
	}
	herd.Cut(cut)
	start := time.Now()
	if !cut {
		drained, err := t.Restart(ctx)
		if err != nil {
			return err
		}
		row = row.Figure("drained", "s", drained.Seconds()).Figure("up again", "s", time.Since(start).Seconds())
	}
	peak := watchPeak(t.Process)
	var back load.Return
	err := h.watch("back", c.Connections, 0, herd.Counts, func() error {
		back = herd.Wait(ctx, c.Limit)
		return nil
	})
	used, most := peak.end()
	_, fails := herd.Counts()
	row = row.Figure("back", "", float64(back.Back)).Figure("failed attempts", "", float64(fails))
	for _, share := range []struct {
		name string
		of   float64
	}{{"50 % back", 0.5}, {"99 % back", 0.99}, {"all back", 1}} {
		if after, ok := back.BackAfter(share.of, c.Connections); ok {
			row = row.Figure(share.name, "s", after.Seconds())
		}
	}
	row = row.Figure("offline p50", "s", back.Offline.At(50).Seconds()).Figure("offline p99", "s", back.Offline.At(99).Seconds())
	if t.Process != nil && back.Back > 0 {
		row = row.Figure("peak CPU", "%", 100*most).Figure("CPU a return", "µs", used.Seconds()*1e6/float64(back.Back))
	}
	h.record.Add(row)
	for _, why := range slices.SortedFunc(maps.Keys(back.Causes), func(a, b client.Cause) int { return cmp.Compare(back.Causes[b], back.Causes[a]) }) {
		h.record.Note("%d × %s", back.Causes[why], why)
	}
	if back.Back < c.Connections && ctx.Err() == nil {
		err = errors.Join(err, fmt.Errorf("only %d of %d were back within %s", back.Back, c.Connections, c.Limit))
	}
	return errors.Join(err, ctx.Err())
}

// peakWatch looks for the span in which a process uses most CPU.
type peakWatch struct {
	process *target.Process // nil: nothing is watched
	stopC   chan struct{}
	doneC   chan struct{}
	first   time.Duration
	last    time.Duration
	most    float64 // of one core
}

// peakSpan is the length of the spans that are compared.
const peakSpan = 100 * time.Millisecond

// watchPeak watches until end is called.
func watchPeak(p *target.Process) *peakWatch {
	w := &peakWatch{process: p, stopC: make(chan struct{}), doneC: make(chan struct{})}
	if p == nil {
		close(w.doneC)
		return w
	}
	go w.run()
	return w
}

func (w *peakWatch) run() {
	defer close(w.doneC)
	t := time.NewTicker(peakSpan)
	defer t.Stop()
	at := time.Now()
	cpu, err := w.process.CPU()
	w.first, w.last = cpu, cpu
	for err == nil {
		select {
		case <-w.stopC:
			return
		case <-t.C:
		}
		now := time.Now()
		if cpu, err = w.process.CPU(); err == nil {
			w.most = max(w.most, (cpu-w.last).Seconds()/now.Sub(at).Seconds())
			w.last, at = cpu, now
		}
	}
}

// end returns the CPU time used and the most of a core used in one span.
func (w *peakWatch) end() (used time.Duration, most float64) {
	close(w.stopC)
	<-w.doneC
	if w.process != nil {
		if cpu, err := w.process.CPU(); err == nil {
			w.last = cpu // a span that is not over counts, too
		}
	}
	return w.last - w.first, w.most
}
