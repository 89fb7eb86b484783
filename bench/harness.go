package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"signalbox/bench/client"
	"signalbox/bench/floor"
	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// targetFlags say which server to measure.
type targetFlags struct {
	URL      string `name:"url" group:"target" placeholder:"URL" help:"A running server, ws://host:port or wss://host:port (default: build and start one)."`
	SKID     string `name:"sk-id" group:"target" placeholder:"ID" help:"Id of a secret key of that server's app; its patterns must allow all names."`
	SKSecret string `name:"sk-secret" env:"BENCH_SK_SECRET" group:"target" placeholder:"SECRET" help:"Its secret."`
	PID      int    `name:"pid" group:"target" placeholder:"PID" help:"Its process, if it runs here: CPU and memory are measured then."`

	CA       string `name:"ca" group:"target" placeholder:"FILE" help:"Certificates to trust, PEM, if --url is wss (default: the system's)."`
	Insecure bool   `group:"target" help:"Trust any certificate."`

	ServerBin   string   `group:"target" placeholder:"FILE" help:"Binary to start instead of building one."`
	ServerFlags string   `group:"target" placeholder:"FLAGS" help:"Further flags of serve for the server that is started, in one argument."`
	ServerEnv   []string `group:"target" placeholder:"NAME=VALUE" sep:"none" help:"Environment of the server that is started; may be repeated."`
	TLS         bool     `name:"tls" group:"target" help:"Have the server that is started speak TLS, and compare it with itself behind a TLS terminator instead of the floor."`
	Loops       int      `group:"target" placeholder:"N" default:"1" help:"Event loops of the server that is started, each on a core of its own (default: ${default})."`
	ServerCores []int    `group:"target" placeholder:"N" help:"Cores to pin it to (default: the last ones)."`

	cores int // that all servers get together, 0: one a loop
}

// loadFlags say where the load comes from.
type loadFlags struct {
	Source      []netip.Addr  `group:"load" placeholder:"ADDR" help:"Addresses to connect from (default: all over 127.0.0.0/8 towards a server there, else the system's choice)."`
	ClientLoops int           `group:"load" placeholder:"N" help:"Threads that carry the load; 0: one a core that the server leaves, at most two."`
	Window      int           `group:"load" placeholder:"N" default:"64" help:"Connections that may be opening at a time (default: ${default})."`
	Timeout     time.Duration `group:"load" placeholder:"D" default:"10m" help:"Time after which a scenario ends with what it has (default: ${default})."`
}

// outputFlags say where results go.
type outputFlags struct {
	JSON string `name:"json" group:"output" placeholder:"FILE" help:"Also write the raw results here."`
}

// try tells whether results can be written before they are waited for.
func (f outputFlags) try() error {
	if f.JSON == "" {
		return nil
	}
	if err := result.Writable(f.JSON); err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	return nil
}

type commonFlags struct {
	targetFlags `embed:""`
	loadFlags   `embed:""`
	outputFlags `embed:""`
}

// Validate is called by kong once the flags are parsed.
func (c *commonFlags) Validate() error {
	switch {
	case c.URL != "" && (c.SKID == "" || c.SKSecret == ""):
		return errors.New("--url needs --sk-id and --sk-secret")
	case c.URL == "" && c.PID != 0:
		return errors.New("--pid is for a server given with --url")
	case !strings.HasPrefix(c.URL, "wss:") && (c.CA != "" || c.Insecure):
		return errors.New("--ca and --insecure are for a --url that is wss")
	case c.URL != "" && c.TLS:
		return errors.New("--tls is for a server that the harness starts")
	case c.Loops < 1:
		return errors.New("--loops: at least 1")
	case c.ClientLoops < 0:
		return errors.New("--client-loops: at least 0")
	case len(c.ServerCores) > 0 && c.cores == 0 && len(c.ServerCores) != c.Loops:
		return errors.New("--server-cores: as many as --loops")
	case c.Timeout <= 0:
		return errors.New("--timeout: more than 0")
	case c.Window < 1:
		return errors.New("--window: at least 1")
	}
	return nil
}

// harness is what every scenario runs with: clients, servers, a record.
type harness struct {
	flags       *commonFlags
	std         *stdio
	record      *result.Record
	fleet       *client.Fleet
	cores       []int // that were ours before some became the server's
	serverCores []int // that servers are pinned to, none: they share ours
	clientCores []int // that we are pinned to, none: a server of ours shares them
	counted     bool  // the kernel tells for how long these cores were busy
	targets     []*target.Target
	rlimit      int
}

const maxClientLoops = 2

// newHarness prepares a scenario: raises the descriptor limit, divides the
// cores between server and clients, and starts the clients.
func newHarness(scenario string, flags *commonFlags, std *stdio) (*harness, error) {
	if err := flags.try(); err != nil {
		return nil, err
	}
	h := &harness{flags: flags, std: std, record: result.New(scenario, os.Args)}
	h.record.Params = std.params
	var err error
	if h.rlimit, err = raiseLimit(); err != nil {
		return nil, err
	}
	loops, err := h.divide()
	if err != nil {
		return nil, err
	}
	h.count()
	h.fleet, err = client.NewFleet(loops)
	return h, err
}

// count looks whether what others take can be measured. Where it cannot, as in a
// container whose /proc/stat has cores of its own, the other figures hold without.
func (h *harness) count() {
	_, err := target.Busy(slices.Concat(h.serverCores, h.clientCores))
	if h.counted = err == nil; !h.counted {
		h.record.Note("what others took of the cores is not measured: %s", err)
	}
}

// raiseLimit has this process use all the descriptors that it may, and returns
// how many.
func raiseLimit() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, os.NewSyscallError("setrlimit", err)
	}
	return int(min(limit.Cur, 1<<30)), nil
}

// divide gives the server the last cores and the clients the others, if there
// are enough, and returns the number of client loops.
func (h *harness) divide() (loops int, err error) {
	cores, err := target.Cores()
	if err != nil {
		return 0, err
	}
	h.cores = slices.Clone(cores)
	loops = h.flags.ClientLoops
	own := h.flags.URL == ""
	if count := cmp.Or(h.flags.cores, h.flags.Loops); own && len(cores) > count {
		h.serverCores = h.flags.ServerCores
		if len(h.serverCores) == 0 {
			h.serverCores = slices.Clone(cores[len(cores)-count:])
		}
		cores = slices.DeleteFunc(cores, func(core int) bool { return slices.Contains(h.serverCores, core) })
		if err := target.PinSelf(cores); err != nil {
			return 0, err
		}
		h.clientCores = cores
	} else if !own {
		h.clientCores = cores
	} else {
		h.record.Note("server and clients share %d cores: CPU figures hold, rates are too low", len(cores))
	}
	if loops == 0 {
		loops = min(len(cores), maxClientLoops)
	}
	return loops, nil
}

// close ends clients and servers.
func (h *harness) close() error {
	h.fleet.Close()
	err := target.PinSelf(h.cores)
	for _, t := range h.targets {
		if fault := t.Close(); fault != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", t.Name, fault))
		}
	}
	return err
}

// server returns the server under test, started if need be.
func (h *harness) server(ctx context.Context) (*target.Target, error) {
	f := h.flags
	var t *target.Target
	var err error
	if f.URL != "" {
		h.record.Note("the machine told is that of the load")
		t, err = target.Running(target.Remote{URL: f.URL, Key: target.Key{ID: f.SKID, Secret: f.SKSecret}, PID: f.PID, CA: f.CA, Insecure: f.Insecure})
	} else {
		own := h.own()
		own.TLS = f.TLS
		t, err = target.StartOwn(ctx, own)
	}
	if err != nil {
		return nil, err
	}
	h.targets = append(h.targets, t)
	h.record.Server = t.Commit
	return t, nil
}

// own is how servers of ours are started, plain.
func (h *harness) own() target.Own {
	f := h.flags
	return target.Own{Bin: f.ServerBin, Loops: f.Loops, Cores: h.serverCores, Flags: strings.Fields(f.ServerFlags), Env: f.ServerEnv}
}

// floor starts the floor, on the server's cores.
func (h *harness) floor(ctx context.Context) (*target.Target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t, err := target.StartPeer(ctx, floorName, target.Command{Args: []string{self, "floor"}, Cores: h.serverCores}, nil)
	if err != nil {
		return nil, err
	}
	h.targets = append(h.targets, t)
	return t, nil
}

const floorName = "floor"

// terminated starts a plain server and a terminator before it, both on the
// server's cores.
func (h *harness) terminated(ctx context.Context) (*target.Target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	plain, err := target.StartOwn(ctx, h.own())
	if err != nil {
		return nil, err
	}
	t, err := target.Terminate(ctx, "behind a terminator", target.Command{Args: []string{self, "terminator"}, Cores: h.serverCores}, plain)
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	h.targets = append(h.targets, t)
	return t, nil
}

// serverAndFloor returns the server under test and, unless it is not wanted,
// the floor, last. Beside a server that somebody else has started there is none:
// it has neither its cores nor, perhaps, its machine.
func (h *harness) serverAndFloor(ctx context.Context, noFloor bool) ([]*target.Target, error) {
	server, err := h.server(ctx)
	if err != nil || noFloor || h.flags.URL != "" {
		return []*target.Target{server}, err
	}
	if h.flags.TLS {
		terminated, err := h.terminated(ctx)
		return []*target.Target{server, terminated}, err
	}
	bare, err := h.floor(ctx)
	return []*target.Target{server, bare}, err
}

// sources are the addresses to connect to a target from.
func (h *harness) sources(t *target.Target) load.Sources {
	return load.SourcesFor(t.Addr.Addr(), h.flags.Source)
}

// descriptorReserve is what a process needs beside its connections.
const descriptorReserve = 100

// fits tells whether n connections can be held at a time.
func (h *harness) fits(n int) error {
	if room := h.rlimit - descriptorReserve; n > room {
		return fmt.Errorf("%d connections at a time are more than the %d that the limit of %d descriptors allows", n, room, h.rlimit)
	}
	return nil
}

// ramp is how connections are opened, with a line of progress.
func (h *harness) ramp(what string, n int) (client.Ramp, *progress) {
	p := newProgress(h.std, what, n, 0)
	return client.Ramp{Window: h.flags.Window, Progress: p.at}, p
}

// watch tells of the progress of work of total steps, or, if that is 0, of work
// that lasts d, while do runs. count returns what is done and how many errors there
// were, nil: nothing is counted; any goroutine may call it.
func (h *harness) watch(what string, total int, d time.Duration, count func() (done, errors int), do func() error) error {
	p := newProgress(h.std, what, total, d)
	if count == nil {
		p.waits, count = true, func() (int, int) { return 0, 0 }
	}
	defer p.done()
	doneC := make(chan error, 1)
	go func() { doneC <- do() }()
	t := time.NewTicker(redrawEvery)
	defer t.Stop()
	for {
		select {
		case err := <-doneC:
			return err
		case <-t.C:
			p.at(count())
		}
	}
}

// meter measures a target.
func (h *harness) meter(t *target.Target) load.Meter {
	m := load.Meter{Fleet: h.fleet, Process: t.Process, Broker: t.Broker}
	if h.counted {
		m.ServerCores, m.ClientCores = h.serverCores, h.clientCores
	}
	return m
}

// loads adds how busy the server, if it was measured, and the client were, and, if that
// was, how much of one core others had of theirs: medians over rounds.
func (h *harness) loads(row result.Row, measured bool, rounds ...load.Sample) result.Row {
	if measured {
		row = row.Rounds("server core", "%", each(rounds, load.Sample.ServerLoad))
		if h.counted && len(h.serverCores) > 0 {
			row = row.Rounds("others there", "%", each(rounds, load.Sample.ServerTakenLoad))
		}
	}
	row = row.Rounds("client core", "%", each(rounds, load.Sample.ClientLoad))
	if h.counted && len(h.clientCores) > 0 {
		row = row.Rounds("others on the client's", "%", each(rounds, load.Sample.ClientTakenLoad))
	}
	return row
}

// settleLimit is how long a server is given to become idle.
const settleLimit = 15 * time.Second

// settle waits until the server has nothing left to do.
func (h *harness) settle(ctx context.Context, t *target.Target) error {
	if t.Process == nil {
		return load.Sleep(ctx, time.Second)
	}
	return h.restless(t.Name, "idle", settleLimit, h.watch("wait until "+t.Name+" is idle", 0, settleLimit, nil, func() error {
		return t.Process.Settle(ctx, settleLimit)
	}))
}

// restless notes that a server was measured though it was not at rest; any other
// error it returns.
func (h *harness) restless(name, what string, limit time.Duration, err error) error {
	if !errors.Is(err, target.ErrRestless) {
		return err
	}
	note := fmt.Sprintf("%s was not %s after %s, and was measured all the same", name, what, limit)
	if !slices.Contains(h.record.Notes, note) {
		h.record.Note("%s", note)
	}
	return nil
}

// rest waits until what a server holds changes no more, at most limit.
func (h *harness) rest(ctx context.Context, t *target.Target, limit time.Duration) error {
	return h.restless(t.Name, "at rest", limit, h.watch("wait until "+t.Name+" is at rest", 0, limit, nil, func() error {
		return t.Process.Rest(ctx, limit)
	}))
}

// drop closes all connections and waits until the server is done with that.
func (h *harness) drop(ctx context.Context, t *target.Target) error {
	h.fleet.Drop()
	return h.settle(ctx, t)
}

// finish ends clients and servers and writes the record; see conclude.
func (h *harness) finish(ctx context.Context, err error) error {
	cut := ctx.Err() // servers may take longer to stop than the timeout has left
	if fault := h.close(); fault != nil {
		// The figures hold all the same.
		h.record.Note("%s", fault)
	}
	return conclude(cut, h.record, h.flags.JSON, err, h.std)
}

// scenario runs body with a harness and writes what it has measured.
func scenario(ctx context.Context, name string, flags *commonFlags, std *stdio, body func(context.Context, *harness) error) error {
	h, err := newHarness(name, flags, std)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flags.Timeout)
	defer cancel()
	return h.finish(ctx, body(ctx, h))
}

// floorCmd is the floor as a process of its own.
type floorCmd struct{}

// Run serves until ctx is done.
func (floorCmd) Run(ctx context.Context, std *stdio) error {
	s, err := floor.New()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(std.out, `{"addr":"%s","pid":%d}`+"\n", s.Addr(), os.Getpid()); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, s.Stop)()
	return s.Run()
}
