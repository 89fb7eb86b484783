package session

import (
	"context"
	"errors"
	"sync/atomic"

	"signalbox/engine/cluster"
	"signalbox/engine/presence"
	"signalbox/engine/registry"
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// tally counts what several parts, loops for instance, did of one call from
// outside. A nil tally counts nothing.
type tally struct {
	left  atomic.Int32
	count atomic.Int64
	done  func(int) // called with the sum once every part has added to it
	doneC chan struct{}
}

// newTally returns a tally to be waited for.
func newTally(parts int) *tally {
	t := &tally{doneC: make(chan struct{})}
	t.done = func(int) { close(t.doneC) }
	t.expect(parts)
	return t
}

// then returns a tally that calls done, nil if that is nil.
func then(parts int, done func(int)) *tally {
	if done == nil {
		return nil
	}
	t := &tally{done: done}
	t.expect(parts)
	return t
}

func (t *tally) expect(parts int) {
	t.left.Store(int32(parts))
	if parts == 0 {
		t.done(0)
	}
}

func (t *tally) add(n int) {
	if t == nil {
		return
	}
	t.count.Add(int64(n))
	if t.left.Add(-1) == 0 {
		t.done(int(t.count.Load())) // of all parts: another may have added since
	}
}

// wait returns the sum once every loop has added to it.
func (t *tally) wait(ctx context.Context) (int, error) {
	select {
	case <-t.doneC:
		return int(t.count.Load()), nil
	case <-ctx.Done():
		return int(t.count.Load()), ctx.Err()
	}
}

// Publish sends a message to the channel's subscribers and returns how many
// sockets it went to. It does not count against the app's quota. With
// cluster.ErrUnavailable it has reached those on this node. It waits while these are
// behind.
func (h *Hub) Publish(ctx context.Context, app, channel, from string, meta, data []byte) (int, error) {
	h.published.Add(1)
	p := cluster.Publication{
		App: app, Channel: channel, From: from, FromMetadata: meta, Data: data,
		Frame: frame.AppendFrame(nil, frame.OpText, protocol.AppendMessage(nil, channel, from, nil, data)),
	}
	a := h.App(app)
	ch := a.Space.Find(channel)
	if err := h.wait(ctx, h.targets(a, ch), ch); err != nil {
		return 0, err
	}
	return onAllNodes(ctx,
		func(counted func(int)) error { return h.bus.Publish(p, counted) },
		func(counted func(int)) { h.publishHere(p, counted) })
}

// onAllNodes does something on other nodes and on this one, and returns the sum of
// what is counted. It is done here also if the others cannot be reached.
func onAllNodes(ctx context.Context, away func(counted func(int)) error, here func(counted func(int))) (int, error) {
	t := newTally(2)
	failure := away(t.add)
	if failure != nil {
		t.add(0)
	}
	here(t.add)
	n, err := t.wait(ctx)
	return n, errors.Join(failure, err)
}

// publishHere sends a message to the channel's subscribers on this node, and has
// done, if not nil, told how many sockets it has gone to.
func (h *Hub) publishHere(p cluster.Publication, done func(int)) {
	a := h.App(p.App)
	ch := a.Space.Find(p.Channel)
	to := h.targets(a, ch)
	m := &publication{app: a, ch: ch, channel: p.Channel, from: p.From, meta: string(p.FromMetadata), except: noSocket, kept: true, at: h.time()}
	m.hold(p.Frame, len(p.Data))
	h.fanOut(m, to, then(to.Len(), done))
}

// Send sends a message to every socket of the peer and returns how many that
// is. It does not count against the app's quota. With cluster.ErrUnavailable it
// has reached those on this node. It waits while their loops are behind.
func (h *Hub) Send(ctx context.Context, app, to, from string, meta, data []byte) (int, error) {
	h.sent.Add(1)
	d := cluster.Direct{App: app, To: to, From: from, FromMetadata: meta, Data: data}
	if err := h.wait(ctx, loopsOf(h.App(app).Space.Sockets([]byte(to))), nil); err != nil {
		return 0, err
	}
	return onAllNodes(ctx,
		func(counted func(int)) error { return h.bus.Send(d, false, counted) },
		func(counted func(int)) { h.sendHere(d, counted) })
}

// sendHere sends a message to the peer's sockets on this node, and has done, if
// not nil, told how many that is.
func (h *Hub) sendHere(d cluster.Direct, done func(int)) {
	refs := h.App(d.App).Space.Sockets([]byte(d.To))
	text := protocol.AppendDirect(nil, d.From, d.FromMetadata, d.Data)
	h.sendDirect(refs, d.From, frame.AppendFrame(nil, frame.OpText, text), nil, then(len(refs), done))
}

// loopsOf returns the loops that have the sockets.
func loopsOf(refs []registry.Ref) (to registry.Loops) {
	for _, ref := range refs {
		to |= 1 << ref.Loop()
	}
	return to
}

// Kick closes every socket of the peer and returns how many that was. With
// cluster.ErrUnavailable those on this node are closed.
func (h *Hub) Kick(ctx context.Context, app, peer string) (int, error) {
	return onAllNodes(ctx,
		func(counted func(int)) error { return h.bus.Kick(app, peer, counted) },
		func(counted func(int)) { h.kickHere(app, peer, counted) })
}

// kickHere closes the peer's sockets on this node and has done told how many that
// was.
func (h *Hub) kickHere(app, peer string, done func(int)) {
	refs := h.App(app).Space.Sockets([]byte(peer))
	t := then(len(refs), done)
	for _, ref := range refs {
		h.loops[ref.Loop()].Post(func(l *Loop) {
			n := 0
			if s := l.session(ref); s != nil {
				s.close(protocol.CloseKicked)
				n = 1
			}
			t.add(n)
		})
	}
}

// Peers returns who is in the channel.
func (h *Hub) Peers(ctx context.Context, app, channel string) ([]protocol.Peer, error) {
	ch := h.App(app).Space.Find(channel)
	if ch == nil {
		return h.peersAway(ctx, app, channel)
	}
	type answer struct {
		cut   presence.Cut
		known bool
	}
	rosterC := make(chan answer, 1)
	h.loops[ch.Home()].Post(func(l *Loop) {
		p := ch.Part(l.index)
		if p == nil || !h.alone && l.abroad.of[p] == nil {
			rosterC <- answer{}
			return
		}
		tell := func(l *Loop) { rosterC <- answer{l.cut(p), true} }
		if a := l.entering(p); a != nil {
			a.then(tell)
			return
		}
		tell(l)
	})
	select {
	case a := <-rosterC:
		if !a.known {
			return h.peersAway(ctx, app, channel)
		}
		return listed(a.cut), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// peersAway returns who is in a channel that has no subscriber on this node.
func (h *Hub) peersAway(ctx context.Context, app, channel string) ([]protocol.Peer, error) {
	foundC := make(chan []cluster.Member, 1)
	if err := h.bus.Peers(app, channel, func(m []cluster.Member) { foundC <- m }); err != nil {
		return nil, err
	}
	select {
	case members := <-foundC:
		var all presence.Home
		for i, m := range members {
			all.Join(m.Peer, uint64(i), m.Meta) // a peer may be on several nodes
		}
		return listed(all.Cut()), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cut returns who is in the channel, at its home loop.
func (l *Loop) cut(p *registry.Part) presence.Cut {
	if r := l.roster(p); r != nil {
		return r.Cut()
	}
	var lone presence.Roster
	if len(p.Subs) == 1 {
		m := l.sessions[p.Subs[0].Slot].member()
		lone.Apply(presence.Change{Kind: presence.Join, ID: m.peer, Meta: m.meta})
	}
	return lone.Cut()
}

// listed returns the peers of a roster, on the goroutine of who asked for it.
func listed(c presence.Cut) []protocol.Peer {
	peers := make([]protocol.Peer, 0, c.Len())
	c.Each(func(id, meta string) {
		p := protocol.Peer{ID: id}
		if meta != "" {
			p.Metadata = []byte(meta)
		}
		peers = append(peers, p)
	})
	return peers
}

// ChannelsHere lists an app's channels with peers on this node; see
// registry.Space.List.
func (h *Hub) ChannelsHere(app, prefix, after string, limit int, allow func(string) bool) ([]registry.Listed, bool) {
	return h.App(app).Space.List(prefix, after, limit, allow)
}

// channelsPage is how many channels are asked for at a time, of which only some
// may be allowed.
const channelsPage = 1000

// Channels lists an app's channels with peers, on all nodes; see
// registry.Space.List.
func (h *Hub) Channels(ctx context.Context, app, prefix, after string, limit int, allow func(string) bool) ([]registry.Listed, bool, error) {
	if h.alone {
		list, more := h.ChannelsHere(app, prefix, after, limit, allow)
		return list, more, nil
	}
	var list []registry.Listed
	for {
		page, err := h.askChannels(ctx, app, prefix, after, channelsPage)
		if err != nil {
			return nil, false, err
		}
		for _, c := range page {
			if !allow(c.Channel) {
				continue
			}
			if len(list) == limit {
				return list, true, nil
			}
			list = append(list, registry.Listed{Name: c.Channel, Peers: c.Peers})
		}
		if len(page) < channelsPage {
			return list, false, nil
		}
		after = page[len(page)-1].Channel
	}
}
