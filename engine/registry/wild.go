package registry

import (
	"slices"

	"signalbox/protocol"
)

// Wild is one loop's wildcard subscriptions in one app, found by the literal
// text their patterns begin with. Loop-owned.
type Wild struct {
	space  *Space
	loop   int
	groups map[string]*Group   // by pattern
	prefix map[string][]*Group // by literal prefix
	// lengths of the prefixes in use, rising, and how many groups have each.
	lengths []prefixLength
}

type prefixLength struct{ length, groups int }

// Group is a pattern with its subscribers. Loop-owned.
type Group struct {
	Glob protocol.Glob
	Subs []Subscriber // Slot and Flags only
}

// NewWild returns an empty index for the loop.
func NewWild(s *Space, loop int) *Wild {
	return &Wild{space: s, loop: loop, groups: map[string]*Group{}, prefix: map[string][]*Group{}}
}

// Add subscribes the slot to the pattern and returns its group and index there.
func (w *Wild) Add(pattern string, slot uint32, flags uint8) (*Group, int) {
	g := w.groups[pattern]
	if g == nil {
		g = &Group{Glob: protocol.CompileGlob(pattern)}
		w.groups[pattern] = g
		w.index(g)
	}
	g.Subs = append(g.Subs, Subscriber{Slot: slot, Flags: flags})
	return g, len(g.Subs) - 1
}

// Remove takes out the subscriber at index i of the group. The last one moves
// into its place; moved is its slot, valid if i < len(g.Subs) afterwards.
func (w *Wild) Remove(g *Group, i int) (moved uint32) {
	last := len(g.Subs) - 1
	g.Subs[i] = g.Subs[last]
	moved = g.Subs[i].Slot
	g.Subs = g.Subs[:last]
	if last == 0 {
		delete(w.groups, g.Glob.String())
		w.unindex(g)
	}
	return moved
}

func (w *Wild) index(g *Group) {
	if len(w.groups) == 1 {
		w.space.setWild(w.loop, true)
	}
	p := g.Glob.LiteralPrefix()
	w.prefix[p] = append(w.prefix[p], g)
	i, ok := slices.BinarySearchFunc(w.lengths, len(p), func(l prefixLength, n int) int { return l.length - n })
	if !ok {
		w.lengths = slices.Insert(w.lengths, i, prefixLength{length: len(p)})
	}
	w.lengths[i].groups++
}

func (w *Wild) unindex(g *Group) {
	p := g.Glob.LiteralPrefix()
	if left := slices.DeleteFunc(w.prefix[p], func(x *Group) bool { return x == g }); len(left) > 0 {
		w.prefix[p] = left
	} else {
		delete(w.prefix, p)
	}
	i := slices.IndexFunc(w.lengths, func(l prefixLength) bool { return l.length == len(p) })
	if w.lengths[i].groups--; w.lengths[i].groups == 0 {
		w.lengths = slices.Delete(w.lengths, i, i+1)
	}
	if len(w.groups) == 0 {
		w.space.setWild(w.loop, false)
	}
}

// Match calls f with every group whose pattern matches the channel name.
func (w *Wild) Match(name string, f func(*Group)) {
	for _, l := range w.lengths {
		if l.length > len(name) {
			return
		}
		for _, g := range w.prefix[name[:l.length]] {
			if g.Glob.Match(name) {
				f(g)
			}
		}
	}
}
