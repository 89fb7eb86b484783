package cluster

import (
	"context"
	"encoding/binary"
	"time"
)

// beat is what a node says of itself once a second.
type beat struct {
	name        string
	epoch       uint64 // grows whenever the node's link comes back
	number      uint64 // from 1 in each epoch, without a gap
	connections uint64
}

func appendBeat(dst []byte, b beat) []byte {
	dst = appendText(append(dst, kindBeat), b.name)
	dst = binary.AppendUvarint(dst, b.epoch)
	dst = binary.AppendUvarint(dst, b.number)
	return binary.AppendUvarint(dst, b.connections)
}

func (c *cursor) beat() beat {
	return beat{name: c.text(), epoch: c.number(), number: c.number(), connections: c.number()}
}

// sayBeat tells all nodes that this one lives. Any goroutine.
func (b *NATS) sayBeat() { b.out.sayBeat(b.newBeat()) }

// newBeat is a beat that has no number yet.
func (b *NATS) newBeat() beat {
	next := beat{name: b.name}
	if b.connections != nil {
		next.connections = uint64(max(b.connections(), 0))
	}
	return next
}

// beatOn says beats. The reader may wait for loops that are behind, and is late then,
// not dead: it is believed to come on for a while.
func (b *NATS) beatOn(ctx context.Context) {
	defer b.running.Done()
	tick := time.NewTicker(b.times.beat)
	defer tick.Stop()
	turns, turned := b.turns.Load(), time.Now()
	for {
		select {
		case now := <-tick.C:
			if t := b.turns.Load(); t != turns {
				turns, turned = t, now
			}
			if now.Sub(turned) < b.times.stuck {
				b.sayBeat()
			}
		case <-ctx.Done():
			return
		}
	}
}
