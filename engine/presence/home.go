package presence

// Kind is what a Change does to a roster.
type Kind uint8

const (
	// None: nobody else can see a difference.
	None Kind = iota
	// Join: the peer was not there and now is, at the end.
	Join
	// Leave: the peer was there and now is not; the last one is in its place.
	Leave
	// Update: the peer's metadata is another now. Rosters follow, nobody is told.
	Update
)

// Change is one step of a roster. Replicas follow all of them, in order.
type Change struct {
	Kind Kind
	At   int32 // the peer's place, of a Leave or Update
	ID   string
	Meta string // raw JSON object or empty; of a Join or Update
}

// indexFrom is the size from which a Home keeps an index: below it, a scan is as
// fast, and most channels are small.
const indexFrom = 12

// Home is the roster of a channel at its home loop, by socket.
type Home struct {
	Roster
	index map[string]int32 // places by peer; nil while the roster is small
	// Replicas is the set of loops that keep a Roster, one bit each.
	Replicas uint64
}

// Join adds a socket of the peer. ref identifies the socket; one that is
// already there becomes the newest.
func (h *Home) Join(id string, ref uint64, meta string) Change {
	i := h.find(id)
	if i < 0 {
		h.enter(entry{id, socket{meta: meta, ref: ref}})
		return Change{Kind: Join, ID: id, Meta: meta}
	}
	return h.alter(i, func(e *entry) {
		if e.ref != ref {
			e.drop(ref)
			was := e.socket
			e.older = &was
		}
		e.ref, e.meta = ref, meta
	})
}

// Leave removes a socket of the peer, if it is there.
func (h *Home) Leave(id string, ref uint64) Change {
	i := h.find(id)
	if i < 0 {
		return Change{}
	}
	if e := h.at(i); e.ref == ref && e.older == nil {
		h.take(i)
		return Change{Kind: Leave, At: int32(i), ID: id}
	}
	return h.alter(i, func(e *entry) { e.drop(ref) })
}

// away marks the refs of other nodes: each stands for all of a peer's sockets
// there.
const away = 1 << 63

// AwayRef returns the ref of a peer's sockets on another node, by the node's id.
func AwayRef(node uint64) uint64 { return node | away }

// Here returns what the newest of the peer's sockets on this node says, and
// whether there is any.
func (h *Home) Here(id string) (meta string, ok bool) {
	if i := h.find(id); i >= 0 {
		return h.at(i).here()
	}
	return "", false
}

func (e *entry) here() (meta string, ok bool) {
	for s := &e.socket; s != nil; s = s.older {
		if s.ref&away == 0 {
			return s.meta, true
		}
	}
	return "", false
}

// EachHere calls f with every peer that has a socket on this node, and what its
// newest there says.
func (h *Home) EachHere(f func(id, meta string)) {
	for i := range h.Len() {
		e := h.at(i)
		if meta, ok := e.here(); ok {
			f(e.peer, meta)
		}
	}
}

// Of returns what the peer's socket of this ref says, and whether it has one.
func (h *Home) Of(id string, ref uint64) (meta string, ok bool) {
	i := h.find(id)
	if i < 0 {
		return "", false
	}
	for s := &h.at(i).socket; s != nil; s = s.older {
		if s.ref == ref {
			return s.meta, true
		}
	}
	return "", false
}

// Only reports whether the peer has no socket but on this node.
func (h *Home) Only(id string) bool {
	i := h.find(id)
	if i < 0 {
		return false
	}
	for s := &h.at(i).socket; s != nil; s = s.older {
		if s.ref&away != 0 {
			return false
		}
	}
	return true
}

// With returns the peers that have a socket of this ref.
func (h *Home) With(ref uint64) (ids []string) {
	for i := range h.Len() {
		e := h.at(i)
		for s := &e.socket; s != nil; s = s.older {
			if s.ref == ref {
				ids = append(ids, e.peer)
				break
			}
		}
	}
	return ids
}

// drop takes out a socket of the entry, which has another.
func (e *entry) drop(ref uint64) {
	if e.ref == ref {
		e.socket = *e.older
		return
	}
	for s := &e.socket; s.older != nil; s = s.older {
		if s.older.ref == ref {
			s.older = s.older.older
			return
		}
	}
}

// alter changes the sockets of the peer at i.
func (h *Home) alter(i int, change func(*entry)) Change {
	was := h.at(i).meta
	h.update(i, change)
	e := h.at(i)
	if e.meta == was {
		return Change{}
	}
	return Change{Kind: Update, At: int32(i), ID: e.peer, Meta: e.meta}
}

// find returns the place of the peer, or -1.
func (h *Home) find(id string) int {
	if h.index != nil {
		if i, ok := h.index[id]; ok {
			return int(i)
		}
		return -1
	}
	for i := range h.Len() {
		if h.at(i).peer == id {
			return i
		}
	}
	return -1
}

// enter adds an entry.
func (h *Home) enter(e entry) {
	h.add(e)
	switch {
	case h.index != nil:
		h.index[e.peer] = int32(h.Len() - 1)
	case h.Len() >= indexFrom:
		h.index = make(map[string]int32, 2*h.Len())
		for i := range h.Len() {
			h.index[h.at(i).peer] = int32(i)
		}
	}
}

// take removes the entry at i.
func (h *Home) take(i int) {
	if h.index != nil {
		delete(h.index, h.at(i).peer)
	}
	h.remove(i)
	switch {
	case h.Len() < indexFrom/2:
		h.index = nil
	case h.index != nil && i < h.Len():
		h.index[h.at(i).peer] = int32(i)
	}
}
