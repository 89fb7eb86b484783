package main

import (
	"context"
	"errors"
	"sync"

	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// heldSteps is in how many steps held connections are opened. What servers hold
// after the first is what the others add to.
const heldSteps = 3

// heldPoint is what connections have cost, and what servers hold with them.
type heldPoint struct {
	connections int     // of all servers together
	anon, pss   float64 // of one server, bytes
	broker      float64 // PSS of NATS
	seconds     float64 // that the connects took
	cpu, nats   float64 // of a connect, µs
}

// held opens connections to as many nodes as it takes, and as many as one of them
// has to a server alone, and adds rows for both.
func (r *clusterRun) held(ctx context.Context) error {
	stop, err := r.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	nodes := (r.Connections + r.PerNode - 1) / r.PerNode
	if err := r.nodes.Grow(ctx, nodes); err != nil {
		return err
	}
	var crowds []*target.Process
	defer func() { dismiss(crowds) }()
	each := r.Connections / nodes / heldSteps
	for _, servers := range [][]*target.Target{{r.alone}, r.nodes.Nodes} {
		points := make([]heldPoint, 0, heldSteps)
		for step := range heldSteps {
			more, point, err := r.hold(ctx, servers, step*each, each)
			crowds = append(crowds, more...)
			if err != nil {
				return err
			}
			points = append(points, point)
		}
		r.holdings(servers, points)
	}
	row, err := r.resting(ctx, result.Row{}.Label("nodes at rest", nodes).Label("connections", each*heldSteps*nodes))
	if err == nil {
		r.h.record.Add(row)
	}
	return err
}

// hold opens n further connections to each of the servers, and looks at them once
// they have come to rest.
func (r *clusterRun) hold(ctx context.Context, servers []*target.Target, from, n int) (crowds []*target.Process, point heldPoint, err error) {
	nats := r.nodes.NATS
	if servers[0] == r.alone {
		nats = nil
	}
	var told []gathered
	cost, broker, err := spans(ctx, servers, nats, func() error {
		var err error
		crowds, told, err = r.gatherAll(ctx, servers, from, n)
		return err
	})
	if err != nil {
		return crowds, point, err
	}
	total := float64(n * len(servers))
	point = heldPoint{connections: (from + n) * len(servers), nats: 1e6 * broker.Seconds() / total}
	for i := range servers {
		point.cpu += 1e6 * cost[i].cpu.Seconds() / total
		point.seconds = max(point.seconds, told[i].Seconds)
	}
	err = r.weigh(ctx, servers, nats, &point)
	return crowds, point, err
}

// weigh adds to a point what servers hold once they have come to rest.
func (r *clusterRun) weigh(ctx context.Context, servers []*target.Target, nats *target.Process, point *heldPoint) error {
	all := r.alone
	if servers[0] != r.alone {
		all = r.nodes.Whole()
	}
	if err := r.h.rest(ctx, all, r.Rest); err != nil {
		return err
	}
	m, err := all.Process.Memory()
	if err != nil {
		return err
	}
	point.anon, point.pss = float64(m.Anon)/float64(len(servers)), float64(m.PSS)/float64(len(servers))
	if nats != nil {
		if m, err = nats.Memory(); err != nil {
			return err
		}
		point.broker = float64(m.PSS)
	}
	return nil
}

// gatherAll starts a crowd for each of the servers.
func (r *clusterRun) gatherAll(ctx context.Context, servers []*target.Target, from, n int) ([]*target.Process, []gathered, error) {
	crowds := make([]*target.Process, len(servers))
	told := make([]gathered, len(servers))
	faults := make([]error, len(servers))
	var all sync.WaitGroup
	for i, t := range servers {
		all.Go(func() {
			// No two have a name or a source address in common.
			first := from*len(servers) + i*n
			crowds[i], told[i], faults[i] = r.h.gather(ctx, t, first, n)
		})
	}
	all.Wait()
	return crowds, told, errors.Join(faults...)
}

// dismiss ends crowds, some of which may not have come.
func dismiss(crowds []*target.Process) {
	for _, p := range crowds {
		if p != nil {
			p.Kill()
		}
	}
}

// holdings adds rows for servers of one kind: points, and what a connection adds.
func (r *clusterRun) holdings(servers []*target.Target, points []heldPoint) {
	const mib = 1 << 20
	var nodes any = len(servers)
	if servers[0] == r.alone {
		nodes = aloneLabel
	}
	var own, all, anon, pss, broker []float64
	for _, p := range points {
		own = append(own, float64(p.connections)/float64(len(servers)))
		all = append(all, float64(p.connections))
		anon, pss, broker = append(anon, p.anon), append(pss, p.pss), append(broker, p.broker)
		row := result.Row{}.Label("nodes", nodes).Label("connections", p.connections).
			Figure("PSS a node", "MiB", p.pss/mib).Figure("heap and stacks a node", "MiB", p.anon/mib).
			Figure("connects", "1/s", float64(points[0].connections)/p.seconds).Figure("CPU a connect", "µs", p.cpu)
		if p.broker > 0 {
			row = row.Figure("NATS PSS", "MiB", p.broker/mib).Figure("NATS CPU a connect", "µs", p.nats)
		}
		r.h.record.Add(row)
	}
	row := result.Row{}.Label("nodes", nodes).Label("connections", "slope").
		Figure("PSS a node", "B/conn", load.Slope(own, pss)).Figure("heap and stacks a node", "B/conn", load.Slope(own, anon))
	if broker[0] > 0 {
		row = row.Figure("NATS PSS", "B/conn", load.Slope(all, broker))
	}
	r.h.record.Add(row)
}
