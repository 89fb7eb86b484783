package cluster

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// read is the reader: the only goroutine that calls the node. It ends when the
// bus is closed.
func (b *NATS) read(ctx context.Context) {
	defer b.running.Done()
	tick := time.NewTicker(b.times.tick)
	defer tick.Stop()
	b.ticked = time.Now()
	for {
		b.turns.Add(1)
		select {
		case m := <-b.messageC:
			b.hear(m)
			b.socket.drained()
			b.reconcile()
		case now := <-tick.C:
			b.tick(now)
			b.reconcile()
		case <-b.linkC:
			b.linkChanged()
		case b.node = <-b.startC:
		case <-ctx.Done():
			return
		}
	}
}

// tick does what is due by time.
func (b *NATS) tick(now time.Time) {
	b.watch(now)
	b.blame()
	b.out.expire(now)
	if b.greeted {
		b.greeted = false
		b.sayBeat()
	}
	b.usage.tick(now, b.members.origins)
	if now.Sub(b.resynced) >= b.times.beat {
		b.resynced = now
		b.resync()
	}
}

// hear deals with one message of NATS.
func (b *NATS) hear(m *nats.Msg) {
	b.payloads++
	b.stats.messagesIn.Add(1)
	b.stats.bytesIn.Add(uint64(len(m.Data)))
	switch {
	case m.Subject == b.welcome && len(m.Data) == 0:
		// NATS itself: there is no other node.
	case m.Subject == subjectHello || m.Subject == b.welcome:
		b.helloHeard(m)
	case strings.HasPrefix(m.Subject, b.replies):
		// NATS itself: nobody has subscribed to the peer.
		if id, err := strconv.ParseUint(m.Subject[len(b.replies):], 16, 64); err == nil {
			b.rounds.unheard(id)
		}
	default:
		if err := b.payload(m.Data, time.Now()); err != nil {
			b.refuse(err)
		}
	}
}

// payload hands over what another node says.
func (b *NATS) payload(text []byte, now time.Time) error {
	c := cursor{rest: text}
	id, seq, err := c.header()
	if err != nil {
		return err
	}
	if id == 0 || id == b.id {
		return errOrigin
	}
	if b.members.origins[id] == nil && !legible(c) {
		return errMalformed // rounds would wait for a node that there is not
	}
	o, fresh := b.meet(id)
	if o == nil {
		return errOrigin
	}
	if seq <= o.seq {
		b.stats.repeated.Add(1) // heard by two subscriptions
		return nil
	}
	o.heard = now // not before: one of which nothing is taken any more is to be gone, and met anew
	o.seq = seq
	if fresh {
		b.usage.found(id)
	}
	if fresh && !startsLife(c) {
		b.found(o)
		o.back = true
		o.estranged.Add(1)
	}
	for len(c.rest) > 0 {
		b.stats.recordsIn.Add(1)
		kind := c.byte()
		if kind != kindShare {
			o.partial.drop()
		}
		err := b.record(o, kind, &c, now)
		if c.bad {
			o.partial.drop()
			return errMalformed
		}
		if err != nil {
			b.refuse(err)
		}
		if kind == kindBye && len(c.rest) > 0 {
			return errOrigin // nobody is left to have said it, nor to end it
		}
	}
	return nil
}

// legible reports whether all records of a payload, one at least, can be read.
func legible(c cursor) bool {
	if len(c.rest) == 0 {
		return false
	}
	for len(c.rest) > 0 {
		switch c.byte() {
		case kindPublication:
			c.publication()
		case kindDirect:
			c.direct()
		case kindShare:
			c.share()
		case kindStep:
			c.step()
		case kindExit:
			c.view()
			c.view()
		case kindMark, kindFence, kindDone:
			c.number()
		case kindKick:
			c.kick()
		case kindPeers:
			c.peers()
		case kindChannels:
			c.channels()
		case kindCount:
			c.socketCount()
		case kindMembers:
			c.number()
			c.members()
		case kindOccupied:
			c.number()
			c.occupied()
		case kindBeat:
			c.beat()
		case kindUsage:
			c.usage()
		case kindUsageAsk:
			c.byte()
		case kindBye:
		default:
			return false
		}
	}
	return !c.bad
}

// startsLife reports whether the records begin with a node's first beat since it
// has a link, before which it has said nothing.
func startsLife(c cursor) bool {
	if c.byte() != kindBeat {
		return false
	}
	first := c.beat()
	return !c.bad && first.epoch == 1 && first.number == 1
}

// maxUnsettled is how many changes of rosters wait for the loops at most. Where
// nothing else comes between them, as when all shares are exchanged, NATS is to wait.
const maxUnsettled = 4096

// unsettle notes that the node was told of a change of a roster.
func (b *NATS) unsettle() {
	if b.unsettled++; b.unsettled == maxUnsettled {
		b.settle()
	}
}

// settle has the node catch up with what it was told of rosters, so that what
// comes next does not overtake it.
func (b *NATS) settle() {
	if b.unsettled > 0 {
		b.unsettled = 0
		b.node.Settle()
	}
}

// record hands over one record, unless it is refused. If c is bad afterwards, it
// was not whole and nothing came of it.
func (b *NATS) record(o *origin, kind byte, c *cursor, now time.Time) error {
	switch kind {
	case kindPublication, kindDirect:
		return b.message(o, kind, c)
	case kindShare, kindStep, kindExit:
		return b.roster(o, kind, c)
	case kindKick, kindPeers, kindChannels:
		return b.asked(o, kind, c)
	case kindCount, kindMembers, kindOccupied:
		return b.answered(kind, c)
	case kindMark:
		if round := c.number(); !c.bad {
			b.settle()
			o.tally = o.tally.end(round)
		}
	case kindFence:
		if round := c.number(); !c.bad {
			b.settle()
			b.out.say(o.subject, appendDone(nil, round))
		}
	case kindDone:
		if round := c.number(); !c.bad {
			b.settle()
			b.rounds.done(round, o.id)
		}
	case kindBeat:
		if next := c.beat(); !c.bad {
			if !validNode(next.name) || next.number == 0 {
				return errName
			}
			b.beatHeard(o, next, now)
		}
	case kindUsage, kindUsageAsk:
		return b.usage.heard(o, kind, c)
	case kindBye:
		b.lose(o, "it ended")
		b.members.ended = append(b.members.ended, now)
	default:
		c.bad = true
	}
	return nil
}

// message hands over a message to a channel or to a peer.
func (b *NATS) message(o *origin, kind byte, c *cursor) error {
	if kind == kindPublication {
		ask, p := c.publication()
		if c.bad {
			return nil
		}
		if err := b.check.publication(&p); err != nil {
			return err
		}
		counted := o.tally.counter(ask)
		if b.keeps(o) {
			if b.fits(o, sizePublication(p), counted) {
				kept := p.clone()
				b.keep(o, func() { b.node.Publish(kept, counted) })
			}
			return nil
		}
		b.settle()
		b.node.Publish(p, counted)
		return nil
	}
	ask, flags, d := c.direct()
	if c.bad {
		return nil
	}
	if err := b.check.direct(d); err != nil {
		return err
	}
	if flags&flagOnce != 0 && o.repeats.heard(ask) {
		return nil
	}
	counted := o.tally.counter(ask)
	if b.keeps(o) {
		if b.fits(o, sizeDirect(d), counted) {
			kept := d.clone()
			b.keep(o, func() { b.node.Send(kept, counted) })
		}
		return nil
	}
	b.settle()
	b.node.Send(d, counted)
	return nil
}

// roster hands over what a node says of its share of a channel.
func (b *NATS) roster(o *origin, kind byte, c *cursor) error {
	switch kind {
	case kindShare:
		flags, s := c.share()
		if c.bad {
			return nil
		}
		if err := b.check.share(s); err != nil {
			o.partial.drop()
			return err
		}
		whole, ok, err := o.partial.add(s, flags&flagMore != 0)
		if ok {
			b.node.Share(o.id, whole, flags&flagAsked != 0)
			b.unsettle()
		}
		return err
	case kindStep:
		s := c.step()
		if c.bad {
			return nil
		}
		if err := b.check.step(s); err != nil {
			return err
		}
		b.node.Step(o.id, s)
		b.unsettle()
	case kindExit:
		app, channel := c.text(), c.text()
		if c.bad {
			return nil
		}
		if err := b.check.channel(app, channel); err != nil {
			return err
		}
		b.node.Exit(o.id, app, channel)
		b.unsettle()
	}
	return nil
}

// asked has the node answer a question.
func (b *NATS) asked(o *origin, kind byte, c *cursor) error {
	switch kind {
	case kindKick:
		ask, app, peer := c.kick()
		if c.bad {
			return nil
		}
		if err := b.check.kick(app, peer); err != nil {
			return err
		}
		b.node.Kick(app, peer, o.tally.counter(ask))
	case kindPeers:
		ask, app, channel := c.peers()
		if c.bad {
			return nil
		}
		if err := b.check.channel(app, channel); err != nil {
			return err
		}
		b.node.Peers(app, channel, o.tally.roster(ask))
	case kindChannels:
		ask, p := c.channels()
		if c.bad {
			return nil
		}
		if err := b.check.page(p); err != nil {
			return err
		}
		b.node.Channels(p.app, p.prefix, p.after, p.limit, o.tally.list(ask))
	}
	return nil
}

// answered takes an answer to what this node has asked.
func (b *NATS) answered(kind byte, c *cursor) error {
	switch kind {
	case kindCount:
		if ask, sockets := c.socketCount(); !c.bad {
			b.rounds.count(ask, sockets)
		}
	case kindMembers:
		ask, members := c.number(), c.members()
		if c.bad {
			return nil
		}
		if err := b.check.members(members); err != nil {
			return err
		}
		b.rounds.found(ask, members, nil)
	case kindOccupied:
		ask, found := c.number(), c.occupied()
		if c.bad {
			return nil
		}
		if err := b.check.occupied(found); err != nil {
			return err
		}
		b.rounds.found(ask, nil, found)
	}
	return nil
}
