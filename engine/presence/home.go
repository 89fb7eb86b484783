package presence

// Kind is what a Change does to a roster.
type Kind uint8

const (
	// None: nobody else can see a difference.
	None Kind = iota
	// Join: the peer was not there and now is.
	Join
	// Leave: the peer was there and now is not.
	Leave
	// Update: the peer's metadata is another now. Rosters follow, nobody is told.
	Update
)

// Change is one step of a roster.
type Change struct {
	Kind Kind
	ID   string
	Meta string // raw JSON object or empty; of a Join or Update
}

// Home is the roster of a channel at its home loop, by socket.
type Home struct {
	set[member]
	// Replicas is the set of loops that keep a Roster, one bit each.
	Replicas uint64
}

type member struct {
	peer    string
	sockets []socket // oldest first, never empty
}

func (m member) id() string   { return m.peer }
func (m member) meta() string { return m.sockets[len(m.sockets)-1].meta }

type socket struct {
	ref  uint64
	meta string
}

// Len returns the number of peers.
func (h *Home) Len() int { return len(h.list) }

// Join adds a socket of the peer. ref identifies the socket; one that is
// already there becomes the newest.
func (h *Home) Join(id string, ref uint64, meta string) Change {
	i := h.find(id)
	if i < 0 {
		h.add(member{id, []socket{{ref, meta}}})
		return Change{Join, id, meta}
	}
	m := &h.list[i]
	was := m.meta()
	m.drop(ref)
	m.sockets = append(m.sockets, socket{ref, meta})
	return updated(was, *m)
}

// Leave removes a socket of the peer, if it is there.
func (h *Home) Leave(id string, ref uint64) Change {
	i := h.find(id)
	if i < 0 {
		return Change{}
	}
	m := &h.list[i]
	was := m.meta()
	m.drop(ref)
	if len(m.sockets) == 0 {
		h.remove(i)
		return Change{Kind: Leave, ID: id}
	}
	return updated(was, *m)
}

func (m *member) drop(ref uint64) {
	for j, s := range m.sockets {
		if s.ref == ref {
			m.sockets = append(m.sockets[:j], m.sockets[j+1:]...)
			return
		}
	}
}

func updated(was string, m member) Change {
	if m.meta() == was {
		return Change{}
	}
	return Change{Update, m.peer, m.meta()}
}

// Each calls f with every peer and its metadata.
func (h *Home) Each(f func(id, meta string)) {
	for _, m := range h.list {
		f(m.peer, m.meta())
	}
}

// Roster returns a copy for a loop that is to keep a replica.
func (h *Home) Roster() *Roster {
	r := new(Roster)
	r.list = make([]entry, 0, len(h.list))
	h.Each(func(id, meta string) { r.add(entry{id, meta}) })
	return r
}
