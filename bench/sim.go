package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"signalbox/bench/result"
	"signalbox/bench/sim"
)

// simCmd runs sessions in this process, without sockets.
type simCmd struct {
	outputFlags `embed:""`
	Sessions    []int           `group:"load" placeholder:"N" default:"10000,100000,1000000" help:"Numbers of sessions to look at, growing (default: ${default})."`
	Section     []string        `group:"load" placeholder:"NAME" enum:"sessions,fanout,roster,scale" default:"sessions,fanout,roster,scale" help:"What to look at (default: ${default})."`
	Loops       []int           `group:"load" placeholder:"N" default:"1,2" help:"Event loops that scale compares; the other sections take the most (default: ${default})."`
	Subscribers int             `group:"load" placeholder:"N" default:"10000" help:"Subscribers of scale's channel (default: ${default})."`
	InFlight    []int           `group:"load" placeholder:"K" default:"1,64" help:"Publishes under way at a time (default: ${default})."`
	WriteCost   []time.Duration `group:"load" placeholder:"D" default:"0s,6us" help:"CPU time that scale has each write burn in place of the kernel (default: ${default})."`
	Bytes       int             `group:"load" placeholder:"N" default:"128" help:"Size of a delivered message, as JSON (default: ${default})."`
	Ping        time.Duration   `name:"ping-interval" group:"load" placeholder:"D" default:"0s" help:"Interval of pings; 0: none (default: ${default})."`
	Rounds      int             `group:"load" placeholder:"N" default:"5" help:"Times that scale measures each number of loops, in turn (default: ${default})."`
	For         time.Duration   `group:"load" placeholder:"D" default:"1s" help:"Length of a measurement (default: ${default})."`
	Timeout     time.Duration   `group:"load" placeholder:"D" default:"10m" help:"Time after which the scenario ends with what it has (default: ${default})."`
	Pin         bool            `group:"load" default:"true" negatable:"" help:"Give each loop a core of its own, if there are more cores than loops (default: ${default})."`
	Profile     bool            `group:"output" help:"Also tell which places allocate what a session holds. Connecting takes longer then."`
}

// Validate is called by kong once the flags are parsed.
func (c *simCmd) Validate() error {
	switch {
	case len(c.Sessions) == 0 || c.Sessions[0] < 2 || !strictlyGrowing(c.Sessions):
		return errors.New("--sessions: growing numbers from 2 up")
	case len(c.Loops) == 0 || slices.Min(c.Loops) < 1 || slices.Max(c.Loops) > 64:
		return errors.New("--loops: 1 to 64 each")
	case c.Subscribers < slices.Max(c.Loops):
		return errors.New("--subscribers: at least one a loop")
	case len(c.InFlight) == 0 || slices.Min(c.InFlight) < 1:
		return errors.New("--in-flight: at least 1 each")
	case len(c.WriteCost) == 0 || slices.Min(c.WriteCost) < 0:
		return errors.New("--write-cost: at least 0 each")
	case c.Rounds < 1 || c.For <= 0 || c.Ping < 0:
		return errors.New("--rounds and --for: more than 0; --ping-interval: at least 0")
	}
	return nil
}

func strictlyGrowing(numbers []int) bool {
	for i := range len(numbers) - 1 {
		if numbers[i] >= numbers[i+1] {
			return false
		}
	}
	return true
}

// Run simulates.
func (c *simCmd) Run(ctx context.Context, std *stdio) error {
	if err := c.try(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	record := result.New("sim", os.Args)
	record.Params, record.Server = std.params, record.Machine.Commit // it is in this program
	var p *progress
	what := ""
	tell := func(now string, done, total int) {
		if p == nil || now != what {
			if p != nil {
				p.done()
			}
			p, what = newProgress(std, now, total, 0), now
		}
		p.total = total
		p.at(done, 0)
	}
	watch, err := watchStalls()
	if err != nil {
		return err
	}
	defer watch.close()
	err = sim.Run(ctx, sim.Config{
		Stall: watch.longest, Sections: c.Section, Sessions: c.Sessions, Loops: c.Loops, Subscribers: c.Subscribers, InFlight: c.InFlight,
		WriteCosts: c.WriteCost, Bytes: c.Bytes, For: c.For, Rounds: c.Rounds, Ping: c.Ping, Pin: c.Pin, Profile: c.Profile,
	}, record, tell)
	if p != nil {
		p.done()
	}
	return conclude(ctx.Err(), record, c.JSON, err, std)
}
