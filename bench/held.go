package main

import (
	"context"
	"slices"

	"signalbox/bench/result"
	"signalbox/bench/target"
)

// held says what a function allocates for each connection.
var held = map[string]string{
	"v2.newStreamConn":                "gnet's connection",
	"v2.(*connMatrix).addConn":        "gnet's table of connections",
	"socket.SockaddrToTCPOrUnixAddr":  "the client's address, for net",
	"unix.anyToSockaddr":              "the client's address, from the kernel",
	"reactor.(*loop).open":            "the reactor's connection",
	"session.(*Loop).Open":            "the session",
	"session.(*Loop).enter":           "its place in the loop's lists",
	"session.(*Session).joined":       "its subscription",
	"session.(*Session).subscribe":    "the channel's name",
	"registry.(*Space).Acquire.func1": "the channel with its home part",
	"registry.(*Space).Enter.func1":   "the peer's entry",
	"registry.(*table).rehash":        "the directories' tables",
	"registry.(*Part).Add":            "the subscriber's entry",
	"auth.decodeString":               "the peer's id",
}

// heldRows is how many of the functions that allocate most are told.
const heldRows = 14

// profileIdle adds rows that tell where an idle connection's bytes were
// allocated: what is alive with the larger number of connections and was not
// with the smaller. It takes a server of its own, as a profile of every object
// changes what the process holds.
func profileIdle(ctx context.Context, h *harness, few, many int) error {
	t, err := h.profiled(ctx)
	if err != nil {
		return err
	}
	before, err := heapWith(ctx, h, t, 0, few)
	if err != nil {
		return err
	}
	after, err := heapWith(ctx, h, t, few, many)
	if err != nil {
		return err
	}
	add := func(what, function string, bytes int64) {
		h.record.Add(result.Row{}.Label("held", what).Label("allocated by", function).
			Figure("alive", "B/conn", float64(bytes)/float64(many-few)))
	}
	var all, rest int64
	for i, g := range after.Since(before) {
		all += g.Bytes
		if i < heldRows {
			add(held[g.Function], g.Function, g.Bytes)
		} else {
			rest += g.Bytes
		}
	}
	add("all else", "", rest)
	add("sum", "", all)
	return h.drop(ctx, t)
}

// heapWith opens the connections from one number of them to the next and returns
// what the server holds then.
func heapWith(ctx context.Context, h *harness, t *target.Target, from, to int) (target.Heap, error) {
	if err := openOwn(ctx, h, t, from, to); err != nil {
		return nil, err
	}
	if err := h.settle(ctx, t); err != nil {
		return nil, err
	}
	return t.Heap(ctx)
}

// profiled starts the server once more, to tell of every object.
func (h *harness) profiled(ctx context.Context) (*target.Target, error) {
	before := h.flags.ServerEnv
	h.flags.ServerEnv = append(slices.Clone(before), target.ProfileEverything)
	defer func() { h.flags.ServerEnv = before }()
	return h.server(ctx)
}

// openOwn opens the connections from one number of them to the next, each with a
// channel of its own.
func openOwn(ctx context.Context, h *harness, t *target.Target, from, to int) error {
	specs, err := ownChannels(h, t, from, to, newConnectWatch(h.fleet.Size()).handler)
	if err != nil {
		return err
	}
	ramp, p := h.ramp("connect to "+t.Name, to-from)
	defer p.done()
	return h.fleet.Open(ctx, ramp, specs).Err()
}
