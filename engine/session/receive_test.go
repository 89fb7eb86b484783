package session

import (
	"encoding/binary"
	"encoding/json"
)

// receive takes in what was written to the client and holds it against the
// model.
func (c *client) receive() {
	for _, s := range c.wire.take() {
		c.reading = s.write
		switch s.op {
		case 1:
			c.world.trace("%s < %.200s", c.name, s.payload)
			c.text(s)
		case 8:
			c.closed = int(binary.BigEndian.Uint16(s.payload))
			c.world.trace("%s < close %d", c.name, c.closed)
			c.checkClose()
		case 10:
			c.answer("wsPong", string(s.payload))
		}
	}
}

func (c *client) checkClose() {
	switch c.closed {
	case 1000, 1001, 4020:
		if !c.gone {
			c.world.fault("%s: closed with %d for no reason", c.name, c.closed)
		}
	case 1008:
		if !c.slow {
			c.world.fault("%s: closed with 1008 though it reads", c.name)
		}
	default:
		c.world.fault("%s: closed with %d", c.name, c.closed)
	}
}

func (c *client) text(s segment) {
	var f serverFrame
	if err := json.Unmarshal(s.payload, &f); err != nil {
		c.world.fault("%s: %.300s: %v", c.name, s.payload, err)
		return
	}
	if c.closed != 0 {
		c.world.fault("%s: %s after the close frame", c.name, f.Type)
	}
	switch f.Type {
	case "welcome", "ack", "error", "pong":
		c.answer(f.Type, f.RequestID)
	case "message", "direct":
		c.message(f)
	case "presence":
		c.presence(f, s)
	case "going_away":
	default:
		c.world.fault("%s: unknown %s", c.name, s.payload)
	}
}

// answer holds a reply against the requests that await theirs.
func (c *client) answer(kind, id string) {
	for len(c.expects) > 0 {
		e := c.expects[0]
		c.expects = c.expects[1:]
		if e.answer != "" && (e.answer != kind && e.or != kind || e.id != id) {
			c.world.fault("%s: got %s %q, want %s %q", c.name, kind, id, e.answer, e.id)
			return
		}
		if e.settle != nil {
			e.settle(kind)
		}
		if e.answer != "" {
			return
		}
	}
	c.world.fault("%s: %s %q answers nothing", c.name, kind, id)
}

func (c *client) message(f serverFrame) {
	w := c.world
	if f.number() >= len(w.posts) {
		w.fault("%s: a message nobody sent", c.name)
		return
	}
	p := w.posts[f.number()]
	switch {
	case p.channel != f.Channel || p.sender != f.From:
		w.fault("%s: post %d came as %s from %s", c.name, p.number, f.Channel, f.From)
	case p.got[c]:
		w.fault("%s: post %d came twice", c.name, p.number)
	case p.from == c && p.to == "":
		w.fault("%s: got its own message %d", c.name, p.number)
	case p.failed:
		w.fault("%s: post %d came though it was refused", c.name, p.number)
	case !c.mayTake(p):
		w.fault("%s: post %d to %s, to which it was not subscribed", c.name, p.number, p.channel)
	case len(f.FromMetadata) > 0 && !p.meta:
		w.fault("%s: post %d has metadata, its sender has none", c.name, p.number)
	}
	p.got[c] = true
	stream := stream{p.from, p.to != ""}
	if last, ok := c.last[stream]; ok && last > p.number && p.from != nil {
		w.fault("%s: post %d of %s after %d", c.name, p.number, p.sender, last)
	}
	c.last[stream] = p.number
	if wish, ok := p.wishes[c]; ok && (p.to != "" || wish.touched == c.touched) && p.meta {
		if got := len(f.FromMetadata) > 0; got != wish.meta {
			w.fault("%s: post %d with metadata %v, want %v", c.name, p.number, got, wish.meta)
		}
	}
	for name, v := range c.views {
		if v.awaits && !c.leaving(name) {
			w.fault("%s: post %d between the ack of %s and its snapshot", c.name, p.number, name)
		}
	}
	for name, v := range c.views {
		if w.kind.cuts && p.node != c.loop.node {
			break // the step may have been lost
		}
		c.checkPeer("before a post of its", name, v, p.sender, p.told)
	}
}

func (c *client) presence(f serverFrame, s segment) {
	w, v := c.world, c.views[f.Channel]
	if len(s.payload) >= 1_000_000 {
		w.fault("%s: presence of %d bytes", c.name, len(s.payload))
	}
	if f.Joined == nil || f.Left == nil {
		w.fault("%s: presence without both lists: %s", c.name, s.payload)
	}
	if v == nil {
		w.fault("%s: presence of %s, which it does not watch", c.name, f.Channel)
		return
	}
	if v.awaits {
		if len(f.Left) > 0 {
			w.fault("%s: a delta of %s before the snapshot", c.name, f.Channel)
		}
		if v.ack == s.write {
			w.fault("%s: the snapshot of %s in the write of its ack", c.name, f.Channel)
		}
		v.awaits = false
		clear(v.peers)
	} else if len(f.Joined)+len(f.Left) == 0 {
		w.fault("%s: a delta of %s that says nothing", c.name, f.Channel)
	}
	if fault := v.apply(c.peer, f.Joined, f.Left); fault != "" {
		w.fault("%s: %s: %s", c.name, f.Channel, fault)
	}
}

// checkViews holds all beliefs against what can be since the mark.
func (c *client) checkViews(when string, since marks) {
	for name, v := range c.views {
		if c.leaving(name) {
			continue
		}
		if v.awaits {
			c.world.fault("%s: no snapshot of %s %s", c.name, name, when)
			continue
		}
		for _, peer := range c.world.peers {
			c.checkPeer(when, name, v, peer, since)
		}
	}
}

func (c *client) checkPeer(when, channel string, v *view, peer string, since marks) {
	if peer == c.peer || v.awaits || c.leaving(channel) {
		return
	}
	_, believed := v.peers[peer]
	in, out := c.world.membership(peer, channel, since)
	if believed && !in || !believed && !out {
		c.world.fault("%s: believes %s in %s: %v, %s", c.name, peer, channel, believed, when)
	}
}

// leaving reports whether an unsubscribe may have been dealt with, unacked, so
// that the client is told no more.
func (c *client) leaving(channel string) bool {
	h := c.histories[channel]
	_, out := h.since(h.settled)
	return out
}
