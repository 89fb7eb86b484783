package presence

// Cut is a roster as it was at one moment. It is immutable and may be used from
// any goroutine.
type Cut struct {
	pages []*page // full ones
	last  *page   // the one that is not; nil if there is none
	len   int
}

// Len returns the number of peers.
func (c Cut) Len() int { return c.len }

// Each calls f with every peer and its metadata.
func (c Cut) Each(f func(id, meta string)) {
	for k := range c.count() {
		for _, e := range c.page(k).entries {
			f(e.peer, e.meta)
		}
	}
}

// Replica returns a roster that begins as the cut, for another loop.
func (c Cut) Replica() *Roster {
	r := &Roster{pages: c.pages[:len(c.pages):len(c.pages)], len: c.len, epoch: epochs.Add(1)}
	if c.last != nil {
		r.pages = append(r.pages, c.last.clone(r.epoch))
		r.listed = r.epoch
	}
	return r
}

func (c Cut) count() int {
	if c.last != nil {
		return len(c.pages) + 1
	}
	return len(c.pages)
}

func (c Cut) page(k int) *page {
	if k < len(c.pages) {
		return c.pages[k]
	}
	return c.last
}
