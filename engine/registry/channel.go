package registry

import (
	"slices"
	"strings"
	"sync/atomic"
)

// Channel is one channel of an app, as all loops see it.
type Channel struct {
	// Immutable.
	Name  string
	space *Space

	// Any goroutine (atomic).
	loops atomic.Uint64 // Loops with subscribers
	peers atomic.Int32  // peers in the roster

	// Guarded by the table's shard lock.
	refs int32

	// home is the part of the home loop, which most channels are all of; others
	// has those of the other loops, once there is one: element i is loop i's and
	// touched by loop i only.
	home   Part
	others atomic.Pointer[[]*Part]
}

func (c *Channel) key() string { return c.Name }

// Home is the loop that owns the roster: the one that met the channel first.
func (c *Channel) Home() int { return int(c.home.loop) }

// Space returns the app's name space that the channel lives in.
func (c *Channel) Space() *Space { return c.space }

// Find returns the channel if any loop has a part of it, else nil. Any goroutine.
func (s *Space) Find(name string) *Channel { return s.channels.find(name) }

// FindBytes is Find by the bytes of a name, without allocation.
func (s *Space) FindBytes(name []byte) *Channel { return s.channels.findBytes(name) }

// Acquire returns the channel with one more reference, made with home as its
// home loop if it is new. Each reference is given back by one Release.
func (s *Space) Acquire(name string, home int) *Channel {
	return s.channels.update(name, func(c *Channel) *Channel {
		if c == nil {
			c = &Channel{Name: name, space: s}
			c.home.Channel, c.home.loop = c, uint8(home)
		}
		c.refs++
		return c
	})
}

// retain adds a reference to a channel that the caller reached through another
// loop's. It may have left the table meanwhile; it then stays outside of it.
func (s *Space) retain(c *Channel) {
	s.channels.update(c.Name, func(found *Channel) *Channel {
		c.refs++
		return found
	})
}

func (s *Space) release(c *Channel) {
	s.channels.update(c.Name, func(found *Channel) *Channel {
		if c.refs--; c.refs == 0 && found == c {
			return nil
		}
		return found
	})
}

// Loops returns the loops that have subscribers of the channel.
func (c *Channel) Loops() Loops { return Loops(c.loops.Load()) }

// Peers returns how many peers the roster has.
func (c *Channel) Peers() int { return int(c.peers.Load()) }

// SetPeers records the size of the roster. Home loop only.
func (c *Channel) SetPeers(n int) { c.peers.Store(int32(n)) }

// Count returns how many channels there are.
func (s *Space) Count() int { return s.channels.count() }

// Listed is one row of Space.List.
type Listed struct {
	Name  string
	Peers int
}

// List returns, in the order of their names, up to limit channels that have
// peers, start with prefix, come after the name after and are allowed, and
// whether there are more.
func (s *Space) List(prefix, after string, limit int, allow func(string) bool) ([]Listed, bool) {
	var names []Listed
	s.channels.each(func(c *Channel) {
		n := c.Peers()
		if n > 0 && c.Name > after && strings.HasPrefix(c.Name, prefix) && allow(c.Name) {
			names = append(names, Listed{c.Name, n})
		}
	})
	slices.SortFunc(names, func(a, b Listed) int { return strings.Compare(a.Name, b.Name) })
	if len(names) > limit {
		return names[:limit], true
	}
	return names, false
}
