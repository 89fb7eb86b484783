package cluster

import (
	"encoding/binary"

	json "github.com/goccy/go-json"
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

// hello is what a node says of itself in words that every format understands.
type hello struct {
	Node    string `json:"node"`
	ID      string `json:"id"`
	Format  int    `json:"format"`
	Version string `json:"version"`
}

// maxHello is what a hello may measure, in bytes.
const maxHello = 1024

func parseHello(text []byte) (h hello, err error) {
	if len(text) > maxHello {
		return h, errSize
	}
	if err := json.Unmarshal(text, &h); err != nil || h.ID == "" || !validNode(h.Node) || !validNode(h.ID) || !validNode(h.Version) {
		return hello{}, errJSON
	}
	return h, nil
}
