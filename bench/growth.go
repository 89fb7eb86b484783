package main

import (
	"context"
	"fmt"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// Names of what nodes count.
const (
	messagesHeard = "signalbox_cluster_messages_received_total"
	recordsHeard  = "signalbox_cluster_records_received_total"
	bytesHeard    = "signalbox_cluster_received_bytes_total"
	roundsBegun   = "signalbox_cluster_rounds_total"
)

// quietTime is for what ends some time after its last user has gone: nodes keep
// subscriptions for two seconds.
const quietTime = 2500 * time.Millisecond

// span is what happened to one server: CPU time, and what it has counted.
type span struct {
	cpu     time.Duration
	counted target.Metrics
}

// spans measures servers, and NATS if it is a process, while do runs. What it
// costs them to be asked for their counts is left out.
func spans(ctx context.Context, servers []*target.Target, nats *target.Process, do func() error) (each []span, broker time.Duration, err error) {
	before, err := counts(ctx, servers)
	if err != nil {
		return nil, 0, err
	}
	processes := []*target.Process{}
	for _, t := range servers {
		processes = append(processes, t.Process)
	}
	if nats != nil {
		processes = append(processes, nats)
	}
	from, err := cpus(processes)
	if err != nil {
		return nil, 0, err
	}
	if err := do(); err != nil {
		return nil, 0, err
	}
	to, err := cpus(processes)
	if err != nil {
		return nil, 0, err
	}
	after, err := counts(ctx, servers)
	if err != nil {
		return nil, 0, err
	}
	each = make([]span, len(servers))
	for i := range servers {
		for name := range after[i] {
			after[i][name] -= before[i][name]
		}
		each[i] = span{to[i] - from[i], after[i]}
	}
	if nats != nil {
		broker = to[len(servers)] - from[len(servers)]
	}
	return each, broker, nil
}

func counts(ctx context.Context, servers []*target.Target) ([]target.Metrics, error) {
	list := make([]target.Metrics, len(servers))
	for i, t := range servers {
		var err error
		if list[i], err = t.Metrics(ctx); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func cpus(processes []*target.Process) ([]time.Duration, error) {
	list := make([]time.Duration, len(processes))
	for i, p := range processes {
		var err error
		if list[i], err = p.CPU(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// mean is the mean of what spans have.
func mean(spans []span, of func(span) float64) float64 {
	sum := 0.0
	for _, s := range spans {
		sum += of(s)
	}
	return sum / float64(len(spans))
}

// growth is rows of one kind, over the number of nodes.
type growth struct {
	nodes []float64
	rows  []result.Row
}

// add takes the row of a number of nodes.
func (g *growth) add(h *harness, nodes int, row result.Row) {
	g.nodes, g.rows = append(g.nodes, float64(nodes)), append(g.rows, row)
	h.record.Add(row)
}

// slope adds a row that says what each further node adds, by at least three
// numbers of them of which the first has others to speak to.
func (g *growth) slope(h *harness) {
	for len(g.nodes) > 0 && g.nodes[0] < 2 {
		g.nodes, g.rows = g.nodes[1:], g.rows[1:]
	}
	if len(g.rows) < 3 {
		return
	}
	row := result.Row{}
	for i, l := range g.rows[0].Labels {
		if i == 0 {
			l.Value = "slope" // instead of the number of nodes
		}
		row = row.Label(l.Name, l.Value)
	}
	for _, f := range g.rows[0].Figures {
		values := make([]float64, len(g.rows))
		for i := range g.rows {
			values[i], _ = g.rows[i].Value(f.Name)
		}
		row = row.Figure(f.Name, f.Unit, load.Slope(g.nodes, values))
	}
	h.record.Add(row)
}

// rest adds a row for nodes that nobody is connected to.
func (r *clusterRun) rest(ctx context.Context, nodes int) error {
	if err := load.Sleep(ctx, min(quietTime, r.Rest)); err != nil {
		return err
	}
	if err := r.h.settle(ctx, r.nodes.Whole()); err != nil {
		return err
	}
	row, err := r.resting(ctx, result.Row{}.Label("nodes at rest", nodes))
	if err == nil {
		r.rests.add(r.h, nodes, row)
	}
	return err
}

// resting adds to a row what servers do when nothing is done.
func (r *clusterRun) resting(ctx context.Context, row result.Row) (result.Row, error) {
	const milli = 1e3
	seconds := r.Rest.Seconds()
	servers := append([]*target.Target{r.alone}, r.nodes.Nodes...)
	each, nats, err := spans(ctx, servers, r.nodes.NATS, func() error {
		return r.h.watch("look at servers at rest", 0, r.Rest, nil, func() error { return load.Sleep(ctx, r.Rest) })
	})
	if err != nil {
		return row, err
	}
	cpu := func(s span) float64 { return milli * s.cpu.Seconds() / seconds }
	row = row.Figure("alone", "ms/s", cpu(each[0])).Figure("CPU a node", "ms/s", mean(each[1:], cpu))
	if r.nodes.NATS != nil {
		row = row.Figure("NATS CPU", "ms/s", milli*nats.Seconds()/seconds)
	}
	for _, count := range []struct{ name, metric, unit string }{{"messages heard", messagesHeard, "1/s"}, {"bytes heard", bytesHeard, "B/s"}} {
		row = row.Figure(count.name, count.unit, mean(each[1:], func(s span) float64 { return s.counted[count.metric] / seconds }))
	}
	return row, nil
}

// connect adds rows for connects to the first node, of which each enters a channel
// that is nowhere else: paced, and as fast as the window allows.
func (r *clusterRun) connect(ctx context.Context, nodes int) error {
	for i, pace := range []struct {
		what string
		rate float64
	}{{"paced", r.Rate}, {fmt.Sprintf("%d at a time", r.Window), 0}} {
		row := result.Row{}.Label("nodes", nodes).Label("load", pace.what)
		row, err := r.connectTo(ctx, row, r.alone, pace.rate)
		if err != nil {
			return err
		}
		if row, err = r.connectTo(ctx, row, r.nodes.Nodes[0], pace.rate); err != nil {
			return err
		}
		r.connects[i].add(r.h, nodes, row)
		if err := load.Sleep(ctx, min(quietTime, r.Rest)); err != nil {
			return err
		}
	}
	return nil
}

// connectTo adds what connects to a server have cost to a row.
func (r *clusterRun) connectTo(ctx context.Context, row result.Row, t *target.Target, rate float64) (result.Row, error) {
	watch := newConnectWatch(r.h.fleet.Size())
	specs, err := ownChannels(r.h, t, 0, r.Connects, watch.handler)
	if err != nil {
		return row, err
	}
	servers := []*target.Target{t}
	if t != r.alone {
		servers = r.nodes.Nodes
	}
	var opened client.Opened
	each, nats, err := r.aboveRest(ctx, servers, func() error {
		ramp, p := r.h.ramp("connect to "+t.Name, len(specs))
		defer p.done()
		ramp.Rate = rate
		if opened = r.h.fleet.Open(ctx, ramp, specs); opened.Err() != nil {
			return opened.Err()
		}
		return load.Sleep(ctx, tailWork)
	})
	if err != nil {
		return row, err
	}
	row = r.connectCost(row, each, nats, t == r.alone)
	if t != r.alone {
		row = watch.times().Figures(row.Figure("connects", "1/s", float64(opened.Ready)/opened.Took.Seconds()))
	}
	return row, r.h.drop(ctx, t)
}

// connectCost adds what each connect to the first of the servers has cost.
func (r *clusterRun) connectCost(row result.Row, each []span, nats time.Duration, alone bool) result.Row {
	const micro = 1e6
	n := float64(r.Connects)
	cpu := func(s span) float64 { return micro * s.cpu.Seconds() / n }
	if alone {
		return row.Figure("alone", "µs", cpu(each[0]))
	}
	row = row.Figure("its node", "µs", cpu(each[0]))
	if r.nodes.NATS != nil {
		row = row.Figure("NATS", "µs", micro*nats.Seconds()/n)
	}
	if others := each[1:]; len(others) > 0 {
		row = row.Figure("each other node", "µs", mean(others, cpu)).
			Figure("records heard there", "", mean(others, func(s span) float64 { return s.counted[recordsHeard] / n })).
			Figure("messages heard there", "", mean(others, func(s span) float64 { return s.counted[messagesHeard] / n })).
			Figure("rounds", "", each[0].counted[roundsBegun]/n)
	}
	return row
}

// aboveRest is spans without the CPU time that servers take at rest.
func (r *clusterRun) aboveRest(ctx context.Context, servers []*target.Target, do func() error) (each []span, broker time.Duration, err error) {
	idle, brokerIdle, err := spans(ctx, servers, r.nodes.NATS, func() error { return load.Sleep(ctx, r.For) })
	if err != nil {
		return nil, 0, err
	}
	var times float64
	each, broker, err = spans(ctx, servers, r.nodes.NATS, func() error {
		start := time.Now()
		err := do()
		times = time.Since(start).Seconds() / r.For.Seconds()
		return err
	})
	for i := range each {
		each[i].cpu -= time.Duration(times * float64(idle[i].cpu))
	}
	return each, broker - time.Duration(times*float64(brokerIdle)), err
}
