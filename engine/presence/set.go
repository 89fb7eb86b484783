package presence

// indexFrom is the size from which a set keeps an index: below it, a scan is as
// fast, and most channels are small.
const indexFrom = 12

// set is an unordered set of entries with an id, cheap when small.
type set[E interface{ id() string }] struct {
	list  []E
	index map[string]int32 // nil while the set is small
}

func (s *set[E]) find(id string) int {
	if s.index != nil {
		if i, ok := s.index[id]; ok {
			return int(i)
		}
		return -1
	}
	for i := range s.list {
		if s.list[i].id() == id {
			return i
		}
	}
	return -1
}

func (s *set[E]) add(e E) {
	s.list = append(s.list, e)
	switch {
	case s.index != nil:
		s.index[e.id()] = int32(len(s.list) - 1)
	case len(s.list) >= indexFrom:
		s.index = make(map[string]int32, 2*len(s.list))
		for i := range s.list {
			s.index[s.list[i].id()] = int32(i)
		}
	}
}

func (s *set[E]) remove(i int) {
	last := len(s.list) - 1
	if s.index != nil {
		delete(s.index, s.list[i].id())
		if i != last {
			s.index[s.list[last].id()] = int32(i)
		}
	}
	var zero E
	s.list[i] = s.list[last]
	s.list[last] = zero
	s.list = s.list[:last]
	if last < indexFrom/2 {
		s.index = nil
	}
	if cap(s.list) > 64 && last*4 < cap(s.list) {
		s.list = append(make([]E, 0, 2*last), s.list...)
	}
}
