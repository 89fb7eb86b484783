package session

import (
	"slices"
	"time"
	"unsafe"

	"signalbox/engine/cluster"
	"signalbox/engine/registry"
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

var pongText = protocol.AppendPong(nil)

// noSocket is a Ref that names none.
const noSocket = ^registry.Ref(0)

// publication is a message on its way to a loop's subscribers.
type publication struct {
	app     *App
	ch      *registry.Channel // nil if nobody subscribed to it by name
	channel string
	from    string
	except  registry.Ref  // the sending socket, or noSocket
	meta    string        // the sender's metadata, "" without
	kept    bool          // the frame is its own, not borrowed
	at      time.Duration // when it came, by the hub's clock
	frame   []byte        // whole, without the metadata
	data    []byte        // a part of frame
}

// publish sends a message to the channel's other subscribers.
func (s *Session) publish(r *request) {
	l := s.loop
	if !s.app.Quota.Message() {
		s.refuse(r.RequestID, protocol.OverMessageQuota)
		return
	}
	ch := s.app.Space.FindBytes(r.Channel)
	name := ""
	if ch != nil {
		name = ch.Name
	} else {
		name = string(r.Channel)
	}
	to := l.hub.targets(s.app, ch)
	m := publication{app: s.app, ch: ch, channel: name, from: s.peer.ID, meta: s.meta, except: s.ref(), at: l.clock}
	if to != 0 || !l.hub.alone {
		l.text = protocol.AppendMessage(l.text[:0], name, m.from, nil, r.Data)
		l.message[0] = frame.AppendFrame(l.message[0][:0], frame.OpText, l.text)
		m.hold(l.message[0], len(r.Data))
	}
	err := l.hub.bus.Publish(cluster.Publication{
		App: s.app.ID, Channel: name, From: s.peer.ID, FromMetadata: raw(s.meta), Data: r.Data, Frame: m.frame,
	}, nil)
	if others := to &^ (1 << l.index); others != 0 {
		l.hub.fanOut(m.clone(), others, nil)
	}
	if to.Has(l.index) {
		l.deliverAll(&m, nil)
	}
	if err == nil {
		l.counts.Publishes++
		s.ack(r.RequestID)
	} else {
		s.refuse(r.RequestID, protocol.BackendError)
	}
	s.giveWay(to, ch)
}

// targets returns the loops that may have subscribers of the channel, which is
// nil if nobody subscribes to it by name.
func (h *Hub) targets(app *App, ch *registry.Channel) registry.Loops {
	to := app.Space.Wild()
	if ch != nil {
		to |= ch.Loops()
	}
	return to
}

// hold gives the publication its frame, which ends with so many bytes of data and
// a brace.
func (m *publication) hold(f []byte, size int) {
	end := len(f) - 1
	m.frame, m.data = f, f[end-size:end]
}

// withMeta returns the frame with the sender's metadata, which there is, in dst's
// memory. It is for the loop that delivers: whether somebody there has asked for it
// is known to that alone, and may change while the publication is on its way.
func (l *Loop) withMeta(dst []byte, m *publication) []byte {
	l.text = protocol.AppendMessage(l.text[:0], m.channel, m.from, raw(m.meta), m.data)
	return frame.AppendFrame(dst[:0], frame.OpText, l.text)
}

// raw returns the bytes of s, to be read only.
func raw(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// clone returns the publication with a frame of its own, for other loops.
func (m *publication) clone() *publication {
	c := *m
	c.hold(slices.Clone(m.frame), len(m.data))
	c.kept = true
	return &c
}

// fanOut hands the publication to the loops. Any goroutine. t, if not nil,
// counts the sockets it goes to.
func (h *Hub) fanOut(m *publication, to registry.Loops, t *tally) {
	size := int64(len(m.frame))
	task := func(l *Loop) {
		l.inbound.Add(-size)
		l.deliverAll(m, t)
	}
	to.Each(func(i int) {
		h.loops[i].inbound.Add(size)
		h.loops[i].Post(task)
	})
}

// deliverAll gives the publication to the loop's subscribers, by name and by
// pattern, and adds how many those are to t once it has reached them.
func (l *Loop) deliverAll(m *publication, t *tally) {
	n, named := 0, (*registry.Part)(nil)
	if m.ch != nil {
		if p := m.ch.Part(l.index); p != nil && len(p.Subs) > 0 {
			n, named = l.append(p, m), p
		}
	}
	if w := l.wild[m.app.Space]; w == nil || !l.cast(w, m, named, n, t) {
		t.add(n)
	}
}

// append adds the publication to the part's pending frames and returns how many
// subscribers it is for.
func (l *Loop) append(p *registry.Part, m *publication) int {
	l.tellOf(p, m.from)
	l.soil(p)
	sender, i := (*Session)(nil), -1
	if m.except.Loop() == l.index {
		sender = l.sessions[m.except.Slot()]
		i = sender.place(p)
	}
	if i >= 0 && p.Lacks(i) {
		sender.gather()
	}
	l.seq++
	var meta []byte
	if m.meta != "" && p.AskMeta() {
		l.message[1] = l.withMeta(l.message[1], m)
		meta = l.message[1]
	}
	p.Append(m.frame, meta, l.seq)
	if p.Out.Since == 0 {
		p.Out.Since = m.at
	}
	n := len(p.Subs)
	if i >= 0 {
		p.Skip(i)
		n--
	}
	l.delivered(m.app, n)
	l.fill(p)
	return n
}

// delivered counts a publication handed to so many subscribers.
func (l *Loop) delivered(app *App, n int) {
	l.counts.Deliveries += uint64(n)
	l.counts.FramesOut += uint64(n)
	app.delivered[l.index].n += uint64(n)
}

// place returns the session's index in the part, or -1.
func (s *Session) place(p *registry.Part) int {
	for i := range s.subs {
		if s.subs[i].part == p {
			return int(s.subs[i].index)
		}
	}
	return -1
}

// direct sends a message to every socket of one peer.
func (s *Session) direct(r *request) {
	h := s.loop.hub
	if !s.app.Quota.Message() {
		s.refuse(r.RequestID, protocol.OverMessageQuota)
		return
	}
	refs := s.app.Space.Sockets(r.To)
	switch {
	case len(refs) == 0 && h.alone:
		s.refuse(r.RequestID, protocol.PeerNotFound)
		return
	case len(refs) == 0:
		s.directAway(r)
		return
	case !h.alone:
		// The sockets here have it: that none elsewhere may is no failure.
		_ = h.bus.Send(s.directFor(r), true, nil)
	}
	l := s.loop
	l.text = protocol.AppendDirect(l.text[:0], s.peer.ID, raw(s.meta), r.Data)
	h.sendDirect(refs, s.peer.ID, frame.AppendFrame(nil, frame.OpText, l.text), l, nil)
	l.counts.Directs++
	s.ack(r.RequestID)
	s.giveWay(loopsOf(refs), nil)
}

// directFor is the message that the client sends to a peer, as other nodes get it.
func (s *Session) directFor(r *request) cluster.Direct {
	return cluster.Direct{App: s.app.ID, To: string(r.To), From: s.peer.ID, FromMetadata: raw(s.meta), Data: r.Data}
}

// directAway sends a message to a peer that has no socket here. The session's
// input waits until some node has it, or none.
func (s *Session) directAway(r *request) {
	l, ref, id := s.loop, s.ref(), slices.Clone(r.RequestID)
	s.held = true
	err := l.hub.bus.Send(s.directFor(r), true, func(sockets int) {
		l.Post(func(l *Loop) {
			if s := l.session(ref); s != nil {
				s.directed(id, sockets)
				s.release()
			}
		})
	})
	if err != nil {
		s.held = false
		s.refuse(r.RequestID, protocol.BackendError)
	}
}

// directed answers a send to a peer on other nodes.
func (s *Session) directed(requestID []byte, sockets int) {
	switch sockets {
	case cluster.Unknown:
		s.refuse(requestID, protocol.BackendError)
		return
	case 0:
		s.refuse(requestID, protocol.PeerNotFound)
		return
	}
	s.loop.counts.Directs++
	s.ack(requestID)
}

// sendDirect hands a direct message, a whole immutable frame, to these sockets.
// Any goroutine. own is the loop it is called on, nil if none: like a publish, a
// direct reaches sockets there at once, so that the two keep their order. t, if
// not nil, counts the sockets reached.
func (h *Hub) sendDirect(refs []registry.Ref, from string, direct []byte, own *Loop, t *tally) {
	for _, ref := range refs {
		target := h.loops[ref.Loop()]
		target.inbound.Add(int64(len(direct)))
		task := func(l *Loop) {
			l.inbound.Add(-int64(len(direct)))
			n := 0
			if s := l.session(ref); s != nil {
				s.takeDirect(from, direct)
				n = 1
			}
			t.add(n)
		}
		if target == own {
			task(target)
		} else {
			target.Post(task)
		}
	}
}

// takeDirect gives the session a direct message, behind all that was published
// to it before and behind the presence that tells of its sender.
func (s *Session) takeDirect(from string, direct []byte) {
	s.loop.counts.FramesOut++
	s.hearOf(from)
	s.put(direct)
}
