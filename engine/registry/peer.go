package registry

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// Ref names one socket: its loop, its slot there, and the slot's generation,
// so that a Ref to a socket that is gone never reaches its successor.
type Ref uint64

// NewRef packs a Ref. gen counts modulo 2^24.
func NewRef(loop int, slot, gen uint32) Ref {
	return Ref(uint64(loop)<<56 | uint64(gen&0xffffff)<<32 | uint64(slot))
}

// Loop returns the socket's event loop.
func (r Ref) Loop() int { return int(r >> 56) }

// Slot returns the socket's slot in its loop.
func (r Ref) Slot() uint32 { return uint32(r) }

// Gen returns the slot's generation.
func (r Ref) Gen() uint32 { return uint32(r>>32) & 0xffffff }

// String returns the Ref as it stands in logs: loop, slot and generation.
func (r Ref) String() string { return fmt.Sprintf("%d-%d-%d", r.Loop(), r.Slot(), r.Gen()) }

// Peer is the directory's entry for a peerId with at least one socket.
type Peer struct {
	// Immutable.
	ID string

	// Any goroutine (atomic); written under the table's shard lock. Most peers
	// have one socket, first. more, an immutable slice, is written after first
	// when a socket is added and after it when first is taken over, and read
	// before it: a reader may see a socket twice, but misses none.
	first atomic.Uint64
	more  atomic.Pointer[[]Ref]
}

func (p *Peer) key() string { return p.ID }

// Sockets returns the sockets of the peerId, none if it has none. Any goroutine.
func (s *Space) Sockets(peerID []byte) []Ref {
	p := s.peers.findBytes(peerID)
	if p == nil {
		return nil
	}
	more := p.more.Load()
	first := Ref(p.first.Load())
	if more == nil {
		return []Ref{first}
	}
	if slices.Contains(*more, first) {
		return *more
	}
	return append([]Ref{first}, *more...)
}

// Enter records a socket of the peerId and returns the peer's entry, which is
// valid until the matching Exit. Any goroutine.
func (s *Space) Enter(peerID string, r Ref) *Peer {
	return s.peers.update(peerID, func(p *Peer) *Peer {
		if p == nil {
			p = &Peer{ID: peerID}
			p.first.Store(uint64(r))
			if s.Events != nil {
				s.Events.Online(peerID)
			}
			return p
		}
		var more []Ref
		if old := p.more.Load(); old != nil {
			more = *old
		}
		more = append(more[:len(more):len(more)], r)
		p.more.Store(&more)
		return p
	})
}

// Exit forgets a socket of the peerId. Any goroutine.
func (s *Space) Exit(peerID string, r Ref) {
	s.peers.update(peerID, func(p *Peer) *Peer {
		if p == nil {
			return nil
		}
		old := p.more.Load()
		switch {
		case old == nil && Ref(p.first.Load()) == r:
			if s.Events != nil {
				s.Events.Offline(peerID)
			}
			return nil
		case old == nil:
			return p
		}
		more := *old
		if Ref(p.first.Load()) == r {
			r = more[0]
			p.first.Store(uint64(r))
		}
		if more = slices.DeleteFunc(slices.Clone(more), func(x Ref) bool { return x == r }); len(more) > 0 {
			p.more.Store(&more)
		} else {
			p.more.Store(nil)
		}
		return p
	})
}
