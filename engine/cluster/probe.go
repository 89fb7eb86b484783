package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Format is the version of what nodes say to each other: nodes of different
// formats refuse each other.
const Format = format

// Report is what Probe has found.
type Report struct {
	Addr       string // of the NATS server; empty: embedded
	Server     string // its name, if it has one
	Version    string // its version
	Routes     int    // embedded: to other nodes
	Encrypted  bool
	RTT        time.Duration // the shortest of some round trips
	MaxPayload int64         // bytes

	// Denied are subjects that the account may not use, each with what for.
	Denied []string
	// Nodes are those that have answered.
	Nodes []ProbedNode
}

// ProbedNode is a node that Probe has heard.
type ProbedNode struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Format  int    `json:"format"`
	Version string `json:"version"` // of its build
}

// MinPayload returns how large a NATS message may become, in bytes.
func MinPayload(maxMessageSize int) int64 { return int64(max(chunkSize, maxMessageSize+payloadSlack)) }

const probeRounds = 5

// Probe looks at a cluster's NATS without joining the cluster: it says hello, and
// waits for the nodes' answers for so long. An error means that NATS cannot be
// reached, or not so.
func Probe(ctx context.Context, c Config, listen time.Duration) (*Report, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c.Logger = slog.New(slog.DiscardHandler)
	b, err := newNATS(c)
	if err != nil {
		return nil, err
	}
	urls := c.URLs
	if urls == EmbeddedNATS {
		urls, c.Embedded.Held = "", true // by a node on this host, maybe
		if err := b.startServer(&c); err != nil {
			return nil, err
		}
		defer b.stopServer()
	}
	nc, err := nats.Connect(urls, append(b.access(&c), nats.Name("signalbox doctor"), nats.Timeout(b.times.dial),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...) // look asks for the last error
	if err != nil {
		return nil, fmt.Errorf("cluster: NATS: %w", err)
	}
	defer nc.Close()
	r := &Report{Version: nc.ConnectedServerVersion(), MaxPayload: nc.MaxPayload()}
	if urls != "" {
		if name := nc.ConnectedServerName(); name != nc.ConnectedServerId() {
			r.Server = name
		}
		_, err := nc.TLSConnectionState()
		r.Addr, r.Encrypted = nc.ConnectedAddr(), err == nil // its URL may hold a token
	}
	if err := r.look(nc); err != nil {
		return nil, fmt.Errorf("cluster: NATS does not answer: %w", err)
	}
	if r.Nodes, err = b.greet(ctx, nc, listen); err != nil {
		return nil, err
	}
	if s := b.server.Load(); s != nil {
		r.Routes = s.NumRemotes()
	}
	return r, nil
}

// look measures round trips, and tries subjects of each kind that no node is at.
func (r *Report) look(nc *nats.Conn) error {
	for range probeRounds {
		rtt, err := nc.RTT()
		if err != nil {
			return err
		}
		if r.RTT == 0 || rtt < r.RTT {
			r.RTT = rtt
		}
	}
	unused := nats.NewInbox()[len(nats.InboxPrefix):]
	for _, prefix := range []string{prefixChannel, prefixPeer, prefixNode, prefixReply} {
		if err := errors.Join(r.trySubscribe(nc, prefix+unused), r.tryPublish(nc, prefix+unused)); err != nil {
			return err
		}
	}
	return errors.Join(r.trySubscribe(nc, subjectAll), r.trySubscribe(nc, subjectHello))
}

func (r *Report) trySubscribe(nc *nats.Conn, subject string) error {
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		return err
	}
	if err := r.denied(nc, "subscribe to", subject); err != nil {
		return err
	}
	_ = sub.Unsubscribe() // an error says that it was denied
	return nil
}

func (r *Report) tryPublish(nc *nats.Conn, subject string) error {
	if err := nc.Publish(subject, nil); err != nil {
		return err
	}
	return r.denied(nc, "publish to", subject)
}

// denied notes whether NATS has just refused a subject.
func (r *Report) denied(nc *nats.Conn, what, subject string) error {
	if err := nc.Flush(); err != nil {
		return err
	}
	if last := nc.LastError(); errors.Is(last, nats.ErrPermissionViolation) && strings.Contains(last.Error(), `"`+subject+`"`) {
		r.Denied = append(r.Denied, what+" "+subject)
	}
	return nil
}

// greet returns the nodes that answer a hello within so long. It is said several
// times: routes may still be coming up.
func (b *NATS) greet(ctx context.Context, nc *nats.Conn, patience time.Duration) (nodes []ProbedNode, err error) {
	answerC := make(chan *nats.Msg, maxNodes)
	if _, err := nc.ChanSubscribe(b.welcome, answerC); err != nil {
		return nil, fmt.Errorf("cluster: cannot listen for nodes: %w", err)
	}
	again := time.NewTicker(patience / 4)
	defer again.Stop()
	enough := time.After(patience)
	known := map[string]bool{}
	for {
		if err := nc.PublishRequest(subjectHello, b.welcome, b.helloText); err != nil {
			return nil, fmt.Errorf("cluster: cannot say hello: %w", err)
		}
		for waits := true; waits; {
			select {
			case m := <-answerC:
				if h, err := parseHello(m.Data); err == nil && !known[h.ID] && len(nodes) < maxNodes {
					known[h.ID] = true
					nodes = append(nodes, ProbedNode{h.ID, h.Node, h.Format, h.Version})
				}
			case <-again.C:
				waits = false
			case <-enough:
				return nodes, nil
			case <-ctx.Done():
				return nodes, ctx.Err()
			}
		}
	}
}
