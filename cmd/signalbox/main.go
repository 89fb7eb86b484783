package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

const description = "A self-hosted server for realtime messaging and WebRTC signalling, " +
	"compatible with the clients of Metered Realtime Messaging."

// grammar is the command line: a field a command.
type grammar struct {
	Serve  serveCmd  `cmd:"" help:"Run the server."`
	Init   initCmd   `cmd:"" help:"Write a commented apps.yaml with an app, a secret and a publishable key."`
	Key    keyCmd    `cmd:"" help:"Create, list and revoke keys."`
	Token  tokenCmd  `cmd:"" help:"Mint and check tokens."`
	Echo   echoCmd   `cmd:"" help:"Run a WebSocket echo server on the same reactor, for conformance suites."`
	Doctor doctorCmd `cmd:"" help:"Say how many connections this host holds, and what to change for more."`
	Health healthCmd `cmd:"" help:"Ask the server on this host whether it is well, for containers."`

	Completion kongcompletion.Completion `cmd:"" help:"Print what makes a shell complete commands and flags."`
	Version    versionCmd                `cmd:"" help:"Print the version."`
}

// stdio is what a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	os.Exit(run(os.Args[1:], &stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run executes one command line and returns the exit status.
func run(args []string, std *stdio) int {
	var g grammar
	parser, err := kong.New(&g,
		kong.Name("signalbox"),
		kong.Description(description),
		kong.DefaultEnvars("SIGNALBOX"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Groups{
			"listen":  "Addresses:",
			"data":    "Apps and data:",
			"tls":     "TLS:",
			"cluster": "Cluster:",
			"limits":  "Limits:",
			"tuning":  "Tuning:",
			"logging": "Logging:",
		},
		kong.Writers(std.out, std.err),
		kong.Bind(std),
		defaults(),
	)
	if err != nil {
		return fail(std, err)
	}
	kongcompletion.Register(parser) // answers and exits if it is a shell that asks
	command, err := parser.Parse(args)
	if err != nil {
		return fail(std, fmt.Errorf(`%w (see "signalbox --help")`, err))
	}
	if err := command.Run(); err != nil {
		var status exitStatus
		if errors.As(err, &status) {
			return int(status)
		}
		return fail(std, err)
	}
	return 0
}

// fail prints err as one line and returns the exit status for it.
func fail(std *stdio, err error) int {
	fmt.Fprintf(std.err, "signalbox: error: %s\n", oneLine(err.Error()))
	return 1
}

// abort ends the process where a drain would have.
func (std *stdio) abort() {
	os.Exit(fail(std, errors.New("ended by a second signal, before the drain was done")))
}

// oneLine joins the lines of a text, so that it is one entry wherever a
// service manager collects stderr.
func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}
