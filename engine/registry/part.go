package registry

import (
	"signalbox/engine/presence"
)

// Flags of a subscriber.
const (
	// FlagMeta: wants frames with the sender's metadata.
	FlagMeta uint8 = 1 << iota
	// FlagPresence: may see the roster.
	FlagPresence
	// FlagAwait: has its ack and awaits its snapshot; no delta goes to it.
	FlagAwait
)

// Subscriber is one socket in a Part. 16 bytes and no pointer, so that a
// channel of a million of them costs the garbage collector nothing.
type Subscriber struct {
	Slot  uint32 // the session's slot in its loop
	From  uint32 // stream offset up to which it has the frames of its stream
	Since uint32 // sequence number of the last roster change it knows
	Flags uint8
}

func (s *Subscriber) stream() int { return int(s.Flags & FlagMeta) }

// Part is one loop's share of a channel. Loop-owned.
type Part struct {
	*Channel

	// Subscribers, in no order. Index is stable until a removal moves the
	// last one into the gap.
	Subs []Subscriber

	// Out holds frames not yet written; nil while there are none.
	Out *Pending
	// Roster is the roster with its sockets, at the channel's home loop; nil
	// elsewhere, while it is empty, and while it has no more than the one
	// subscriber of this part.
	Roster *presence.Home
	// Replica is the home's roster as told to this loop; nil at home, and
	// where no subscriber may see it.
	Replica *presence.Roster
	// Deltas are roster changes not yet told to all subscribers; nil if none.
	Deltas *presence.Deltas

	// base is the stream offset of the first pending byte, per stream; it
	// wraps around, so offsets are compared by their difference.
	base [2]uint32
	// Seq numbers the roster changes this loop has heard; it wraps around.
	Seq   uint32
	meta  uint32 // subscribers with FlagMeta
	watch uint32 // subscribers with FlagPresence
	// Joining counts subscribes under way to the home loop; they keep the
	// part alive.
	Joining uint32
	// Window paces the deltas; Paced says that a timer will tell them.
	Window presence.Window
	Paced  bool

	loop uint8
	held bool // it holds a reference to its channel
}

// Part returns the loop's part of the channel, or nil. Loop-owned.
func (c *Channel) Part(loop int) *Part {
	if loop == c.Home() {
		if c.home.held {
			return &c.home
		}
		return nil
	}
	if parts := c.others.Load(); parts != nil {
		return (*parts)[loop]
	}
	return nil
}

// Join returns the loop's part of the named channel, made with its channel if
// it is new. Loop-owned.
func (s *Space) Join(name string, loop int) *Part {
	if c := s.Find(name); c != nil {
		if p := c.Part(loop); p != nil {
			return p
		}
	}
	return s.Acquire(name, loop).hold(loop)
}

// JoinHome returns the part of the home loop of a channel met through another
// loop. Loop-owned.
func (c *Channel) JoinHome() *Part {
	if !c.home.held {
		c.space.retain(c)
		c.hold(c.Home())
	}
	return &c.home
}

// hold makes the loop's part, which takes over a reference to the channel.
func (c *Channel) hold(loop int) *Part {
	if loop == c.Home() {
		c.home.held = true
		return &c.home
	}
	if c.others.Load() == nil {
		parts := make([]*Part, c.space.loops)
		c.others.CompareAndSwap(nil, &parts)
	}
	p := &Part{Channel: c, loop: uint8(loop), held: true}
	(*c.others.Load())[loop] = p
	return p
}

// AtHome reports whether the part's loop is the channel's home.
func (p *Part) AtHome() bool { return p == &p.Channel.home }

// Done gives the part up if nothing holds it any more, and reports whether it
// did.
func (p *Part) Done() bool {
	if len(p.Subs) > 0 || p.Joining > 0 || p.Roster != nil || !p.held {
		return false
	}
	p.held = false
	if !p.AtHome() {
		(*p.others.Load())[p.loop] = nil
	}
	p.space.release(p.Channel)
	return true
}

// Add appends a subscriber, up to date with the frames pending now, and
// returns its index.
func (p *Part) Add(slot uint32, flags uint8) int {
	p.Subs = append(p.Subs, Subscriber{Slot: slot, Flags: flags, Since: p.Seq})
	i := len(p.Subs) - 1
	p.count(flags, +1)
	p.Subs[i].From = p.end(p.Subs[i].stream())
	if len(p.Subs) == 1 {
		p.loops.Or(1 << p.loop)
	}
	return i
}

// Remove takes out the subscriber at index i, whose pending frames the caller
// has dealt with, as well as those of the last one if the part is being
// flushed (see Pending.Cursor). The last subscriber moves into its place;
// moved is its slot, valid if i < len(p.Subs) afterwards.
func (p *Part) Remove(i int) (moved uint32) {
	p.count(p.Subs[i].Flags, -1)
	last := len(p.Subs) - 1
	p.Subs[i] = p.Subs[last]
	moved = p.Subs[i].Slot
	p.Subs = p.Subs[:last]
	switch {
	case last == 0:
		p.Subs = nil
		p.loops.And(^uint64(1 << p.loop))
	case cap(p.Subs) > 64 && last*4 < cap(p.Subs):
		p.Subs = append(make([]Subscriber, 0, 2*last), p.Subs...)
	}
	return moved
}

// SetMeta changes whether the subscriber at i, which has no frames pending,
// gets the sender's metadata.
func (p *Part) SetMeta(i int, on bool) {
	s := &p.Subs[i]
	if on == (s.Flags&FlagMeta != 0) {
		return
	}
	p.count(s.Flags, -1)
	s.Flags ^= FlagMeta
	p.count(s.Flags, +1)
	s.From = p.end(s.stream())
}

// AskMeta reports whether any subscriber asked for sender metadata.
func (p *Part) AskMeta() bool { return p.meta > 0 }

// Watched reports whether any subscriber may see the roster.
func (p *Part) Watched() bool { return p.watch > 0 }

func (p *Part) count(flags uint8, by int) {
	if flags&FlagPresence != 0 {
		p.watch += uint32(by)
	}
	if flags&FlagMeta != 0 {
		p.meta += uint32(by)
	}
}
