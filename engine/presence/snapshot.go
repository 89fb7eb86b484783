package presence

import "signalbox/protocol"

// Snapshot is the presence messages that tell a peer who else is in the channel,
// made a piece at a time: one message, with an empty list if nobody is, unless
// the list has to be split at MaxFrame. It holds on to the Cut that it tells.
type Snapshot struct {
	channel string
	self    string
	cut     Cut
	next    int  // the page that follows, of the message begun
	end     int  // the page behind the message begun
	own     int  // the page of self in the message begun, -1: none
	at      int  // the index there
	told    bool // a message was begun
	first   bool // no peer of the message begun has been told
	size    int  // bytes of the message begun
	left    int  // those of them that are still to be appended
	rest    []byte
}

// Snapshot returns what to tell self of the channel.
func (c Cut) Snapshot(channel, self string) *Snapshot {
	return &Snapshot{channel: channel, self: self, cut: c}
}

// Begin begins the next message and returns its size in bytes, 0 if all have been
// told. The one before has been appended wholly.
func (s *Snapshot) Begin() int {
	for s.end < s.cut.count() || !s.told {
		peers := s.plan()
		if peers == 0 && s.told {
			continue // a page that has nobody but self
		}
		s.told, s.first = true, true
		s.rest = protocol.AppendPresenceHead(nil, s.channel)
		s.left = s.size
		return s.size
	}
	return 0
}

// plan finds the pages of the next message and its size, and returns how many
// peers it tells.
func (s *Snapshot) plan() (peers int) {
	s.next, s.own = s.end, -1
	s.size = protocol.PresenceSize(s.channel)
	for ; s.end < s.cut.count(); s.end++ {
		p := s.cut.page(s.end)
		size, n, at := p.size, len(p.entries), -1
		if s.own < 0 {
			if at = p.find(s.self); at >= 0 {
				size, n = size-p.entries[at].size(), n-1
			}
		}
		if peers > 0 && s.size+size-1 > MaxFrame { // the first has no comma
			break
		}
		if at >= 0 {
			s.own, s.at = s.end, at
		}
		s.size, peers = s.size+size, peers+n
	}
	if peers > 0 {
		s.size--
	}
	return peers
}

// More reports whether anything is still to be appended, or begun.
func (s *Snapshot) More() bool { return s.left > 0 || s.end < s.cut.count() }

// Size returns the bytes of the message begun.
func (s *Snapshot) Size() int { return s.size }

// Left returns how many bytes of the message begun are still to be appended.
func (s *Snapshot) Left() int { return s.left }

// Append appends the next n bytes of the message begun, or what is left of it.
func (s *Snapshot) Append(dst []byte, n int) []byte {
	n = min(n, s.left)
	s.left -= n
	for n > 0 {
		if len(s.rest) == 0 {
			s.fill()
		}
		k := min(n, len(s.rest))
		dst = append(dst, s.rest[:k]...)
		s.rest = s.rest[k:]
		n -= k
	}
	return dst
}

// fill takes up the next page, or the end of the message.
func (s *Snapshot) fill() {
	if s.next == s.end {
		s.rest = protocol.AppendPresenceTail(nil)
		return
	}
	p := s.cut.page(s.next)
	if s.next == s.own {
		s.rest = p.encode(s.at)
	} else {
		s.rest = p.encoded()
	}
	s.next++
	if s.first && len(s.rest) > 0 {
		s.first, s.rest = false, s.rest[1:]
	}
}
