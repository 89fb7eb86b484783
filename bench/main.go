package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"
)

const description = "Puts load on a Signalbox server and measures what it costs: on one that runs " +
	"(--url, --sk-id, --sk-secret), or on one of its own."

// grammar is the command line: a field a scenario.
type grammar struct {
	Connect    connectCmd    `cmd:"" help:"Connects a second and server CPU a connect."`
	Idle       idleCmd       `cmd:"" help:"Memory an idle connection holds, in user space and in the kernel."`
	Fanout     fanoutCmd     `cmd:"" help:"Deliveries a second and server CPU a delivery, against the floor."`
	Latency    latencyCmd    `cmd:"" help:"Percentiles of publish to delivery at paced loads."`
	Direct     directCmd     `cmd:"" help:"Direct messages there and back: rate and percentiles."`
	Presence   presenceCmd   `cmd:"" help:"A storm of joins and leaves: frames, bytes, time until every roster is right."`
	Reconnect  reconnectCmd  `cmd:"" help:"A deploy: all connections drop and come back."`
	Slow       slowCmd       `cmd:"" help:"Percentiles of healthy peers while others never read."`
	Soak       soakCmd       `cmd:"" help:"Mixed traffic for long: every delivery accounted for, leaks."`
	Peers      peersCmd      `cmd:"" help:"The same runs against other servers, side by side."`
	Cluster    clusterCmd    `cmd:"" help:"Several nodes on NATS: what crosses between them, and how cost grows with their number."`
	Sim        simCmd        `cmd:"" help:"Up to a million sessions in one process, without sockets: heap, GC, fan-out, rosters."`
	Report     reportCmd     `cmd:"" help:"Draw the raw results of scenarios: one HTML page, or SVG files."`
	Terminator terminatorCmd `cmd:"" hidden:"" help:"Run a TLS terminator."`
	Crowd      crowdCmd      `cmd:"" hidden:"" help:"Hold idle connections."`
	Floor      floorCmd      `cmd:"" hidden:"" help:"Run the floor: a bare hub."`
	Stalls     stallsCmd     `cmd:"" hidden:"" help:"Watch for what the machine keeps from running."`
}

// stdio is where a scenario writes: results to out, progress to err.
type stdio struct {
	out, err io.Writer
	terminal bool              // err is one
	params   map[string]string // flags of the command line with their values
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	// Once the first signal has begun the orderly end, the next one ends us.
	context.AfterFunc(ctx, stop)
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	os.Exit(run(ctx, os.Args[1:], &stdio{out: os.Stdout, err: os.Stderr, terminal: err == nil}))
}

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string, std *stdio) int {
	var g grammar
	parser, err := kong.New(&g,
		kong.Name("bench"),
		kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Groups{"target": "Server under test:", "load": "Load:", "output": "Output:"},
		kong.Writers(std.out, std.err),
		kong.Bind(std),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return fail(std, err)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return fail(std, fmt.Errorf(`%w (see "bench --help")`, err))
	}
	std.params = params(command)
	if err := command.Run(); err != nil {
		return fail(std, err)
	}
	return 0
}

// params are the values of all flags, given or not, that are and hold no secret.
func params(command *kong.Context) map[string]string {
	values := make(map[string]string)
	for _, flag := range command.Flags() {
		if flag.Name != "help" && flag.Name != "sk-secret" && flag.Name != "server-env" {
			values[flag.Name] = fmt.Sprint(command.FlagValue(flag))
		}
	}
	return values
}

// fail prints err and returns the exit status for it.
func fail(std *stdio, err error) int {
	fmt.Fprintf(std.err, "bench: error: %s\n", err)
	return 1
}
