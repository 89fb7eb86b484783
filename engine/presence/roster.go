package presence

// Roster is who is in a channel: a replica of the Home, kept by its Changes.
type Roster struct {
	set[entry]
}

type entry struct{ peer, meta string }

func (e entry) id() string { return e.peer }

// Apply follows one Change of the Home.
func (r *Roster) Apply(c Change) {
	i := r.find(c.ID)
	switch {
	case c.Kind == Leave && i >= 0:
		r.remove(i)
	case (c.Kind == Join || c.Kind == Update) && i < 0:
		r.add(entry{c.ID, c.Meta})
	case c.Kind == Join || c.Kind == Update:
		r.list[i].meta = c.Meta
	}
}

// Len returns the number of peers.
func (r *Roster) Len() int { return len(r.list) }

// Each calls f with every peer and its metadata.
func (r *Roster) Each(f func(id, meta string)) {
	for _, e := range r.list {
		f(e.peer, e.meta)
	}
}
