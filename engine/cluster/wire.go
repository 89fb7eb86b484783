package cluster

import (
	"encoding/binary"
	"errors"
	"strings"
	"unsafe"
)

// format is the version of all that is said but hellos. Nodes of different
// formats do not understand one another.
const format = 1

// maxHeader is the size of a payload's header at most: format, node, number.
const maxHeader = 1 + 8 + binary.MaxVarintLen64

// A payload is a header and records, each a kind and its fields. Numbers are
// unsigned varints, texts have their length before them.
const (
	kindPublication = 1 + iota
	kindDirect
	kindShare
	kindStep
	kindExit
	kindMark
	kindKick
	kindPeers
	kindChannels
	kindCount
	kindMembers
	kindOccupied
	kindDone
	kindBeat
	kindBye
	kindUsage
	kindUsageAsk
	kindFence
)

// Why something is refused. What follows in the same payload is heard unless it
// is malformed.
var (
	errMalformed = errors.New("cluster: malformed payload")
	errFormat    = errors.New("cluster: another format")
	errOrigin    = errors.New("cluster: no such origin")
	errName      = errors.New("cluster: invalid name")
	errSize      = errors.New("cluster: over a size limit")
	errJSON      = errors.New("cluster: not the JSON it should be")
	errFrame     = errors.New("cluster: frame does not fit its message")
)

// putHeader writes a header so that it ends where space does, and returns where
// it starts.
func putHeader(space []byte, from NodeID, seq uint64) int {
	var h [maxHeader]byte
	h[0] = format
	binary.BigEndian.PutUint64(h[1:], uint64(from))
	n := 9 + binary.PutUvarint(h[9:], seq)
	return len(space) - copy(space[len(space)-n:], h[:n])
}

// appendText appends a text with its length before it.
func appendText[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// cursor reads a payload. Once it is bad, because something is not there, it
// reads only zeros.
type cursor struct {
	rest []byte
	bad  bool
}

// header reads a payload's header.
func (c *cursor) header() (from NodeID, seq uint64, err error) {
	if len(c.rest) > 0 && c.rest[0] != format {
		return 0, 0, errFormat
	}
	if len(c.rest) < 9 {
		return 0, 0, errMalformed
	}
	from = NodeID(binary.BigEndian.Uint64(c.rest[1:]))
	c.rest = c.rest[9:]
	if seq = c.number(); c.bad {
		return 0, 0, errMalformed
	}
	return from, seq, nil
}

func (c *cursor) byte() byte {
	if len(c.rest) == 0 {
		c.bad = true
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

func (c *cursor) number() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.bad, c.rest = true, nil
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

// count reads how many elements of at least size bytes follow, so that nothing
// is set aside for more than there can be.
func (c *cursor) count(size int) int {
	n := c.number()
	if n > uint64(len(c.rest)/size) {
		c.bad, c.rest = true, nil
		return 0
	}
	return int(n)
}

// bytes reads a text, which stays part of the payload; nil if it is empty.
func (c *cursor) bytes() []byte {
	n := c.count(1)
	if n == 0 {
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

// view reads a text that keeps the whole payload alive: for what is soon let go.
// Nothing writes to a payload.
func (c *cursor) view() string {
	b := c.bytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// text reads a text into memory of its own.
func (c *cursor) text() string { return strings.Clone(c.view()) }
