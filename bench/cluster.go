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

// clusterCmd measures nodes that NATS joins, beside a server that stands alone.
type clusterCmd struct {
	commonFlags `embed:""`

	NATS        string        `name:"nats" group:"target" enum:"external,embedded" default:"external" help:"A nats-server of its own, or NATS in each node's process: external, embedded (default: ${default})."`
	NATSBin     string        `name:"nats-bin" group:"target" placeholder:"FILE" help:"nats-server to start instead of building one."`
	Parts       []string      `group:"load" enum:"fanout,trips,storm,rest,connect,held" default:"fanout,trips,storm,rest,connect" help:"What to measure: fanout, trips, storm, rest, connect, held (default: all but held)."`
	Nodes       []int         `group:"load" placeholder:"N" default:"1,2,3" help:"Numbers of nodes, growing (default: ${default})."`
	Subscribers int           `group:"load" placeholder:"N" default:"1000" help:"Subscribers of the channel, over all nodes (default: ${default})."`
	InFlight    []int         `group:"load" placeholder:"K" default:"1,64" help:"Publishes under way at a time (default: ${default})."`
	Bytes       int           `group:"load" placeholder:"N" default:"128" help:"Size of a delivered message, as JSON (default: ${default})."`
	Rate        float64       `group:"load" placeholder:"R" default:"500" help:"Paced messages, directs or connects a second (default: ${default})."`
	Pairs       int           `group:"load" placeholder:"N" default:"100" help:"Pairs of peers that send to each other (default: ${default})."`
	Joins       int           `group:"load" placeholder:"N" default:"500" help:"Joins of a storm, over all nodes (default: ${default})."`
	Connects    int           `group:"load" placeholder:"N" default:"2000" help:"Connects to one node, each with a channel of its own (default: ${default})."`
	Connections int           `group:"load" placeholder:"N" default:"100000" help:"held: connections of all nodes together, each with a channel of its own (default: ${default})."`
	PerNode     int           `group:"load" placeholder:"N" default:"17000" help:"held: connections of a node at most (default: ${default})."`
	Rounds      int           `group:"load" placeholder:"N" default:"3" help:"Times that the fan-out of cluster and lone server is measured, in turn (default: ${default})."`
	For         time.Duration `group:"load" placeholder:"D" default:"2s" help:"Length of a measurement (default: ${default})."`
	WarmUp      time.Duration `group:"load" placeholder:"D" default:"500ms" help:"Load before it that is not counted (default: ${default})."`
	Rest        time.Duration `group:"load" placeholder:"D" default:"10s" help:"How long servers at rest are waited for at most, and are then looked at (default: ${default})."`
}

// Validate is called by kong once the flags are parsed.
func (c *clusterCmd) Validate() error {
	c.cores = -1 // as many as there are: see Run
	switch {
	case c.URL != "" || c.TLS:
		return errors.New("--url, --tls: cluster starts all servers itself, without TLS")
	case len(c.Nodes) == 0 || c.Nodes[0] < 1 || !slices.IsSorted(c.Nodes):
		return errors.New("--nodes: growing numbers from 1 up")
	case len(c.InFlight) == 0 || slices.Min(c.InFlight) < 1 || c.Subscribers < 1:
		return errors.New("--subscribers and --in-flight: at least 1 each")
	case c.Pairs < 1 || c.Joins < 2 || c.Connects < 1:
		return errors.New("--pairs and --connects: at least 1; --joins: at least 2")
	case c.PerNode < heldSteps || c.Connections < heldSteps || c.Connections > 999_999:
		return fmt.Errorf("--connections and --per-node: at least %d, and fewer than a million", heldSteps)
	case c.Rate <= 0 || c.Rounds < 1 || c.For <= 0 || c.Rest <= 0:
		return errors.New("--rate, --rounds, --for and --rest: more than 0")
	}
	return c.commonFlags.Validate()
}

// Run measures. All nodes and NATS share half of the cores.
func (c *clusterCmd) Run(ctx context.Context, std *stdio) error {
	cores, err := target.Cores()
	if err != nil {
		return err
	}
	c.cores = max(1, len(cores)/2)
	return scenario(ctx, "cluster", &c.commonFlags, std, func(ctx context.Context, h *harness) error {
		if err := h.fits(max(c.Subscribers+1, 2*c.Pairs, c.Joins, c.Connects, c.PerNode)); err != nil {
			return err
		}
		r := &clusterRun{clusterCmd: c, h: h}
		if slices.ContainsFunc(c.Parts, func(part string) bool { return part != "held" }) {
			if err := r.grow(ctx); err != nil {
				return err
			}
		}
		if slices.Contains(c.Parts, "held") {
			return r.held(ctx)
		}
		return nil
	})
}

// clusterRun is one run of the scenario. It is for one goroutine.
type clusterRun struct {
	*clusterCmd
	h     *harness
	alone *target.Target // a server without --nats
	nodes *target.Cluster

	rests    growth
	connects [2]growth // paced, and as fast as the window allows
}

// start starts the lone server, and NATS; there is no node yet. stop ends the
// cluster.
func (r *clusterRun) start(ctx context.Context) (stop func(), err error) {
	h := r.h
	if r.alone, err = h.server(ctx); err != nil {
		return nil, err
	}
	r.nodes, err = target.NewCluster(ctx, target.ClusterConfig{Embedded: r.NATS == "embedded", NATSBin: r.NATSBin, Own: h.own()})
	if err != nil {
		return nil, err
	}
	return func() {
		h.fleet.Drop()
		if err := r.nodes.Close(); err != nil {
			h.record.Note("%s", err) // the figures hold all the same
		}
	}, nil
}

// grow measures each number of nodes.
func (r *clusterRun) grow(ctx context.Context) error {
	stop, err := r.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	parts := []struct {
		name    string
		measure func(ctx context.Context, nodes int) error
	}{{"fanout", r.fanout}, {"trips", r.trips}, {"storm", r.storm}, {"rest", r.rest}, {"connect", r.connect}}
	for _, n := range r.Nodes {
		if err := r.nodes.Grow(ctx, n); err != nil {
			return err
		}
		for _, p := range parts {
			if !slices.Contains(r.Parts, p.name) {
				continue
			}
			if err := p.measure(ctx, n); err != nil {
				return fmt.Errorf("%s, %d nodes: %w", p.name, n, err)
			}
		}
	}
	for _, g := range []*growth{&r.rests, &r.connects[0], &r.connects[1]} {
		g.slope(r.h)
	}
	return nil
}

// side is one of the two that are compared.
type side struct {
	*target.Target
	nodes any // as the label says
}

// sides are the lone server and the cluster.
func (r *clusterRun) sides(cluster *target.Target, nodes int) []side {
	return []side{{r.alone, aloneLabel}, {cluster, nodes}}
}

// aloneLabel stands for a server without --nats where others have the number of
// their nodes.
const aloneLabel = "alone"

// fanout adds a row for each number in flight: one publisher on the first node,
// subscribers on all.
func (r *clusterRun) fanout(ctx context.Context, nodes int) error {
	f := &fanoutCmd{commonFlags: r.commonFlags, Bytes: r.Bytes, WarmUp: r.WarmUp, For: r.For}
	var modes []mode
	for _, k := range r.InFlight {
		modes = append(modes, mode{k, 1})
	}
	alone, cluster := make([][]load.Sample, len(modes)), make([][]load.Sample, len(modes))
	for range r.Rounds {
		for _, s := range r.sides(r.nodes.Whole(), nodes) {
			samples, err := f.measure(ctx, r.h, s.Target, r.Subscribers, modes)
			if err != nil {
				return err
			}
			of := cluster
			if s.Target == r.alone {
				of = alone
			}
			for i, sample := range samples {
				of[i] = append(of[i], sample)
			}
		}
	}
	for i, m := range modes {
		r.h.record.Add(r.fanoutRow(nodes, m, alone[i], cluster[i]))
	}
	return nil
}

func (r *clusterRun) fanoutRow(nodes int, m mode, alone, cluster []load.Sample) result.Row {
	const micro = 1e6
	with := make([]load.Sample, len(cluster)) // NATS counts as the nodes do
	for i, s := range cluster {
		s.ServerCPU += s.BrokerCPU
		with[i] = s
	}
	row := result.Row{}.Label("nodes", nodes).Label("subscribers", r.Subscribers).Label("in flight", m.inFlight).
		Rounds("publishes", "1/s", each(cluster, func(s load.Sample) float64 { return float64(s.Publishes) / s.Wall.Seconds() })).
		Rounds("CPU a message", "µs", each(cluster, func(s load.Sample) float64 { return micro * s.ServerCPU.Seconds() / float64(s.Publishes) }))
	if r.nodes.NATS != nil {
		row = row.Rounds("NATS CPU a message", "µs", each(cluster, func(s load.Sample) float64 { return micro * s.BrokerCPU.Seconds() / float64(s.Publishes) }))
	}
	return row.Rounds("CPU a delivery", "µs", perDelivery(cluster)).
		Rounds("alone", "µs", perDelivery(alone)).
		Rounds("× alone", "", load.Ratios(perDelivery(cluster), perDelivery(alone))).
		Rounds("× with NATS", "", load.Ratios(perDelivery(with), perDelivery(alone))).
		Rounds("nodes' cores", "%", each(cluster, load.Sample.ServerLoad)).
		Rounds("others there", "%", each(cluster, load.Sample.ServerTakenLoad)).
		Rounds("client core", "%", each(cluster, load.Sample.ClientLoad))
}
