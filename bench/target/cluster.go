package target

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ClusterConfig says how to start servers of ours as the nodes of one cluster.
type ClusterConfig struct {
	Own             // of each node; Cores are those of all, and of NATS
	Embedded bool   // each node runs NATS in its process
	NATSBin  string // nats-server; built if empty
}

// Cluster is servers of ours that NATS joins, with one app.
type Cluster struct {
	Nodes  []*Target
	NATS   *Process // nil if embedded
	config ClusterConfig
	dir    string
	join   []string // flags of serve
	routes []*port  // of nodes with NATS embedded, which must be told of them before they listen
}

// natsModule is the command nats-server, as go.mod has it.
const natsModule = "github.com/nats-io/nats-server/v2"

// NewCluster builds what a cluster needs and starts its NATS server, if that is a
// process of its own. There is no node yet.
func NewCluster(ctx context.Context, config ClusterConfig) (c *Cluster, err error) {
	c = &Cluster{config: config}
	if c.dir, err = os.MkdirTemp("", "signalbox-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	c.config.Key = newKey()
	if config.Bin == "" {
		c.config.Bin = filepath.Join(c.dir, "signalbox")
		if err := Build(ctx, c.config.Bin, "signalbox/cmd/signalbox"); err != nil {
			return nil, err
		}
	}
	if config.Embedded {
		c.join = []string{"--nats", "embedded"}
		return c, nil
	}
	if config.NATSBin == "" {
		c.config.NATSBin = filepath.Join(c.dir, "nats-server")
		if err := Build(ctx, c.config.NATSBin, natsModule); err != nil {
			return nil, err
		}
	}
	nats, addr, err := Start(ctx, Command{Args: []string{c.config.NATSBin, "--addr", "127.0.0.1", "--port", "-1"}, Cores: config.Cores, Ready: natsListens})
	if err != nil {
		return nil, err
	}
	c.NATS, c.join = nats, []string{"--nats", "nats://" + addr}
	return c, nil
}

// natsListens looks for the line in which nats-server tells its address.
func natsListens(line string) (addr string, ok bool) {
	_, addr, ok = strings.Cut(line, "Listening for client connections on ")
	return strings.TrimSpace(addr), ok
}

// foundLimit is how long nodes may take to hear of one another.
const foundLimit = time.Minute

// Grow starts further nodes until there are n, and waits until each hears all
// others.
func (c *Cluster) Grow(ctx context.Context, n int) error {
	for len(c.Nodes) < n {
		own := c.config.Own
		own.Flags = slices.Concat(own.Flags, c.join, []string{"--node", fmt.Sprintf("node-%d", len(c.Nodes)+1)})
		if c.config.Embedded {
			routes, err := keepPort()
			if err != nil {
				return err
			}
			c.routes = append(c.routes, routes)
			own.Flags = append(own.Flags, "--nats-listen", routes.addr.String())
			if len(c.Nodes) == 0 {
				c.join = append(c.join, "--nats-routes", routes.addr.String())
			}
		}
		node, err := StartOwn(ctx, own)
		if err != nil {
			return fmt.Errorf("node %d: %w", len(c.Nodes)+1, err)
		}
		c.Nodes = append(c.Nodes, node)
	}
	for i, node := range c.Nodes {
		if err := node.hears(ctx, n); err != nil {
			return fmt.Errorf("node %d: %w", i+1, err)
		}
	}
	return nil
}

// hears waits until the node knows of n nodes, itself included.
func (t *Target) hears(ctx context.Context, n int) error {
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(foundLimit); ; {
		m, err := t.Metrics(ctx)
		if err != nil {
			return err
		}
		if int(m["signalbox_cluster_nodes"]) == n {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it hears of %v nodes instead of %d", m["signalbox_cluster_nodes"], n)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
}

// Whole is the cluster as one target: members of channels are on all nodes in
// turn, publishers on the first, and its cost is that of all nodes.
func (c *Cluster) Whole() *Target { return c.from(0) }

// Across is the cluster as one target whose members are on all nodes but the
// first, on which its publishers are. There must be two.
func (c *Cluster) Across() *Target { return c.from(1) }

func (c *Cluster) from(first int) *Target {
	one := c.Nodes[0]
	t := &Target{Name: "cluster", Addr: one.Addr, Dialect: one.Dialect, Broker: c.NATS, Process: &Process{PID: one.Process.PID}}
	t.members = addresses(c.Nodes[first:])
	for _, node := range c.Nodes[1:] {
		t.Process.with = append(t.Process.with, node.Process)
	}
	return t
}

func addresses(nodes []*Target) []netip.AddrPort {
	var list []netip.AddrPort
	for _, node := range nodes {
		list = append(list, node.Addr)
	}
	return list
}

// Close stops the nodes, then NATS.
func (c *Cluster) Close() error {
	faults := make([]error, len(c.Nodes))
	var ended sync.WaitGroup
	for i, node := range c.Nodes {
		ended.Go(func() { faults[i] = node.Close() })
	}
	ended.Wait()
	err := errors.Join(faults...)
	if c.NATS != nil {
		err = errors.Join(err, c.NATS.Stop())
	}
	for _, p := range c.routes {
		p.release()
	}
	_ = os.RemoveAll(c.dir)
	return err
}
