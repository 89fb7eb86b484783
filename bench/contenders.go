package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"signalbox/bench/result"
	"signalbox/bench/target"
)

// contender is a server that takes part in a comparison.
type contender struct {
	name  string
	start func(ctx context.Context) (*target.Target, error)
}

const (
	serverName     = "signalbox"
	centrifugeName = "centrifuge"
	nodeName       = "ws"
)

// contenderNames are all there are, in the order in which they take turns.
var contenderNames = []string{floorName, serverName, "gnet", "gws", "nbio", "coder", centrifugeName, nodeName}

// choose returns the contenders that are wanted, none meaning all. The floor
// always takes part: the others are told as multiples of it.
func choose(wanted []string) ([]string, error) {
	for _, name := range wanted {
		if !slices.Contains(contenderNames, name) {
			return nil, fmt.Errorf("--servers: %q is none of %s", name, strings.Join(contenderNames, ", "))
		}
	}
	if len(wanted) == 0 {
		return contenderNames, nil
	}
	var names []string
	for _, name := range contenderNames {
		if name == floorName || slices.Contains(wanted, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// peersDir is the peers' module within ours.
const peersDir = "bench/peers"

// workshop builds the contenders.
type workshop struct {
	h     *harness
	dir   string // for what is built
	peers string // the peers' module
}

// contenders builds the servers that are named into dir. One that cannot be
// built here for want of Node is noted and left out.
func contenders(ctx context.Context, h *harness, dir string, names []string) ([]contender, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	w := &workshop{h: h, dir: dir, peers: filepath.Join(root, peersDir)}
	hubs := filepath.Join(dir, "peers")
	if err := command(ctx, w.peers, "go", "build", "-buildvcs=false", "-o", hubs, "."); err != nil {
		return nil, err
	}
	var all []contender
	for _, name := range names {
		c := contender{name: name}
		switch name {
		case serverName:
			if c.start, err = w.server(ctx); err != nil {
				return nil, err
			}
		case nodeName:
			if c.start, err = w.node(ctx); err != nil {
				h.record.Note("%s is left out: %s", name, err)
				continue
			}
		default:
			c.start = w.peer(name, target.Command{Args: []string{hubs, name}})
		}
		all = append(all, c)
	}
	return all, nil
}

// moduleRoot is the directory of the module that we run in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("the peers are built from source, so run this within the repository: go list: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// command runs a command in a directory.
func command(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// server builds this module's server.
func (w *workshop) server(ctx context.Context) (func(context.Context) (*target.Target, error), error) {
	bin := w.h.flags.ServerBin
	if bin == "" {
		bin = filepath.Join(w.dir, serverName)
		if err := target.Build(ctx, bin, "signalbox/cmd/signalbox"); err != nil {
			return nil, err
		}
		w.h.record.Server = result.Checkout()
	}
	return func(ctx context.Context) (*target.Target, error) {
		own := w.h.own()
		own.Bin = bin
		return target.StartOwn(ctx, own)
	}, nil
}

// node installs what the hub on Node's ws needs.
func (w *workshop) node(ctx context.Context) (func(context.Context) (*target.Target, error), error) {
	dir := filepath.Join(w.peers, "node")
	if _, err := exec.LookPath("node"); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", nodeName)); err != nil {
		if err := command(ctx, dir, "npm", "ci"); err != nil {
			return nil, err
		}
	}
	return w.peer(nodeName, target.Command{Args: []string{"node", "hub.mjs"}, Dir: dir}), nil
}

// peer returns how another server is started.
func (w *workshop) peer(name string, c target.Command) func(context.Context) (*target.Target, error) {
	c.Cores = w.h.serverCores
	c.Env = []string{fmt.Sprint("GOMAXPROCS=", w.h.flags.Loops)}
	var dialect func(host string) target.Dialect
	if name == centrifugeName {
		dialect = func(host string) target.Dialect { return &target.Centrifuge{Host: host} }
	}
	return func(ctx context.Context) (*target.Target, error) {
		return target.StartPeer(ctx, name, c, dialect)
	}
}
