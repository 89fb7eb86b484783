package presence

import (
	"slices"
	"sync/atomic"
)

// Roster is who is in a channel, in no order that means anything. A replica of
// the Home is kept by its Changes, which name places: it has the same peers at
// the same ones.
type Roster struct {
	pages []*page // all full but the last, none empty
	len   int
	// epoch is that of the last Cut. Pages of another, and the list of them if
	// listed is another, may be held by a Cut and are copied before they change.
	epoch, listed uint64

	used int64 // when a snapshot last made use of the pages' text, ms
	warm bool  // somebody is to Cool it
	cold int   // pages before this one have been cooled
}

// epochs numbers the cuts of all rosters, which share pages.
var epochs atomic.Uint64

// Len returns the number of peers.
func (r *Roster) Len() int { return r.len }

// Apply follows one Change of the Home.
func (r *Roster) Apply(c Change) {
	switch c.Kind {
	case Join:
		r.add(entry{c.ID, socket{meta: c.Meta}})
	case Leave:
		r.remove(int(c.At))
	case Update:
		r.update(int(c.At), func(e *entry) { e.meta = c.Meta })
	}
}

// Cut returns the roster as it is now. What it costs does not depend on how long
// the roster is.
func (r *Roster) Cut() Cut {
	r.epoch = epochs.Add(1)
	c := Cut{pages: r.pages, len: r.len}
	if n := len(r.pages) - 1; r.len%pageLen != 0 {
		c.pages = r.pages[:n]
		c.last = &page{entries: r.pages[n].entries, size: r.pages[n].size}
	}
	return c
}

// Warm notes that a snapshot makes use of the pages' text at now, and reports
// whether the caller is to Cool the roster some time later.
func (r *Roster) Warm(now int64) bool {
	r.used = now
	if r.warm || r.len < pageLen { // a page that is not full keeps no text
		return false
	}
	r.warm = true
	return true
}

// coolPages is how many pages Cool looks at.
const coolPages = 1024

// Cool drops the text of some pages, unless a snapshot has made use of it after
// the time before, and reports whether one has. It is done when no page has text
// any more; until then it is to be called again.
func (r *Roster) Cool(before int64) (used, done bool) {
	if r.used > before {
		r.cold = 0
		return true, false
	}
	end := min(r.cold+coolPages, len(r.pages))
	for ; r.cold < end; r.cold++ {
		if p := r.pages[r.cold]; p.text.Load() != nil {
			p.text.Store(nil)
		}
	}
	if end < len(r.pages) {
		return false, false
	}
	r.cold, r.warm = 0, false
	return false, true
}

func (r *Roster) at(i int) *entry { return &r.pages[i/pageLen].entries[i%pageLen] }

func (r *Roster) add(e entry) {
	if r.len%pageLen == 0 {
		r.pages = append(r.pages, &page{epoch: r.epoch})
	}
	r.pages[len(r.pages)-1].add(e) // a Cut does not look behind what it saw
	r.len++
}

// update changes the entry at i.
func (r *Roster) update(i int, change func(*entry)) {
	p := r.own(i / pageLen)
	e := &p.entries[i%pageLen]
	p.size -= e.size()
	change(e)
	p.size += e.size()
}

// remove takes the entry at i out and moves the last one into its place.
func (r *Roster) remove(i int) {
	r.len--
	k := r.len / pageLen
	last := r.own(k)
	e := last.entries[r.len%pageLen]
	if i != r.len {
		r.update(i, func(was *entry) { *was = e })
	}
	last.entries[r.len%pageLen] = entry{}
	last.entries = last.entries[:r.len%pageLen]
	last.size -= e.size()
	if len(last.entries) == 0 {
		r.pages[k] = nil
		r.pages = r.pages[:k]
	}
}

// own returns the k-th page, to be changed.
func (r *Roster) own(k int) *page {
	p := r.pages[k]
	if p.epoch == r.epoch {
		return p
	}
	if r.listed != r.epoch {
		r.pages, r.listed = slices.Clone(r.pages), r.epoch
	}
	r.pages[k] = p.clone(r.epoch)
	return r.pages[k]
}
