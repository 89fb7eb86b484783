package registry

import (
	"math/bits"
	"sync/atomic"
)

// MaxLoops is the largest number of event loops.
const MaxLoops = 64

// Loops is a set of event loops: bit i stands for loop i.
type Loops uint64

// Each calls f with every loop of the set, in rising order.
func (s Loops) Each(f func(loop int)) {
	for s != 0 {
		f(bits.TrailingZeros64(uint64(s)))
		s &= s - 1
	}
}

// Len returns how many loops are in the set.
func (s Loops) Len() int { return bits.OnesCount64(uint64(s)) }

// Has reports whether the loop is in the set.
func (s Loops) Has(loop int) bool { return s>>loop&1 != 0 }

// Events hears of who comes to a Space and goes. Its methods are called on the
// loops, those of a peer under a lock; they return at once and do not call back.
type Events interface {
	// Online: the peer's first socket is there. Of one peer, Online and Offline
	// are called in turns.
	Online(peer string)
	// Offline: the peer's last socket is gone.
	Offline(peer string)
	// Joined: the peer's first socket is in the channel's roster, which has so
	// many peers now. Of one channel, Joined and Left are called in the
	// roster's order.
	Joined(channel, peer, meta string, peers int)
	// Left: the peer's last socket is out of the channel's roster.
	Left(channel, peer string, peers int)
}

// Space is one app's channels, peers and wildcard interest.
type Space struct {
	// Immutable after first use.
	loops  int
	App    string // the app's id
	Events Events // nil: nobody listens

	// Any goroutine.
	channels table[Channel, *Channel]
	peers    table[Peer, *Peer]
	wild     atomic.Uint64 // Loops with wildcard subscriptions
}

// NewSpace returns an empty space for a server of so many loops.
func NewSpace(loops int) *Space { return &Space{loops: loops} }

// Wild returns the loops that have wildcard subscriptions.
func (s *Space) Wild() Loops { return Loops(s.wild.Load()) }

// setWild tells whether the loop has wildcard subscriptions.
func (s *Space) setWild(loop int, on bool) {
	if on {
		s.wild.Or(1 << loop)
	} else {
		s.wild.And(^uint64(1 << loop))
	}
}
