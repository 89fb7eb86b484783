package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"signalbox/engine/cluster"
)

// doctorCmd says how many connections this host holds and what to change, or
// whether a cluster can work over a link to NATS.
type doctorCmd struct {
	Target int64  `placeholder:"N" default:"1000000" help:"Connections that the host shall hold (default: ${default})."`
	JSON   bool   `name:"json" help:"Print all that was found as JSON."`
	Root   string `placeholder:"DIR" default:"/" help:"Read proc and sys below this directory, where a container has the host's root (default: ${default})."`

	NATS string `name:"nats" group:"cluster" env:"-" placeholder:"URL" help:"Look at the link to these NATS servers instead, and listen for nodes; or embedded, with the flags the nodes have (default: none)."`

	natsFlags `embed:""`

	cluster *cluster.Config // as Validate has read it; nil: none
}

// exitStatus is an error that says nothing: the answer has been printed.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// statusUnknown is the doctor's when it cannot tell; falling short is 1, as every failure.
const statusUnknown = 2

// Validate is called by kong once the flags are parsed.
func (c *doctorCmd) Validate() error {
	if c.Target < 1 || c.Target > 1<<30 {
		return fmt.Errorf("--target must be 1 to %d, got %d", 1<<30, c.Target)
	}
	if c.NATS == "" {
		return nil // what the service's environment has of the cluster is of no use then
	}
	var err error
	c.cluster, err = c.config(c.NATS)
	return err
}

// Help is the text under the flags' heading.
func (c *doctorCmd) Help() string {
	return "Changes nothing. Exits with 0 if the host holds the target, 1 if it does not, 2 if that cannot be told; " +
		"with --nats 0 if a cluster can work over the link, 1 if not."
}

// Run prints the diagnosis; the verdict is the exit status.
func (c *doctorCmd) Run(std *stdio) error {
	if c.cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), probeTime)
		defer cancel()
		d := diagnoseLink(cluster.Probe(ctx, *c.cluster, listenTime))
		return c.tell(std.out, d, d.Verdict)
	}
	d := diagnose(readHost(c.Root), c.Target)
	return c.tell(std.out, d, d.Verdict)
}

// probeTime is how long the link may take to be looked at.
const probeTime = 10 * time.Second

// tell prints what was found; the verdict becomes the exit status.
func (c *doctorCmd) tell(out io.Writer, found interface{ print(io.Writer) error }, verdict state) error {
	if c.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(found); err != nil {
			return err
		}
	} else if err := found.print(out); err != nil {
		return err
	}
	switch verdict {
	case stateShort, stateFault:
		return exitStatus(1)
	case stateUnknown:
		return exitStatus(statusUnknown)
	}
	return nil
}

// print writes the diagnosis for people: the verdict, what was found, what to change.
func (d *diagnosis) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintln(&b, d.sentence())
	fmt.Fprintln(&b)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tLIMIT\tFOUND\tCONNECTIONS")
	for _, c := range d.Checks {
		holds := ""
		if c.Holds != nil {
			holds = amount(*c.Holds)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.State, c.Name, c.Found, holds)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	printNotes(&b, d.Checks)
	d.printChanges(&b)
	_, err := io.WriteString(w, trimLines(b.String()))
	return err
}

// sentence is the verdict in words.
func (d *diagnosis) sentence() string {
	switch {
	case d.Verdict == stateUnknown:
		return fmt.Sprintf("Whether this host holds %s connections cannot be told: not every limit could be read.", amount(d.Target))
	case d.Verdict == stateShort:
		return fmt.Sprintf("This host holds about %s connections, not %s; %s is what binds.", amount(*d.Holds), amount(d.Target), d.Binds)
	default:
		return fmt.Sprintf("This host holds %s connections: about %s, where %s binds.", amount(d.Target), amount(*d.Holds), d.Binds)
	}
}

func printNotes(b *strings.Builder, checks []check) {
	fmt.Fprintln(b)
	for _, c := range checks {
		if c.Note != "" {
			fmt.Fprintf(b, "%s: %s\n", c.Name, c.Note)
		}
	}
}

// printChanges writes the commands and the lines that make them last.
func (d *diagnosis) printChanges(b *strings.Builder) {
	var sysctls, units, commands []string
	for _, c := range d.Checks {
		if c.Sysctl != "" {
			sysctls = append(sysctls, c.Sysctl)
		}
		if c.Unit != "" {
			units = append(units, c.Unit)
		}
		commands = append(commands, c.Commands...)
	}
	if len(sysctls) > 0 {
		fmt.Fprint(b, "\nNow, as root:\n")
		for _, line := range sysctls {
			fmt.Fprintf(b, "  sysctl -w '%s'\n", line)
		}
		fmt.Fprint(b, "\nFor good, in /etc/sysctl.d/90-signalbox.conf (then: sysctl --system):\n")
		for _, line := range sysctls {
			name, value, _ := strings.Cut(line, "=")
			fmt.Fprintf(b, "  %s = %s\n", name, value)
		}
	}
	if len(units) > 0 {
		fmt.Fprint(b, "\nIn the service's unit (systemctl edit signalbox):\n  [Service]\n")
		for _, line := range units {
			fmt.Fprintf(b, "  %s\n", line)
		}
	}
	if len(commands) > 0 {
		fmt.Fprint(b, "\nWhere it applies:\n")
		for _, line := range commands {
			fmt.Fprintf(b, "  %s\n", line)
		}
	}
}

// trimLines takes the spaces that a table leaves at the ends of lines.
func trimLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}
