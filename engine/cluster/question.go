package cluster

import (
	"encoding/binary"
	"strings"

	"signalbox/engine/auth"
	"signalbox/protocol"
)

// maxChannels is how many channels one question asks for at most.
const maxChannels = 10_000

// appendMark appends the end of a round: every node answers with done when it
// has answered all that this one asked before.
func appendMark(dst []byte, round uint64) []byte {
	return binary.AppendUvarint(append(dst, kindMark), round)
}

// appendFence appends the end of a round that every node answers with done when it
// has heard all that this one said before, whatever it has yet to answer.
func appendFence(dst []byte, round uint64) []byte {
	return binary.AppendUvarint(append(dst, kindFence), round)
}

func appendDone(dst []byte, round uint64) []byte {
	return binary.AppendUvarint(append(dst, kindDone), round)
}

func appendKick(dst []byte, ask uint64, app, peer string) []byte {
	dst = binary.AppendUvarint(append(dst, kindKick), ask)
	return appendText(appendText(dst, app), peer)
}

func (c *cursor) kick() (ask uint64, app, peer string) {
	return c.number(), c.view(), c.view()
}

func (k *checker) kick(app, peer string) error {
	if !auth.ValidAppID(app) || !protocol.ValidPeerID(peer) {
		return errName
	}
	return nil
}

func appendPeers(dst []byte, ask uint64, app, channel string) []byte {
	dst = binary.AppendUvarint(append(dst, kindPeers), ask)
	return appendText(appendText(dst, app), channel)
}

func (c *cursor) peers() (ask uint64, app, channel string) {
	return c.number(), c.view(), c.view()
}

// page is a question for channels.
type page struct {
	app, prefix, after string
	limit              int
}

// lacks reports whether a channel was not asked for.
func (p page) lacks(o Occupied) bool {
	return o.Channel <= p.after || !strings.HasPrefix(o.Channel, p.prefix)
}

func appendChannels(dst []byte, ask uint64, p page) []byte {
	dst = binary.AppendUvarint(append(dst, kindChannels), ask)
	dst = appendText(dst, p.app)
	dst = appendText(dst, p.prefix)
	dst = appendText(dst, p.after)
	return binary.AppendUvarint(dst, uint64(p.limit))
}

func (c *cursor) channels() (ask uint64, p page) {
	ask = c.number()
	p = page{app: c.view(), prefix: c.view(), after: c.view()}
	p.limit = int(min(c.number(), maxChannels))
	return ask, p
}

func (k *checker) page(p page) error {
	if !auth.ValidAppID(p.app) || len(p.prefix) > protocol.MaxChannelLen || len(p.after) > protocol.MaxChannelLen {
		return errName
	}
	return nil
}

// appendCount appends how many sockets it was.
func appendCount(dst []byte, ask uint64, sockets int) []byte {
	dst = binary.AppendUvarint(append(dst, kindCount), ask)
	return binary.AppendUvarint(dst, uint64(max(sockets, 0)))
}

func (c *cursor) socketCount() (ask uint64, sockets int) {
	return c.number(), int(min(c.number(), 1<<31))
}

// appendAnswer appends part of a roster that was asked for.
func appendAnswer(dst []byte, ask uint64, members []Member) []byte {
	return appendMembers(binary.AppendUvarint(append(dst, kindMembers), ask), members)
}

func appendOccupied(dst []byte, ask uint64, found []Occupied) []byte {
	dst = binary.AppendUvarint(append(dst, kindOccupied), ask)
	dst = binary.AppendUvarint(dst, uint64(len(found)))
	for _, o := range found {
		dst = binary.AppendUvarint(appendText(dst, o.Channel), uint64(max(o.Peers, 0)))
	}
	return dst
}

func (c *cursor) occupied() []Occupied {
	n := c.count(3) // a name of one character, a number
	found := make([]Occupied, 0, n)
	for range n {
		found = append(found, Occupied{Channel: c.text(), Peers: int(min(c.number(), 1<<31))})
	}
	return found
}

func (k *checker) occupied(found []Occupied) error {
	for _, o := range found {
		if !validConcrete(o.Channel) {
			return errName
		}
	}
	return nil
}
