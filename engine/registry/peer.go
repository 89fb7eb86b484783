package registry

import "sync/atomic"

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

// Peer is the directory's entry for a peerId with at least one socket.
type Peer struct {
	// Immutable.
	id string
	// Any goroutine (atomic). The slice is immutable.
	sockets atomic.Pointer[[]Ref]
}

func (p *Peer) key() string { return p.id }

// Sockets returns the peer's sockets, none if it has none. The slice is
// shared: read only. Any goroutine.
func (s *Space) Sockets(peerID []byte) []Ref {
	if p := s.peers.findBytes(peerID); p != nil {
		return *p.sockets.Load()
	}
	return nil
}

// Enter records a socket of the peer. Any goroutine.
func (s *Space) Enter(peerID string, r Ref) {
	s.peers.update(peerID, func(p *Peer) *Peer {
		var refs []Ref
		if p == nil {
			p = &Peer{id: peerID}
		} else {
			refs = *p.sockets.Load()
		}
		refs = append(refs[:len(refs):len(refs)], r)
		p.sockets.Store(&refs)
		return p
	})
}

// Exit forgets a socket of the peer. Any goroutine.
func (s *Space) Exit(peerID string, r Ref) {
	s.peers.update(peerID, func(p *Peer) *Peer {
		if p == nil {
			return nil
		}
		var refs []Ref
		for _, x := range *p.sockets.Load() {
			if x != r {
				refs = append(refs, x)
			}
		}
		if len(refs) == 0 {
			return nil
		}
		p.sockets.Store(&refs)
		return p
	})
}
