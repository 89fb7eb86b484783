package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// peersCmd measures this server beside others.
type peersCmd struct {
	commonFlags `embed:""`
	Servers     []string      `group:"load" placeholder:"NAME" help:"Servers to compare: signalbox, gnet, gws, nbio, coder, centrifuge, ws (default: all). The floor always takes part."`
	Subscribers []int         `group:"load" placeholder:"N" default:"1000,10000" help:"Subscribers of the channel (default: ${default})."`
	InFlight    []int         `group:"load" placeholder:"K" default:"1,64" help:"Publishes under way at a time; with more than 100 000 deliveries under way only 1 is measured (default: ${default})."`
	Connections int           `group:"load" placeholder:"N" default:"4000" help:"Idle connections, each on a channel of its own (default: ${default})."`
	Rest        time.Duration `group:"load" placeholder:"D" default:"12s" help:"Time that a server is given to come to rest before its memory is looked at (default: ${default})."`
	Bytes       int           `group:"load" placeholder:"N" default:"128" help:"Size of a delivered message, as JSON (default: ${default})."`
	Rounds      int           `group:"load" placeholder:"N" default:"3" help:"Times that each server is started and measured, in turn (default: ${default})."`
	For         time.Duration `group:"load" placeholder:"D" default:"1s" help:"Length of a measurement (default: ${default})."`
	WarmUp      time.Duration `group:"load" placeholder:"D" default:"500ms" help:"Load before it that is not counted (default: ${default})."`
}

// idleSteps is in how many steps idle connections are opened. The first warms
// the server up: its connects do not count, and what is held after it is what
// the others add to.
const idleSteps = 4

// Validate is called by kong once the flags are parsed.
func (c *peersCmd) Validate() error {
	if c.URL != "" {
		return errors.New("--url: peers starts all servers itself")
	}
	if c.Connections < idleSteps {
		return fmt.Errorf("--connections: at least %d", idleSteps)
	}
	if _, err := choose(c.Servers); err != nil {
		return err
	}
	return c.fanout().Validate()
}

// fanout is the fan-out scenario that each server goes through.
func (c *peersCmd) fanout() *fanoutCmd {
	return &fanoutCmd{commonFlags: c.commonFlags, Subscribers: c.Subscribers, InFlight: c.InFlight, Publishers: []int{1},
		Bytes: c.Bytes, Rounds: c.Rounds, For: c.For, WarmUp: c.WarmUp}
}

// showing is what one server has shown in one round.
type showing struct {
	idle   idleShowing
	fanout map[fanoutLoad]load.Sample
}

// idleShowing is what idle connections cost.
type idleShowing struct {
	connect float64 // server CPU of a connect, µs
	memory  float64 // heap and stacks of a connection, bytes
	pss     float64 // the same with what is shared, bytes
}

// fanoutLoad is one way to load a channel, of a size.
type fanoutLoad struct {
	subscribers int
	mode        mode
}

// comparison is what all rounds have shown: rounds[i] has a showing of each
// contender that got through.
type comparison struct {
	contenders []contender
	rounds     []map[string]showing
}

// Run measures.
func (c *peersCmd) Run(ctx context.Context, std *stdio) error {
	return scenario(ctx, "peers", &c.commonFlags, std, func(ctx context.Context, h *harness) error {
		names, err := choose(c.Servers)
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "signalbox-peers-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		all, err := contenders(ctx, h, dir, names)
		if err != nil {
			return err
		}
		results := &comparison{contenders: all}
		defer c.report(h, results)
		return c.compare(ctx, h, results)
	})
}

// compare lets the contenders take turns. One that fails is noted and takes no
// further part; the floor and this project's server must not.
func (c *peersCmd) compare(ctx context.Context, h *harness, results *comparison) error {
	failed := make(map[string]bool)
	for round := range c.Rounds {
		shown := make(map[string]showing)
		results.rounds = append(results.rounds, shown)
		for _, one := range results.contenders {
			if failed[one.name] {
				continue
			}
			s, err := c.show(ctx, h, one)
			switch {
			case err == nil:
				shown[one.name] = s
			case ctx.Err() != nil:
				return ctx.Err()
			case one.name == floorName || one.name == serverName:
				return fmt.Errorf("%s: %w", one.name, err)
			default:
				h.record.Note("%s is left out from round %d on: %s", one.name, round+1, err)
				failed[one.name] = true
			}
		}
	}
	return nil
}

// show starts a server, measures it and ends it.
func (c *peersCmd) show(ctx context.Context, h *harness, one contender) (s showing, err error) {
	t, err := one.start(ctx)
	if err != nil {
		return s, err
	}
	if one.name == serverName {
		h.record.Server = cmp.Or(t.Commit, h.record.Server)
	}
	defer func() {
		// Connections of a failed measurement must not outlive it.
		h.fleet.Drop()
		if fault := t.Close(); fault != nil {
			h.record.Note("%s: %s", one.name, fault)
		}
	}()
	if s.idle, err = c.idle(ctx, h, t); err != nil {
		return s, err
	}
	if err := h.drop(ctx, t); err != nil {
		return s, err
	}
	s.fanout = make(map[fanoutLoad]load.Sample)
	f := c.fanout()
	for _, n := range c.Subscribers {
		modes := bearable(f.modes(), n)
		samples, err := f.measure(ctx, h, t, n, modes)
		if err != nil {
			return s, fmt.Errorf("fan-out to %d: %w", n, err)
		}
		for i, sample := range samples {
			s.fanout[fanoutLoad{n, modes[i]}] = sample
		}
	}
	return s, nil
}

// mostUnderWay is how many deliveries are put under way at a time. A hub that
// writes each alone takes a second and more for as many.
const mostUnderWay = 100_000

// bearable are the modes that put no more under way with n subscribers, but for
// the closed loop, which is always one.
func bearable(modes []mode, n int) []mode {
	return slices.DeleteFunc(modes, func(m mode) bool { return m.inFlight > 1 && m.inFlight*n > mostUnderWay })
}

// idle opens connections in steps and looks at what they cost.
func (c *peersCmd) idle(ctx context.Context, h *harness, t *target.Target) (s idleShowing, err error) {
	if err := h.fits(c.Connections); err != nil {
		return s, err
	}
	watch := newConnectWatch(h.fleet.Size())
	var before, after target.Memory
	var cpu time.Duration
	for step := range idleSteps {
		from, to := c.Connections*step/idleSteps, c.Connections*(step+1)/idleSteps
		specs, err := ownChannels(h, t, from, to, watch.handler)
		if err != nil {
			return s, err
		}
		end, err := h.meter(t).Span()
		if err != nil {
			return s, err
		}
		ramp, p := h.ramp("connect to "+t.Name, to-from)
		opened := h.fleet.Open(ctx, ramp, specs)
		p.done()
		if err := opened.Err(); err != nil {
			return s, err
		}
		if err := load.Sleep(ctx, tailWork); err != nil {
			return s, err
		}
		span, err := end()
		if err != nil {
			return s, err
		}
		switch step {
		case 0:
			before, err = c.atRest(ctx, h, t)
		case idleSteps - 1:
			cpu += span.ServerCPU
			after, err = c.atRest(ctx, h, t)
		default:
			cpu += span.ServerCPU
		}
		if err != nil {
			return s, err
		}
	}
	counted := float64(c.Connections - c.Connections/idleSteps)
	return idleShowing{
		connect: cpu.Seconds() * 1e6 / counted,
		memory:  float64(after.Anon-before.Anon) / counted,
		pss:     float64(after.PSS-before.PSS) / counted,
	}, nil
}

// atRest is what the server holds once it has come to rest.
func (c *peersCmd) atRest(ctx context.Context, h *harness, t *target.Target) (target.Memory, error) {
	if err := h.rest(ctx, t, c.Rest); err != nil {
		return target.Memory{}, err
	}
	return t.Process.Memory()
}

// report adds the rows: first idle connections, then each load, the servers
// side by side.
func (c *peersCmd) report(h *harness, results *comparison) {
	for _, one := range results.contenders {
		connects, floors := results.pairs(one.name, func(s showing) (float64, bool) { return s.idle.connect, true })
		if len(connects) == 0 {
			continue
		}
		h.record.Add(result.Row{}.Label("run", "connect, idle").Label("server", one.name).Label("connections", c.Connections).
			Rounds("CPU a connect", "µs", connects).
			Rounds("× floor", "", load.Ratios(connects, floors)).
			Rounds("heap and stacks", "B/conn", results.each(one.name, func(s showing) float64 { return s.idle.memory })).
			Rounds("PSS", "B/conn", results.each(one.name, func(s showing) float64 { return s.idle.pss })))
	}
	for _, n := range c.Subscribers {
		for _, m := range c.fanout().modes() {
			for _, one := range results.contenders {
				results.reportFanOut(h, one.name, fanoutLoad{n, m})
			}
		}
	}
}

// reportFanOut adds the row of a server under a load. The floor sends once a
// message and socket whatever is in flight: it is taken of the same load.
func (r *comparison) reportFanOut(h *harness, name string, l fanoutLoad) {
	cost, floors := r.pairs(name, func(s showing) (float64, bool) {
		sample, ok := s.fanout[l]
		return sample.ServerCPU.Seconds() * 1e6 / float64(sample.Frames), ok && sample.Frames > 0
	})
	if len(cost) == 0 {
		return
	}
	var samples []load.Sample
	for _, shown := range r.rounds {
		if s, ok := shown[name]; ok {
			samples = append(samples, s.fanout[l])
		}
	}
	h.record.Add(h.loads(result.Row{}.Label("run", "fan-out").Label("server", name).
		Label("subscribers", l.subscribers).Label("in flight", l.mode.inFlight).
		Rounds("CPU a delivery", "µs", cost).
		Rounds("× floor", "", load.Ratios(cost, floors)).
		Rounds("deliveries", "1/s", each(samples, func(s load.Sample) float64 { return float64(s.Frames) / s.Wall.Seconds() })), true, samples...))
}

// pairs returns a figure of a server and of the floor for each round that has
// both, so that a ratio is always one within a round.
func (r *comparison) pairs(name string, figure func(showing) (float64, bool)) (own, floor []float64) {
	for _, shown := range r.rounds {
		s, ok := shown[name]
		bare, okFloor := shown[floorName]
		if !ok || !okFloor {
			continue
		}
		a, okA := figure(s)
		b, okB := figure(bare)
		if okA && okB {
			own, floor = append(own, a), append(floor, b)
		}
	}
	return own, floor
}

// each is a server's figure in the rounds.
func (r *comparison) each(name string, figure func(showing) float64) (values []float64) {
	for _, shown := range r.rounds {
		if s, ok := shown[name]; ok {
			values = append(values, figure(s))
		}
	}
	return values
}
