package cluster

import (
	"bytes"
	"sync"
)

const (
	maxOutbox  = 64 << 20      // bytes that wait for the writer; beyond, what is said is refused
	muchWaits  = maxOutbox / 4 // so much and whoever has much to say had better wait
	chunkSize  = 256 << 10     // so much at most is one message of NATS, but for single records
	recordRoom = 64            // bytes a record's kind, numbers, lengths and subject prefix take at most, beside its texts
	maxSpare   = 4             // chunks kept for reuse
)

// op is what the writer does with an entry of the outbox.
type op uint8

const (
	opPublish op = iota
	opRequest    // publish, and learn when nobody hears it
	opHello      // publish the hello, which has no header, and want answers
	opSubscribe
	opUnsubscribe
)

// zeros is room for a header.
var zeros [maxHeader]byte

// entry is one thing for the writer to do. The subject and the payload of a
// message are parts of its chunk's buf; the payload begins with maxHeader bytes
// of room for its header.
type entry struct {
	op             op
	subject, start int // chunk.buf[subject:start] is the subject
	end            int // chunk.buf[start:end] is the payload
	ask            uint64
	interest       *interest
}

// chunk is memory for messages, filled by whoever says something and emptied by
// the writer.
type chunk struct {
	buf     []byte
	entries []entry
	large   int // bytes of large shares in it
	last    int // the entry that a record may join: the last but for subscriptions, which the writer does first
}

// address takes what was appended to buf from at on as the subject of the record
// that comes next. If the last message has the same, the record joins it.
func (c *chunk) address(at int) {
	if c.last < len(c.entries) {
		last := &c.entries[c.last]
		if last.op == opPublish && bytes.Equal(c.buf[last.subject:last.start], c.buf[at:]) {
			c.buf = c.buf[:at]
			return
		}
	}
	c.begin(opPublish, at)
}

// begin starts a message whose subject was appended to buf from at on.
func (c *chunk) begin(what op, at int) {
	start := len(c.buf)
	c.buf = append(c.buf, zeros[:]...)
	c.last = len(c.entries)
	c.entries = append(c.entries, entry{op: what, subject: at, start: start})
}

// seal ends the record that was appended to buf.
func (c *chunk) seal() { c.entries[c.last].end = len(c.buf) }

// outbox holds what this node says until the writer passes it on, in order. A
// record is appended in place, so that saying something is a copy under a lock.
type outbox struct {
	wakeC chan struct{} // has room for one: the writer has something to do

	mu sync.Mutex
	// Guarded by mu.
	standing  standing
	closed    bool // nothing is said any more; the writer ends when it is done
	epoch     uint64
	beats     uint64 // in this epoch
	denied    int    // subscriptions, since the writer last took them
	heard     int    // nodes that listen
	size      int    // bytes that wait, those with the writer included
	large     int    // of them, those of shares that are large by themselves
	chunks    []*chunk
	spare     []*chunk
	asks      []*ask // waiting for the next mark
	interests map[string]*interest
	lingering []lingerer // those without a holder, oldest first
}

// open reports whether something can be said now that takes size bytes. What
// cannot is lost, and told anew later. mu is held.
func (o *outbox) open(size int) bool {
	return o.admits(o.size - o.large + size)
}

// openShare is open for a share. One that is large is no part of what open bounds: it may
// be more than that, and what is said behind it is not to be refused for it.
func (o *outbox) openShare(size int) bool {
	if size > muchWaits {
		return o.admits(o.large)
	}
	return o.open(size)
}

// admits reports whether something can be said so that this is what waits. mu is held.
func (o *outbox) admits(waits int) bool {
	if o.standing.speaks() && waits <= maxOutbox && !o.closed {
		return true
	}
	o.standing.lost = true
	return false
}

// room returns a chunk to which size bytes can be appended. mu is held.
func (o *outbox) room(size int) *chunk {
	size += maxHeader
	if n := len(o.chunks); n > 0 {
		if c := o.chunks[n-1]; cap(c.buf)-len(c.buf) >= size {
			return c
		}
	}
	var c *chunk
	if n := len(o.spare); n > 0 && size <= chunkSize {
		c, o.spare = o.spare[n-1], o.spare[:n-1]
	} else {
		c = &chunk{buf: make([]byte, 0, max(size, chunkSize))}
	}
	o.chunks = append(o.chunks, c)
	return c
}

// seal ends a record that was appended to c, whose buf was before bytes long, and
// wakes the writer. mu is held.
func (o *outbox) seal(c *chunk, before int) {
	c.seal()
	o.size += len(c.buf) - before
	o.wake()
}

// wake tells the writer that there is something to do.
func (o *outbox) wake() {
	select {
	case o.wakeC <- struct{}{}:
	default:
	}
}

// batch is what the writer takes at once.
type batch struct {
	chunks []*chunk
	asks   []*ask
	denied int
	epoch  uint64
	up     bool
	mute   bool // nothing is said behind it
	closed bool
}

// take empties the outbox into b, which the writer has dealt with.
func (o *outbox) take(b *batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b.chunks, o.chunks = o.chunks, b.chunks[:0]
	b.asks, o.asks = o.asks, nil
	b.denied, o.denied = o.denied, 0
	b.epoch = o.epoch
	b.up, b.mute, b.closed = o.standing.up, o.closed || o.standing.deaf, o.closed
}

// recycle gives back a chunk that the writer has dealt with.
func (o *outbox) recycle(c *chunk) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size -= len(c.buf)
	o.large -= c.large
	c.large = 0
	if cap(c.buf) == chunkSize && len(o.spare) < maxSpare {
		clear(c.entries)
		c.buf, c.entries = c.buf[:0], c.entries[:0]
		o.spare = append(o.spare, c)
	}
}

// say appends a ready record for a subject, in order with those that follow from
// it. It reports whether it will be said.
func (o *outbox) say(subject string, record []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open(len(record)) {
		return false
	}
	o.append(subject, record)
	return true
}

// append appends a ready record. mu is held.
func (o *outbox) append(subject string, record []byte) {
	o.add(len(subject)+len(record), nil,
		func(dst []byte) []byte { return append(dst, subject...) },
		func(dst []byte) []byte { return append(dst, record...) })
}

// add appends a record in place: subject and record append what takes size bytes at
// most together. It goes out as a request if a is one; any other a, not nil, waits
// for the next round. mu is held.
func (o *outbox) add(size int, a *ask, subject, record func(dst []byte) []byte) {
	c := o.room(size)
	before := len(c.buf)
	c.buf = subject(c.buf)
	if a.requests() {
		c.begin(opRequest, before)
		c.entries[c.last].ask = a.id
	} else {
		c.address(before)
		if a != nil {
			o.asks = append(o.asks, a)
		}
	}
	c.buf = record(c.buf)
	o.seal(c, before)
}

// parts appends the records of a share, which follow one another without anything
// between. mu is held.
func (o *outbox) parts(subject string, records []byte, ends []int) {
	start := 0
	for _, end := range ends {
		before := o.size
		o.append(subject, records[start:end])
		if len(records) > muchWaits {
			o.chunks[len(o.chunks)-1].large += o.size - before
			o.large += o.size - before
		}
		start = end
	}
}

// listened reports whether something of size bytes can be said and there is
// somebody to hear it. If it cannot be said, err is ErrUnavailable. mu is held.
func (o *outbox) listened(size int) (ok bool, err error) {
	if !o.open(size) {
		return false, ErrUnavailable
	}
	return o.heard > 0, nil
}

// believed is listened for a message. mu is held.
func (o *outbox) believed(size int) (ok bool, err error) {
	if !o.standing.settled() {
		return false, ErrUnavailable
	}
	return o.listened(size)
}

// askAll says a record to all nodes and has the next round wait for a, if that is not
// nil, as listened reports.
func (o *outbox) askAll(record []byte, a *ask) (ok bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ok, err = o.listened(len(record))
	if ok {
		if a != nil {
			o.asks = append(o.asks, a)
		}
		o.append(subjectAll, record)
	}
	return ok, err
}

func (o *outbox) setHeard(nodes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heard = nodes
}

// hello has the writer say hello on a subject.
func (o *outbox) hello(subject string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.standing.speaks() || o.closed || o.size-o.large > maxOutbox {
		return
	}
	c := o.room(len(subject))
	before := len(c.buf)
	c.buf = append(c.buf, subject...)
	c.begin(opHello, before)
	o.seal(c, before)
}

// comeLate notes that the link was not there when this node came. When it is, there may
// be much to tell, and others may be yet to be heard.
func (o *outbox) comeLate() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.epoch = 1
	o.standing.lost = true
}

// connected notes whether the link is there.
func (o *outbox) connected(linked bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.standing.connected(linked)
}

// linked reports whether an epoch has begun with the link there is.
func (o *outbox) linked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.standing.up
}

// begin says the first beat of an epoch and reports true, if the link has come up.
func (o *outbox) begin(first beat) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || !o.standing.begin() {
		return false
	}
	o.epoch++
	first.epoch, first.number = o.epoch, 1
	o.beats = 1
	o.append(subjectAll, appendBeat(nil, first))
	return true
}

// sayBeat says the next beat of the epoch, if it can be said. One that is due before the
// epoch has begun is not lost: that begins with another.
func (o *outbox) sayBeat(next beat) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.standing.speaks() {
		return
	}
	next.epoch, next.number = o.epoch, o.beats+1
	if record := appendBeat(nil, next); o.open(len(record)) {
		o.beats++
		o.append(subjectAll, record)
	}
}

// deny has the writer take a subscription back.
func (o *outbox) deny() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.denied++
	o.wake()
}

// deafened notes that this node does not hear others over the link there is, says a last
// record, and reports whether that is new.
func (o *outbox) deafened(last []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.standing.deaf || o.closed {
		return false
	}
	if o.standing.up {
		o.append(subjectAll, last)
	}
	o.standing.deaf = true
	return true
}

// deaf reports whether this node does not hear others.
func (o *outbox) deaf() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.standing.deaf
}

// recovered reports whether something was lost and can be told anew now, under a
// number that is not 0. It does so once.
func (o *outbox) recovered() (number uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size > muchWaits {
		return 0
	}
	return o.standing.tell()
}

// toldAll notes that all have heard what was told anew under a number.
func (o *outbox) toldAll(number uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.standing.toldAll(number)
}

// lossy reports whether something was lost that has not begun to be told anew.
func (o *outbox) lossy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.standing.lost
}

// dropped notes that something said did not get to the link.
func (o *outbox) dropped() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.standing.lost = true
}

// close says a last record. Nothing can be said after it.
func (o *outbox) close(last []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.standing.speaks() && !o.closed {
		o.append(subjectAll, last)
	}
	o.closed = true
	o.wake()
}
