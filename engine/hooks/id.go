package hooks

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// idGenerator makes identifiers in the form of ULIDs: 26 characters, the time in
// ms first, so that they sort as they were made. Not concurrent.
type idGenerator struct{ high, low uint64 }

// crockford is the alphabet of base 32 without letters that look alike.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// append appends an identifier. Within a millisecond, or when the clock goes
// back, it is the last one's successor.
func (g *idGenerator) append(dst []byte, now time.Time) []byte {
	if ms := uint64(now.UnixMilli()); ms > g.high>>16 {
		var random [10]byte
		rand.Read(random[:]) // never fails
		g.high = ms<<16 | uint64(binary.BigEndian.Uint16(random[:]))
		g.low = binary.BigEndian.Uint64(random[2:])
	} else if g.low++; g.low == 0 {
		g.high++
	}
	var text [26]byte
	high, low := g.high, g.low
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = crockford[low&31]
		low = low>>5 | high<<59
		high >>= 5
	}
	return append(dst, text[:]...)
}
