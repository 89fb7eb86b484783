package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"signalbox/engine"
	"signalbox/engine/cluster"
)

// listenTime is how long the doctor waits for nodes to answer.
const listenTime = 1500 * time.Millisecond

// slowRTT is where a round trip begins to be felt: a subscribe to a channel that
// is new to its node takes about two.
const slowRTT = 20 * time.Millisecond

// linkDiagnosis is what the doctor says of the link to a cluster's NATS.
type linkDiagnosis struct {
	Verdict state                `json:"verdict"` // ok or fault
	Checks  []check              `json:"checks"`
	Nodes   []cluster.ProbedNode `json:"nodes"`
}

// diagnoseLink judges what a probe has found, or why it has failed.
func diagnoseLink(r *cluster.Report, err error) *linkDiagnosis {
	d := &linkDiagnosis{Verdict: stateOK, Nodes: []cluster.ProbedNode{}}
	if err != nil {
		d.Checks = []check{{Name: "connection", Found: oneLine(err.Error()), State: stateFault}}
	} else {
		d.Nodes = append(d.Nodes, r.Nodes...)
		d.Checks = []check{connectionCheck(r), roundTripCheck(r), payloadCheck(r), permissionsCheck(r), nodesCheck(r)}
		if r.Addr != "" {
			d.Checks = append(d.Checks, untold...)
		}
	}
	for _, c := range d.Checks {
		if c.State == stateFault {
			d.Verdict = stateFault
		}
	}
	return d
}

// untold are limits that NATS tells no client.
var untold = []check{
	{
		Name: "max_subscriptions", Found: "not told by NATS", State: stateUnknown,
		Note: "a node has one subscription for each channel with subscribers and each peer with sockets on it: the account must allow as many",
	},
	{
		Name: "max_pending", Found: "not told by NATS", State: stateUnknown,
		Note: "a node that reads slower than this many bytes (64 MB unless set) behind is dropped, and comes back",
	},
}

func connectionCheck(r *cluster.Report) check {
	c := check{Name: "connection", State: stateOK}
	server := strings.TrimSpace(r.Server + " nats-server " + r.Version)
	switch {
	case r.Addr == "":
		c.Found = fmt.Sprintf("embedded %s, routes to %d", server, r.Routes)
		if r.Routes == 0 {
			c.State = stateFault
			c.Note = "no other node was reached: look at --nats-routes, the secret, certificates, and firewalls"
		}
	case r.Encrypted:
		c.Found = fmt.Sprintf("%s at %s, TLS", server, r.Addr)
	default:
		c.Found = fmt.Sprintf("%s at %s, not encrypted", server, r.Addr)
		c.Note = "whoever is on the way reads all messages: use tls:// unless the network is trusted"
	}
	return c
}

func roundTripCheck(r *cluster.Report) check {
	c := check{Name: "round trip", State: stateOK, Found: r.RTT.Round(time.Microsecond).String()}
	if r.RTT > slowRTT {
		c.State = stateAdvice
		c.Note = "a subscribe to a channel that is new to its node takes about two; put NATS nearer"
	}
	return c
}

func payloadCheck(r *cluster.Report) check {
	c := check{Name: "max_payload", State: stateOK, Found: amount(r.MaxPayload) + " bytes"}
	if need := cluster.MinPayload(engine.DefaultConfig().Limits.MaxMessageSize); r.MaxPayload < need {
		c.State = stateFault
		c.Note = fmt.Sprintf("must be at least %s, and 8 KiB more than --max-message-size: larger messages would not cross", amount(need))
	}
	return c
}

func permissionsCheck(r *cluster.Report) check {
	c := check{Name: "permissions", State: stateOK, Found: "may publish and subscribe below signalbox."}
	if len(r.Denied) > 0 {
		c.State = stateFault
		c.Found = "may not " + strings.Join(r.Denied, ", ")
		c.Note = "the user needs to publish and subscribe to signalbox.>"
	}
	return c
}

func nodesCheck(r *cluster.Report) check {
	c := check{Name: "nodes", State: stateOK, Found: "none is heard"}
	for _, n := range r.Nodes {
		if n.Format != cluster.Format {
			c.State = stateFault
			c.Note = fmt.Sprintf("nodes of this version speak format %d; those of another refuse them", cluster.Format)
		}
	}
	if len(r.Nodes) > 0 {
		c.Found = amount(int64(len(r.Nodes)))
	}
	return c
}

// print writes the diagnosis for people.
func (d *linkDiagnosis) print(w io.Writer) error {
	var b strings.Builder
	switch {
	case d.Verdict != stateOK:
		fmt.Fprintln(&b, "A cluster cannot work over this link.")
	case len(d.Nodes) == 0:
		fmt.Fprintln(&b, "A cluster can work over this link; no node is there yet.")
	default:
		fmt.Fprintln(&b, "A cluster works over this link.")
	}
	fmt.Fprintln(&b)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tCHECK\tFOUND")
	for _, c := range d.Checks {
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.State, c.Name, c.Found)
	}
	if len(d.Nodes) > 0 {
		fmt.Fprintln(table, "\n\tNODE\tID\tFORMAT\tBUILD")
		for _, n := range d.Nodes {
			fmt.Fprintf(table, "\t%s\t%s\t%d\t%s\n", n.Name, n.ID, n.Format, n.Version)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	printNotes(&b, d.Checks)
	_, err := io.WriteString(w, trimLines(b.String()))
	return err
}
