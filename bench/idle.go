package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// idleCmd measures what an idle connection holds.
type idleCmd struct {
	commonFlags `embed:""`
	Connections []int         `group:"load" placeholder:"N" default:"3000,6000,9000,12000,15000" help:"Numbers of connections to look at, growing (default: ${default})."`
	Rest        time.Duration `group:"load" placeholder:"D" default:"20s" help:"Time that the server is given to come to rest before it is looked at (default: ${default})."`
	NoFloor     bool          `group:"load" help:"Leave the floor out."`
	Profile     bool          `group:"output" help:"Also tell what an idle connection's bytes are, from the heap profile of a further server."`
}

// Validate is called by kong once the flags are parsed.
func (c *idleCmd) Validate() error {
	if len(c.Connections) == 0 || c.Connections[0] < 1 || !slices.IsSorted(c.Connections) {
		return errors.New("--connections: growing numbers from 1 up")
	}
	if c.Profile && (c.URL != "" || c.Connections[0] == slices.Max(c.Connections)) {
		return errors.New("--profile needs a server that the harness starts, and two different --connections")
	}
	return c.commonFlags.Validate()
}

// idlePoint is what a number of connections holds, in bytes.
type idlePoint struct {
	connections int
	user        target.Memory
	kernel      target.KernelMemory
}

// Run measures.
func (c *idleCmd) Run(ctx context.Context, std *stdio) error {
	return scenario(ctx, "idle", &c.commonFlags, std, func(ctx context.Context, h *harness) error {
		if err := h.fits(slices.Max(c.Connections)); err != nil {
			return err
		}
		targets, err := h.serverAndFloor(ctx, c.NoFloor)
		if err != nil {
			return err
		}
		for _, t := range targets {
			if t.Process == nil {
				return errors.New("idle needs the server's memory: it must run on this machine, with --pid")
			}
			points, err := c.measure(ctx, h, t)
			c.report(h, t, points)
			if err != nil {
				return err
			}
			if err := h.drop(ctx, t); err != nil {
				return err
			}
		}
		if c.Profile {
			return profileIdle(ctx, h, c.Connections[0], slices.Max(c.Connections))
		}
		return nil
	})
}

// measure opens more and more connections and looks at each number of them. The
// first point is that of none.
func (c *idleCmd) measure(ctx context.Context, h *harness, t *target.Target) (points []idlePoint, err error) {
	for _, n := range append([]int{0}, c.Connections...) {
		from := 0
		if len(points) > 0 {
			from = points[len(points)-1].connections
		}
		if err := openOwn(ctx, h, t, from, n); err != nil {
			return points, err
		}
		if err := h.rest(ctx, t, c.Rest); err != nil {
			return points, err
		}
		point := idlePoint{connections: n}
		if point.user, err = t.Process.Memory(); err != nil {
			return points, err
		}
		if point.kernel, err = target.Kernel(); err != nil {
			return points, err
		}
		points = append(points, point)
	}
	return points, nil
}

// report adds a row for each point and one with the slopes. Those leave out the
// point of none, if others tell them: the first connections bring in pages of
// code, stacks and buffers that no further one adds to.
func (c *idleCmd) report(h *harness, t *target.Target, points []idlePoint) {
	const mib = 1 << 20
	var x, pss, anon, kernel []float64
	for _, p := range points {
		x = append(x, float64(p.connections))
		pss = append(pss, float64(p.user.PSS))
		anon = append(anon, float64(p.user.Anon))
		kernel = append(kernel, float64(p.kernel.Slab+p.kernel.TCP))
		h.record.Add(result.Row{}.Label("server", t.Name).Label("connections", p.connections).
			Figure("PSS", "MiB", float64(p.user.PSS)/mib).Figure("heap and stacks", "MiB", float64(p.user.Anon)/mib).
			Figure("kernel, both ends", "MiB", float64(p.kernel.Slab+p.kernel.TCP)/mib))
	}
	if len(points) < 2 {
		return
	}
	if len(points) > 2 {
		x, pss, anon, kernel = x[1:], pss[1:], anon[1:], kernel[1:]
	}
	h.record.Add(result.Row{}.Label("server", t.Name).Label("connections", "slope").
		Figure("PSS", "B/conn", load.Slope(x, pss)).Figure("heap and stacks", "B/conn", load.Slope(x, anon)).
		Figure("kernel, one end", "B/conn", load.Slope(x, kernel)/2))
}
