package session

import (
	"slices"
	"strings"

	"signalbox/protocol"
)

// history is what one client has asked of one name: states[0] is false, each
// request appends the state after it. The first settled+1 states are known to
// have come about; the last ones may be on their way.
type history struct {
	states  []bool
	settled int
}

func (h *history) now() bool { return h != nil && h.states[len(h.states)-1] }

// since reports which states the history may have been in from index lb on.
func (h *history) since(lb int) (in, out bool) {
	if h == nil {
		return false, true
	}
	for _, s := range h.states[min(lb, len(h.states)-1):] {
		in = in || s
		out = out || !s
	}
	return in, out
}

// marks is a point in every history: client → name → index.
type marks map[*client]map[string]int

// everywhere stands for all nodes.
const everywhere = -1

// settledMarks is the point up to which everything is known to have happened: on
// this node, for what happens on others is in no order with that.
func (w *world) settledMarks(node int) marks {
	m := marks{}
	for _, c := range w.clients {
		m[c] = map[string]int{}
		if node != everywhere && c.loop.node != node {
			continue
		}
		for name, h := range c.histories {
			m[c][name] = h.settled
		}
	}
	return m
}

// toldOf returns the mark for what must be told before something that the
// client sends now: all it did itself, and what is known to have happened.
func (w *world) toldOf(c *client, node int) marks {
	if c == nil {
		return w.settledMarks(node)
	}
	m := w.settledMarks(c.loop.node)
	{
		for name, h := range c.histories {
			m[c][name] = len(h.states) - 1
		}
	}
	return m
}

// membership reports whether the peer may have been in the channel, and out of
// it, at some time since the mark.
func (w *world) membership(peer, channel string, since marks) (in, out bool) {
	out = true
	for _, c := range w.clients {
		if c.peer != peer {
			continue
		}
		i, o := c.histories[channel].since(since[c][channel])
		in = in || i
		out = out && o
	}
	return in, out
}

// members returns the peers in the channel once everything has settled.
func (w *world) members(channel string) map[string]bool {
	m := map[string]bool{}
	for _, c := range w.clients {
		if c.histories[channel].now() {
			m[c.peer] = true
		}
	}
	return m
}

// post is one message or direct of the model.
type post struct {
	number  int
	from    *client // nil: from the REST API
	node    int     // on which it was sent
	sender  string
	channel string // of a message
	to      string // of a direct
	meta    bool   // the sender has metadata
	told    marks  // what must be told before it
	settled marks  // what had happened when it was sent
	wishes  map[*client]wish
	got     map[*client]bool
	must    map[*client]bool
	failed  bool // answered with an error
}

// wish is a receiver's settled interest in a post when it was sent.
type wish struct {
	meta    bool
	touched int // the client's count of subscription changes
}

// matches reports whether the name, a channel or a pattern, takes in the channel.
func matches(name, channel string) bool {
	if strings.Contains(name, "*") {
		return protocol.CompileGlob(name).Match(channel)
	}
	return name == channel
}

// posted notes a new post and who must get it.
func (w *world) posted(p *post) {
	p.number = len(w.posts)
	w.posts = append(w.posts, p)
	if p.from != nil {
		p.node = p.from.loop.node
	}
	p.settled, p.told = w.settledMarks(everywhere), w.toldOf(p.from, p.node)
	p.got, p.must, p.wishes = map[*client]bool{}, map[*client]bool{}, map[*client]wish{}
	for _, c := range w.clients {
		if c.gone || c == p.from {
			continue
		}
		if p.to != "" {
			if c.peer == p.to && c.welcomed && w.mesh.level(c.loop.node, p.node) {
				p.wishes[c] = wish{meta: true}
			}
			continue
		}
		if takes, meta := c.interest(p.channel); takes {
			p.wishes[c] = wish{meta, c.touched}
		}
	}
}

// interest reports whether the client is subscribed to the channel, and with
// metadata, with no request about it under way.
func (c *client) interest(channel string) (takes, meta bool) {
	for name, h := range c.histories {
		if !matches(name, channel) {
			continue
		}
		if h.settled != len(h.states)-1 {
			return false, false
		}
		if h.now() {
			takes = true
			meta = meta || c.asked[name]
		}
	}
	return takes, meta
}

// done notes that the post's handing over is known, and who must have it in the
// end: those who wanted it before and after.
func (w *world) done(p *post, failed bool) {
	if p.failed = failed; failed {
		if n := len(p.got) + len(p.wishes); n > 0 {
			w.faultUnlessGone(p)
		}
		return
	}
	for c, wish := range p.wishes {
		if !c.gone && (p.to != "" || c.touched == wish.touched) {
			p.must[c] = true
		}
	}
}

// faultUnlessGone complains of a direct that was refused though somebody was
// there to take it.
func (w *world) faultUnlessGone(p *post) {
	for c := range p.got {
		w.fault("%s: got post %d, which was refused", c.name, p.number)
	}
	for c := range p.wishes {
		if !c.gone && !w.kind.cuts {
			w.fault("post %d to %s was refused though %s is there", p.number, p.to, c.name)
		}
	}
}

// mayTake reports whether the client may have been subscribed to the post's
// channel since it was sent.
func (c *client) mayTake(p *post) bool {
	if p.to != "" {
		return c.peer == p.to
	}
	for name, h := range c.histories {
		if in, _ := h.since(p.settled[c][name]); in && matches(name, p.channel) {
			return true
		}
	}
	return false
}

// view is what a client believes of a channel's roster.
type view struct {
	awaits bool // acked, the snapshot is to come
	ack    int  // the write that the ack was in
	peers  map[string]string
}

// apply follows one presence frame and reports what is wrong with it.
func (v *view) apply(self string, joined, left []rosterPeer) (fault string) {
	for _, p := range joined {
		if p.PeerID == self {
			return "the peer itself is told as joined"
		}
		if slices.ContainsFunc(left, func(q rosterPeer) bool { return q.PeerID == p.PeerID }) {
			return p.PeerID + " is in both lists"
		}
		if _, ok := v.peers[p.PeerID]; ok {
			return p.PeerID + " joined again"
		}
		v.peers[p.PeerID] = string(p.Metadata)
	}
	for _, p := range left {
		if _, ok := v.peers[p.PeerID]; !ok {
			return p.PeerID + " left and was not there"
		}
		delete(v.peers, p.PeerID)
	}
	return ""
}
