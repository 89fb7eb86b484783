package cluster

import "encoding/binary"

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

// sayBeat tells all nodes that this one lives.
func (b *NATS) sayBeat() {
	next := beat{name: b.name, epoch: b.epoch, number: b.beats + 1, connections: b.open()}
	if b.out.say(subjectAll, appendBeat(nil, next)) {
		b.beats++
	}
}

// open is how many sockets there are here.
func (b *NATS) open() uint64 {
	if b.connections == nil {
		return 0
	}
	return uint64(max(b.connections(), 0))
}
