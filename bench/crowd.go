package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/target"
)

// crowdCmd holds connections to a server, each with a channel of its own, as a
// process of its own: as many as the descriptors of one allow.
type crowdCmd struct {
	To          string `required:"" help:"Address of the server."`
	SKID        string `name:"sk-id" required:"" help:"Id of a secret key."`
	SKSecret    string `name:"sk-secret" env:"BENCH_SK_SECRET" required:"" help:"Its secret."`
	First       int    `help:"Number of the first connection."`
	Connections int    `required:"" help:"How many."`
	Window      int    `default:"64" help:"Connections that may be opening at a time."`
}

// gathered is what a crowd tells once its connections are open.
type gathered struct {
	PID     int     `json:"pid"`
	Ready   int     `json:"ready"`
	Fault   string  `json:"fault,omitempty"` // why others are not
	Seconds float64 `json:"seconds"`
}

// Run holds the connections until ctx is done.
func (c crowdCmd) Run(ctx context.Context, std *stdio) error {
	if _, err := raiseLimit(); err != nil {
		return err
	}
	t, err := target.Running(target.Remote{URL: "ws://" + c.To, Key: target.Key{ID: c.SKID, Secret: c.SKSecret}})
	if err != nil {
		return err
	}
	fleet, err := client.NewFleet(1)
	if err != nil {
		return err
	}
	defer fleet.Close()
	h := &harness{flags: &commonFlags{}, fleet: fleet}
	specs, err := ownChannels(h, t, c.First, c.First+c.Connections, newConnectWatch(1).handler)
	if err != nil {
		return err
	}
	opened := fleet.Open(ctx, client.Ramp{Window: c.Window}, specs)
	told := gathered{PID: os.Getpid(), Ready: opened.Ready, Seconds: opened.Took.Seconds()}
	if err := opened.Err(); err != nil {
		told.Fault = err.Error()
	}
	if err := json.NewEncoder(std.out).Encode(told); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// gatherLimit is how long a crowd may take to open its connections.
const gatherLimit = 3 * time.Minute

// gather starts a crowd of n connections, and returns once they are open.
func (h *harness) gather(ctx context.Context, t *target.Target, first, n int) (*target.Process, gathered, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, gathered{}, err
	}
	key := t.Signalbox().Key
	var told gathered
	p, _, err := target.Start(ctx, target.Command{
		Args: []string{self, "crowd", "--to", t.Addr.String(), "--sk-id", key.ID, "--first", strconv.Itoa(first),
			"--connections", strconv.Itoa(n), "--window", strconv.Itoa(h.flags.Window)},
		Env: []string{"BENCH_SK_SECRET=" + key.Secret},
		Ready: func(line string) (string, bool) {
			return "", json.Unmarshal([]byte(line), &told) == nil && told.PID != 0
		},
		Limit: gatherLimit,
	})
	if err == nil && told.Fault != "" {
		err = fmt.Errorf("%s: %s", t.Addr, told.Fault)
	}
	return p, told, err
}
