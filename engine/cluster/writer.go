package cluster

// write is the writer: the only goroutine that publishes and subscribes. It ends
// when the outbox is closed and empty.
func (b *NATS) write() {
	defer close(b.writtenC)
	var taken batch
	var fences, marks []*ask // that wait for a round to begin
	for range b.out.wakeC {
		b.out.take(&taken)
		done := taken.closed && len(taken.chunks) == 0
		b.subscribe(&taken)
		for i, c := range taken.chunks {
			for j := range c.entries {
				b.pass(c, &c.entries[j], taken.up)
			}
			b.out.recycle(c)
			taken.chunks[i] = nil
		}
		for _, a := range taken.asks {
			if a.fence {
				fences = append(fences, a)
			} else {
				marks = append(marks, a)
			}
		}
		fences, marks = b.mark(fences, &taken), b.mark(marks, &taken)
		if done {
			return
		}
		if taken.closed {
			b.out.wake()
		}
	}
}

// subscribe begins all subscriptions of a batch, before anything in it is said:
// that what is said about them is not kept apart by them. Without a link they wait for
// the next epoch.
func (b *NATS) subscribe(taken *batch) {
	if err := b.hearing.deny(taken.denied); err != nil {
		b.out.dropped()
	}
	if taken.up && taken.epoch != b.hearing.epoch {
		b.hearing.epoch = taken.epoch
		for _, in := range b.hearing.missing() {
			b.listen(in)
		}
	}
	for _, c := range taken.chunks {
		for j := range c.entries {
			if e := &c.entries[j]; e.op == opSubscribe {
				b.hearing.add(e.interest)
				if taken.up {
					b.listen(e.interest)
				}
			}
		}
	}
}

func (b *NATS) listen(in *interest) {
	var err error
	if in.sub, err = b.conn.ChanSubscribe(in.subject, b.messageC); err != nil {
		b.stats.lost.Add(1)
		b.out.dropped()
	}
}

// pass does one thing. What is said while the link is down is lost; what is to be
// heard is remembered for when it is up.
func (b *NATS) pass(c *chunk, e *entry, up bool) {
	var err error
	switch e.op {
	case opSubscribe: // done
		return
	case opUnsubscribe:
		b.hearing.end(e.interest)
		if e.interest.sub != nil {
			err = e.interest.sub.Unsubscribe()
		}
	default:
		if !up {
			b.stats.lost.Add(1)
			return
		}
		err = b.publish(c, e)
	}
	if err != nil {
		b.stats.lost.Add(1)
		b.out.dropped()
	}
}

func (b *NATS) publish(c *chunk, e *entry) error {
	subject := string(c.buf[e.subject:e.start])
	if e.op == opHello {
		return b.conn.PublishRequest(subject, b.welcome, b.helloText)
	}
	b.seq++
	start := e.start + putHeader(c.buf[e.start:e.start+maxHeader], b.id, b.seq)
	payload := c.buf[start:e.end]
	b.stats.messagesOut.Add(1)
	b.stats.bytesOut.Add(uint64(len(payload)))
	if e.op == opRequest {
		return b.conn.PublishRequest(subject, b.replies+NodeID(e.ask).String(), payload)
	}
	return b.conn.Publish(subject, payload)
}

// mark ends what was said so far with a mark or a fence, so that a round begins for
// the asks, which are of one kind. It returns those that still wait because too many
// rounds are open.
func (b *NATS) mark(asks []*ask, taken *batch) (waiting []*ask) {
	if len(asks) == 0 {
		return nil
	}
	if !taken.up || taken.mute {
		b.rounds.cutOff(asks)
		return nil
	}
	id, ok := b.rounds.start(asks)
	if !ok {
		return asks
	}
	if id == 0 {
		b.rounds.conclude(asks)
		return nil
	}
	b.seq++
	payload := make([]byte, maxHeader, 2*maxHeader)
	start := putHeader(payload, b.id, b.seq)
	if asks[0].fence {
		payload = appendFence(payload, id)[start:]
	} else {
		payload = appendMark(payload, id)[start:]
	}
	b.stats.messagesOut.Add(1)
	b.stats.bytesOut.Add(uint64(len(payload)))
	if err := b.conn.Publish(subjectAll, payload); err != nil {
		b.stats.lost.Add(1)
		b.rounds.end(id)
	}
	return nil
}
