package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/floor"
	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// connectCmd measures what a connect costs.
type connectCmd struct {
	commonFlags `embed:""`
	Connections int     `group:"load" placeholder:"N" default:"10000" help:"Connects of a round (default: ${default})."`
	Rate        float64 `group:"load" placeholder:"R" help:"Connects a second, each counting from when it was due (default: as fast as --window allows)."`
	Rounds      int     `group:"load" placeholder:"N" default:"3" help:"Times that server and floor are measured, in turn (default: ${default})."`
	NoFloor     bool    `group:"load" help:"Leave the floor out."`
}

// Validate is called by kong once the flags are parsed.
func (c *connectCmd) Validate() error {
	if c.Connections < 1 || c.Rounds < 1 || c.Rate < 0 {
		return errors.New("--connections and --rounds: at least 1; --rate: at least 0")
	}
	return c.commonFlags.Validate()
}

// connectSample is one round of one target.
type connectSample struct {
	opened client.Opened
	cost   load.Sample // its time is that of the connects, without tailWork
	times  *load.Histogram
}

// Run measures.
func (c *connectCmd) Run(ctx context.Context, std *stdio) error {
	return scenario(ctx, "connect", &c.commonFlags, std, func(ctx context.Context, h *harness) error {
		if err := h.fits(c.Connections); err != nil {
			return err
		}
		targets, err := h.serverAndFloor(ctx, c.NoFloor)
		if err != nil {
			return err
		}
		if bare := targets[len(targets)-1]; bare.Name == floorName {
			targets = slices.Insert(targets, 1, target.Dialogue(bare, floorName+", the same dialogue", floor.DialoguePath))
		}
		samples := make(map[*target.Target][]connectSample)
		defer c.report(h, targets, samples)
		for _, t := range targets {
			// The first connects grow heaps and caches; they do not count.
			if _, err := c.measure(ctx, h, t, min(c.Connections, 1000)); err != nil {
				return err
			}
		}
		var failed error
		for range c.Rounds {
			for _, t := range targets {
				s, err := c.measure(ctx, h, t, c.Connections)
				if err != nil {
					return err
				}
				samples[t] = append(samples[t], s)
				failed = cmp.Or(failed, s.opened.Err())
			}
		}
		return failed
	})
}

// tailWork is how long after the last ack the server is still measured: the
// snapshot of presence follows some milliseconds behind it.
const tailWork = 100 * time.Millisecond

// measure opens n connections and closes them again.
func (c *connectCmd) measure(ctx context.Context, h *harness, t *target.Target, n int) (s connectSample, err error) {
	watch := newConnectWatch(h.fleet.Size())
	specs, err := ownChannels(h, t, 0, n, watch.handler)
	if err != nil {
		return s, err
	}
	ramp, p := h.ramp("connect to "+t.Name, n)
	ramp.Rate = c.Rate
	end, err := h.meter(t).Span()
	if err != nil {
		return s, err
	}
	s.opened = h.fleet.Open(ctx, ramp, specs)
	p.done()
	if err := load.Sleep(ctx, tailWork); err != nil {
		return s, err
	}
	if s.cost, err = end(); err != nil {
		return s, err
	}
	s.cost, s.times = s.cost.Within(s.opened.Took), watch.times()
	if s.opened.Ready == 0 {
		return s, s.opened.Err()
	}
	return s, h.drop(ctx, t)
}

func (c *connectCmd) report(h *harness, targets []*target.Target, samples map[*target.Target][]connectSample) {
	each := make(map[*target.Target][]float64)
	for _, t := range targets {
		for _, s := range samples[t] {
			each[t] = append(each[t], s.cost.ServerCPU.Seconds()*1e6/float64(s.opened.Ready))
		}
	}
	for _, t := range targets {
		if len(samples[t]) == 0 {
			continue
		}
		var rates []float64
		var costs []load.Sample
		times := &load.Histogram{}
		failed := 0
		for _, s := range samples[t] {
			rates = append(rates, float64(s.opened.Ready)/s.opened.Took.Seconds())
			costs = append(costs, s.cost)
			times.Merge(s.times)
			failed += s.opened.Failed()
			if err := s.opened.Err(); err != nil {
				h.record.Note("%s: %s", t.Name, err)
			}
		}
		row := result.Row{}.Label("server", t.Name).Label("connects", c.Connections).
			Rounds("connects", "1/s", rates).Figure("errors", "", float64(failed))
		if t.Process != nil {
			row = row.Rounds("CPU a connect", "µs", each[t])
			if bare := targets[len(targets)-1]; bare.Name == floorName {
				row = row.Rounds("× floor", "", load.Ratios(each[t], each[bare]))
			}
		}
		h.record.Add(times.Figures(h.loads(row, t.Process != nil, costs...)))
	}
}

// ownChannels are the specs of connections from..to of which each subscribes to
// a channel of its own, with all permissions.
func ownChannels(h *harness, t *target.Target, from, to int, handler func(loop int) client.Handler) ([]client.Spec, error) {
	specs := make([]client.Spec, 0, to-from)
	for i := from; i < to; i++ {
		name := fmt.Sprintf("own-%06d", i)
		var script client.Script
		var err error
		if s := t.Signalbox(); s != nil {
			script, err = s.Subscriber(target.Claims{Peer: name}, name)
		} else {
			script, err = t.Dialect.Join(name, name)
		}
		if err != nil {
			return nil, err
		}
		loop := i % h.fleet.Size()
		specs = append(specs, client.Spec{Index: i, Loop: loop, Addr: t.Addr, Source: h.sources(t).At(i), Script: script, Handler: handler(loop)})
	}
	return specs, nil
}

// connectWatch notes how long connects take, each loop for itself.
type connectWatch struct{ loops []*connectTimes }

type connectTimes struct{ load.Histogram }

func newConnectWatch(loops int) *connectWatch {
	w := &connectWatch{}
	for range loops {
		w.loops = append(w.loops, &connectTimes{})
	}
	return w
}

func (w *connectWatch) handler(loop int) client.Handler { return w.loops[loop] }

// times is for after Open has returned.
func (w *connectWatch) times() *load.Histogram {
	all := &load.Histogram{}
	for _, l := range w.loops {
		all.Merge(&l.Histogram)
	}
	return all
}

// Ready implements client.Handler.
func (t *connectTimes) Ready(c *client.Conn) { t.Record(c.ReadyAt - c.DueAt) }

// Text implements client.Handler.
func (t *connectTimes) Text(*client.Conn, []byte) {}

// Closed implements client.Handler.
func (t *connectTimes) Closed(*client.Conn, client.Cause) {}
