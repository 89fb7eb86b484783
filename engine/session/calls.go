package session

import (
	"context"
	"sync/atomic"

	"signalbox/engine/cluster"
	"signalbox/engine/presence"
	"signalbox/engine/registry"
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// tally counts what several loops did of one call from outside. A nil tally
// counts nothing.
type tally struct {
	left  atomic.Int32
	count atomic.Int64
	doneC chan struct{}
}

func newTally(loops int) *tally {
	t := &tally{doneC: make(chan struct{})}
	t.left.Store(int32(loops))
	if loops == 0 {
		close(t.doneC)
	}
	return t
}

func (t *tally) add(n int) {
	if t == nil {
		return
	}
	t.count.Add(int64(n))
	if t.left.Add(-1) == 0 {
		close(t.doneC)
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
// sockets it went to. It does not count against the app's quota.
func (h *Hub) Publish(ctx context.Context, app, channel, from string, meta, data []byte) (int, error) {
	a := h.App(app)
	if err := h.bus.Publish(cluster.Publication{App: app, Channel: channel, From: from, FromMetadata: meta, Data: data}); err != nil {
		return 0, err
	}
	h.published.Add(1)
	ch := a.Space.Find(channel)
	to := h.targets(a, ch)
	m := &publication{app: a, ch: ch, channel: channel, from: from, except: noSocket, kept: true, at: h.time()}
	m.plain = frame.AppendFrame(nil, frame.OpText, protocol.AppendMessage(nil, channel, from, nil, data))
	if meta != nil {
		m.meta = frame.AppendFrame(nil, frame.OpText, protocol.AppendMessage(nil, channel, from, meta, data))
	}
	n := 0
	to.Each(func(int) { n++ })
	t := newTally(n)
	h.fanOut(m, to, t)
	return t.wait(ctx)
}

// Send sends a message to every socket of the peer and returns how many that
// is. It does not count against the app's quota.
func (h *Hub) Send(ctx context.Context, app, to, from string, meta, data []byte) (int, error) {
	away, err := h.bus.Send(cluster.Direct{App: app, To: to, From: from, FromMetadata: meta, Data: data})
	if err != nil {
		return 0, err
	}
	h.sent.Add(1)
	refs := h.App(app).Space.Sockets([]byte(to))
	t := newTally(len(refs))
	h.sendDirect(refs, from, frame.AppendFrame(nil, frame.OpText, protocol.AppendDirect(nil, from, meta, data)), nil, t)
	n, err := t.wait(ctx)
	return n + away, err
}

// Kick closes every socket of the peer and returns how many that was.
func (h *Hub) Kick(ctx context.Context, app, peer string) (int, error) {
	away, err := h.bus.Kick(app, peer)
	if err != nil {
		return 0, err
	}
	refs := h.App(app).Space.Sockets([]byte(peer))
	t := newTally(len(refs))
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
	n, err := t.wait(ctx)
	return n + away, err
}

// Peers returns who is in the channel.
func (h *Hub) Peers(ctx context.Context, app, channel string) ([]protocol.Peer, error) {
	ch := h.App(app).Space.Find(channel)
	if ch == nil {
		return nil, nil
	}
	rosterC := make(chan presence.Cut, 1)
	h.loops[ch.Home()].Post(func(l *Loop) {
		var c presence.Cut
		if p := ch.Part(l.index); p != nil {
			c = l.cut(p)
		}
		rosterC <- c
	})
	select {
	case c := <-rosterC:
		return listed(c), nil
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

// Channels lists an app's channels with peers; see registry.Space.List.
func (h *Hub) Channels(app, prefix, after string, limit int, allow func(string) bool) ([]registry.Listed, bool) {
	return h.App(app).Space.List(prefix, after, limit, allow)
}
