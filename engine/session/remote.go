package session

import (
	"context"
	"sync"

	"signalbox/engine/cluster"
	"signalbox/engine/registry"
)

// remote is the hub as other nodes reach it: a cluster.Node. But for mu, its
// fields belong to the bus's goroutine.
type remote struct {
	hub *Hub
	// loops are those that were given changes of rosters since Settle.
	loops registry.Loops
	// life counts how often any node has gone, so that what ends then is not
	// mistaken for what begins when it is back.
	life uint64
}

// Remote returns the hub as other nodes reach it.
func (h *Hub) Remote() cluster.Node {
	return &remote{hub: h}
}

// app returns the app's state, nil if there is no such app.
func (r *remote) app(id string) *App {
	if r.hub.Keys().App(id) == nil {
		return nil
	}
	return r.hub.App(id)
}

func count(done func(int), n int) {
	if done != nil {
		done(n)
	}
}

// Publish delivers a message to subscribers here. It waits while they are behind.
func (r *remote) Publish(p cluster.Publication, counted func(int)) {
	a := r.app(p.App)
	if a == nil {
		count(counted, 0)
		return
	}
	// Not for one channel: all others' messages would wait with its own.
	_ = r.hub.wait(context.Background(), r.hub.targets(a, a.Space.Find(p.Channel)), nil)
	r.hub.publishHere(p, counted)
}

// Send delivers a message to the peer's sockets here. It waits while their loops are
// behind.
func (r *remote) Send(d cluster.Direct, counted func(int)) {
	a := r.app(d.App)
	if a == nil {
		count(counted, 0)
		return
	}
	_ = r.hub.wait(context.Background(), loopsOf(a.Space.Sockets([]byte(d.To))), nil)
	r.hub.sendHere(d, counted)
}

// Kick closes the peer's sockets here.
func (r *remote) Kick(app, peer string, closed func(int)) {
	if r.app(app) == nil {
		count(closed, 0)
		return
	}
	r.hub.kickHere(app, peer, closed)
}

// Peers gets this node's share of a roster.
func (r *remote) Peers(app, channel string, found func([]cluster.Member)) {
	ask := func(_ *Loop, a *shared) {
		if a == nil {
			found(nil)
			return
		}
		found(a.share().Members)
	}
	if !r.atHome(app, channel, ask) {
		found(nil)
	}
}

// atHome runs f on the channel's home loop, with nil if the channel has no
// subscriber here any more, and reports whether there is a channel.
func (r *remote) atHome(app, channel string, f func(*Loop, *shared)) bool {
	a := r.app(app)
	if a == nil {
		return false
	}
	ch := a.Space.Find(channel)
	if ch == nil {
		return false
	}
	r.loops |= 1 << ch.Home()
	r.hub.loops[ch.Home()].Post(func(l *Loop) {
		if p := ch.Part(l.index); p != nil {
			f(l, l.abroad.of[p])
			return
		}
		f(l, nil)
	})
	return true
}

// Channels gets the first channels with peers that this node knows of.
func (r *remote) Channels(app, prefix, after string, limit int, found func([]cluster.Occupied)) {
	if r.app(app) == nil {
		found(nil)
		return
	}
	found(r.hub.occupied(app, prefix, after, limit))
}

// Share replaces what is known of a node's share of a channel.
func (r *remote) Share(from cluster.NodeID, s cluster.Share, asked bool) {
	life := r.life
	r.atHome(s.App, s.Channel, func(l *Loop, a *shared) {
		if a == nil {
			return
		}
		l.replaceShare(a, from, life, s)
		if asked {
			l.hub.bus.Answer(from, a.share())
		}
	})
}

// Step follows a node's share.
func (r *remote) Step(from cluster.NodeID, s cluster.Step) {
	r.atHome(s.App, s.Channel, func(l *Loop, a *shared) {
		if a != nil {
			l.followStep(a, from, s)
		}
	})
}

// Exit ends a node's share of a channel.
func (r *remote) Exit(from cluster.NodeID, app, channel string) {
	r.atHome(app, channel, func(l *Loop, a *shared) {
		if a != nil {
			l.endShare(a, from, false)
		}
	})
}

// Settle returns once what was handed over of rosters is in effect: the home
// loops have passed it on to the others.
func (r *remote) Settle() {
	if r.loops == 0 {
		return
	}
	var wg sync.WaitGroup
	r.loops.Each(func(i int) {
		wg.Add(1)
		r.hub.loops[i].Post(func(*Loop) { wg.Done() })
	})
	wg.Wait()
	r.loops = 0
}

// each calls f with every channel of every loop, some at a time and while held does not
// report true, and done at the end.
func (r *remote) each(held func() bool, f func(*Loop, *shared), done func()) {
	t := then(len(r.hub.loops), func(int) { done() })
	for _, l := range r.hub.loops {
		l.Post(func(l *Loop) { l.eachShared(len(l.abroad.list), held, f, func() { t.add(0) }) })
	}
}

// Gone ends the shares of a node.
func (r *remote) Gone(n cluster.NodeID) {
	life := r.life
	r.life++
	r.each(never, func(l *Loop, a *shared) {
		if k, ok := a.nodes[n]; ok && k.life <= life {
			l.endShare(a, n, true)
		}
	}, func() {})
}

// never holds nothing.
func never() bool { return false }

// Found exchanges all shares with a node, no faster than the link takes them: what the bus
// refuses would have all shares told anew, and so for ever.
func (r *remote) Found(n cluster.NodeID, exchanged func()) {
	r.each(r.hub.bus.Behind, func(l *Loop, a *shared) { l.hub.bus.Exchange(n, a.share()) }, exchanged)
}

// Resync exchanges all shares with all nodes, as fast as Found.
func (r *remote) Resync(exchanged func()) {
	r.each(r.hub.bus.Behind, func(l *Loop, a *shared) { l.hub.bus.EnterChannel(a.share(), nil) }, exchanged)
}

// occupied returns the first channels with peers that this node knows of.
func (h *Hub) occupied(app, prefix, after string, limit int) []cluster.Occupied {
	listed, _ := h.App(app).Space.List(prefix, after, limit, func(string) bool { return true })
	found := make([]cluster.Occupied, len(listed))
	for i, c := range listed {
		found[i] = cluster.Occupied{Channel: c.Name, Peers: c.Peers}
	}
	return found
}

// askChannels returns the first channels with peers of the whole cluster.
func (h *Hub) askChannels(ctx context.Context, app, prefix, after string, limit int) ([]cluster.Occupied, error) {
	foundC := make(chan []cluster.Occupied, 1)
	if err := h.bus.Channels(app, prefix, after, limit, func(c []cluster.Occupied) { foundC <- c }); err != nil {
		return nil, err
	}
	select {
	case there := <-foundC:
		return cluster.FirstChannels(append(there, h.occupied(app, prefix, after, limit)...), limit), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
