package cluster

import (
	"slices"
	"strings"
	"time"
)

// Alone reports that there can be other nodes.
func (b *NATS) Alone() bool { return false }

// ID returns this node's id.
func (b *NATS) ID() NodeID { return b.id }

// Behind reports whether a good part of the outbox waits for the link.
func (b *NATS) Behind() bool {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	return b.out.standing.up && b.out.size > muchWaits
}

// Publish tells the nodes that hear the channel.
func (b *NATS) Publish(p Publication, counted func(int)) error {
	var a *ask
	if counted != nil {
		a = b.rounds.ask(&ask{finish: func(a *ask) { counted(a.sockets) }})
	}
	return b.sayMessage(sizePublication(p), a,
		func(dst []byte) []byte { return appendChannelSubject(dst, p.App, p.Channel) },
		func(dst []byte) []byte { return appendPublication(dst, a.number(), p) })
}

// sayMessage says a message to a channel or a peer, which takes size bytes at most
// with its subject, and has the next round wait for a, if that is not nil.
func (b *NATS) sayMessage(size int, a *ask, subject, record func(dst []byte) []byte) error {
	o := &b.out
	o.mu.Lock()
	ok, err := o.believed(size)
	if ok {
		o.add(size, a, subject, record)
	}
	o.mu.Unlock()
	if !ok {
		return b.rounds.unasked(a, err)
	}
	return nil
}

// Send tells the nodes with sockets of the peer. If none of them seems to have
// one, all nodes are asked: a peer that has just come may not be heard for yet.
func (b *NATS) Send(d Direct, one bool, reached func(int)) error {
	var a *ask
	var flags byte
	if reached != nil {
		flags = flagOnce
		id := b.rounds.number()
		a = b.rounds.ask(&ask{
			id: id, finish: func(a *ask) { reached(a.socketsOrUnknown()) }, first: one,
			again: appendDirect(nil, id, flags, d),
		})
	}
	err := b.sayMessage(sizeDirect(d), a,
		func(dst []byte) []byte { return appendPeerSubject(dst, d.App, d.To) },
		func(dst []byte) []byte { return appendDirect(dst, a.number(), flags, d) })
	if err == nil && a.requests() {
		b.rounds.patience(a, b.times.patience)
	}
	return err
}

// Kick tells all nodes.
func (b *NATS) Kick(app, peer string, closed func(int)) error {
	if closed == nil {
		return b.question(nil, appendKick(nil, 0, app, peer))
	}
	a := b.rounds.ask(&ask{finish: func(a *ask) { closed(a.sockets) }})
	return b.question(a, appendKick(nil, a.id, app, peer))
}

// Peers asks all nodes.
func (b *NATS) Peers(app, channel string, found func([]Member)) error {
	a := b.rounds.ask(&ask{finish: func(a *ask) { found(union(a.members)) }})
	return b.question(a, appendPeers(nil, a.id, app, channel))
}

// union returns each peer once, in order of their names.
func union(members []Member) []Member {
	slices.SortStableFunc(members, func(a, b Member) int { return strings.Compare(a.Peer, b.Peer) })
	return slices.CompactFunc(members, func(a, b Member) bool { return a.Peer == b.Peer })
}

// Channels asks all nodes.
func (b *NATS) Channels(app, prefix, after string, limit int, found func([]Occupied)) error {
	p := page{app, prefix, after, min(limit, maxChannels)}
	a := b.rounds.ask(&ask{finish: func(a *ask) {
		found(FirstChannels(slices.DeleteFunc(a.occupied, p.lacks), p.limit))
	}})
	return b.question(a, appendChannels(nil, a.id, p))
}

// question tells all nodes something, and has the next round wait for a, if that
// is not nil.
func (b *NATS) question(a *ask, record []byte) error {
	if ok, err := b.out.askAll(record, a); !ok {
		return b.rounds.unasked(a, err)
	}
	return nil
}

// EnterPeer hears what is sent to the peer.
func (b *NATS) EnterPeer(app, peer string) {
	var space [256]byte
	subject := appendPeerSubject(space[:0], app, peer)
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	b.out.hold(subject, false)
}

// ExitPeer lets go of the peer.
func (b *NATS) ExitPeer(app, peer string) {
	var space [256]byte
	b.release(appendPeerSubject(space[:0], app, peer))
}

// EnterPattern hears channels by a pattern.
func (b *NATS) EnterPattern(app, pattern string, entered func(all bool)) {
	var space [256]byte
	subject := appendPatternSubject(space[:0], app, pattern)
	b.enter(subject, false, nil, nil, b.rounds.entered(entered))
}

// ExitPattern lets go of a pattern.
func (b *NATS) ExitPattern(app, pattern string) {
	var space [256]byte
	b.release(appendPatternSubject(space[:0], app, pattern))
}

// EnterChannel hears the channel and tells all nodes the share.
func (b *NATS) EnterChannel(s Share, entered func(all bool)) {
	var space [256]byte
	subject := appendChannelSubject(space[:0], s.App, s.Channel)
	var record [512]byte
	records, ends := appendShare(record[:0], s, true)
	b.enter(subject, true, records, ends, b.rounds.entered(entered))
}

// enter holds a subject, if there is one, tells all nodes the records and has the next
// round wait for a, if that is not nil. Where nobody listens, or can be told, a is over at once,
// unsure of those who are there and cannot be told, or are yet to be heard.
func (b *NATS) enter(subject []byte, once bool, records []byte, ends []int, a *ask) {
	o := &b.out
	o.mu.Lock()
	if len(subject) > 0 {
		o.hold(subject, once)
	}
	open := o.openShare(len(records))
	ok := open && o.heard > 0
	if ok {
		o.parts(subjectAll, records, ends)
		if a != nil {
			o.asks = append(o.asks, a)
			o.wake()
		}
	}
	unsure := !open && o.heard > 0 || open && o.standing.anew
	o.mu.Unlock()
	switch {
	case ok || a == nil:
	case unsure:
		b.rounds.cutOff([]*ask{a})
	default:
		b.rounds.finish(a)
	}
}

// ExitChannel ends this node's share of the channel and lets go of it.
func (b *NATS) ExitChannel(app, channel string) {
	var space [256]byte
	subject := appendChannelSubject(space[:0], app, channel)
	o := &b.out
	o.mu.Lock()
	defer o.mu.Unlock()
	size := recordRoom + len(subject) + len(app) + len(channel)
	if ok, _ := o.listened(size); ok {
		o.add(size, nil,
			func(dst []byte) []byte { return append(dst, subject...) },
			func(dst []byte) []byte { return appendExit(dst, app, channel) })
	}
	o.release(subject, time.Now().Add(b.times.linger))
}

// Tell tells the nodes that hear the channel.
func (b *NATS) Tell(s Step) {
	size := recordRoom + (1+maxToken)*(len(s.App)+len(s.Channel)) + len(s.Member.Peer) + len(s.Member.Meta)
	o := &b.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if ok, _ := o.listened(size); ok {
		o.add(size, nil,
			func(dst []byte) []byte { return appendChannelSubject(dst, s.App, s.Channel) },
			func(dst []byte) []byte { return appendStep(dst, s) })
	}
}

// Exchange tells one node the share and asks for its.
func (b *NATS) Exchange(with NodeID, s Share) { b.tellShare(with, s, true) }

// Answer tells one node the share.
func (b *NATS) Answer(to NodeID, s Share) { b.tellShare(to, s, false) }

func (b *NATS) tellShare(to NodeID, s Share, asked bool) {
	var record [512]byte
	records, ends := appendShare(record[:0], s, asked)
	subject := string(appendNodeSubject(nil, to))
	o := &b.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.openShare(len(records)) {
		o.parts(subject, records, ends)
	}
}

func (b *NATS) release(subject []byte) {
	b.out.mu.Lock()
	defer b.out.mu.Unlock()
	b.out.release(subject, time.Now().Add(b.times.linger))
}
