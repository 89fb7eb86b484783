package registry

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"unsafe"
)

// shardCount is a power of two: enough that a storm of subscribes rarely
// meets on one lock, few enough that a small app costs little.
const shardCount = 32

var seed = maphash.MakeSeed()

// element is what a table stores: a pointer to T that knows its own key.
type element[T any] interface {
	*T
	key() string
}

// table is a hash table from string to *T with lock-free reads.
//
// Open addressing with linear probing; a slot goes from nil to an element or
// from an element to the tombstone, and never back to nil, so that a reader
// without a lock stops at nil safely. A shard that fills up is copied.
type table[T any, P element[T]] struct {
	tombstone T
	shards    [shardCount]shard[T]
}

type shard[T any] struct {
	// Any goroutine (atomic).
	slots atomic.Pointer[[]atomic.Pointer[T]]

	mu sync.Mutex
	// Guarded by mu.
	live, used int // elements; elements and tombstones
}

// find returns the element with this key, or nil. Any goroutine.
func (t *table[T, P]) find(key string) P {
	return t.probe(maphash.String(seed, key), key)
}

// findBytes is find by the bytes of a key. They are not kept, so looking at them
// as a string spares the copy that a conversion of a long name would make.
func (t *table[T, P]) findBytes(key []byte) P {
	return t.find(unsafe.String(unsafe.SliceData(key), len(key)))
}

func (t *table[T, P]) probe(h uint64, key string) P {
	p := t.shards[h%shardCount].slots.Load()
	if p == nil {
		return nil
	}
	slots := *p
	mask := uint64(len(slots) - 1)
	for i := (h / shardCount) & mask; ; i = (i + 1) & mask {
		e := slots[i].Load()
		if e == nil {
			return nil
		}
		if e != &t.tombstone && P(e).key() == key {
			return P(e)
		}
	}
}

// update locks key's shard and calls change with its element (nil if there is
// none); what change returns takes its place, nil removes it.
func (t *table[T, P]) update(key string, change func(P) P) P {
	h := maphash.String(seed, key)
	s := &t.shards[h%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()

	old := t.probe(h, key)
	e := change(old)
	switch {
	case old == e:
	case old == nil:
		t.insert(s, h, e)
	default:
		t.replace(s, h, old, e)
	}
	return e
}

func (t *table[T, P]) insert(s *shard[T], h uint64, e P) {
	p := s.slots.Load()
	if p == nil || (s.used+1)*4 > len(*p)*3 {
		t.rehash(s)
		p = s.slots.Load()
	}
	slots := *p
	mask := uint64(len(slots) - 1)
	i := (h / shardCount) & mask
	for slots[i].Load() != nil {
		i = (i + 1) & mask
	}
	slots[i].Store((*T)(e))
	s.live++
	s.used++
}

func (t *table[T, P]) replace(s *shard[T], h uint64, old, e P) {
	slots := *s.slots.Load()
	mask := uint64(len(slots) - 1)
	i := (h / shardCount) & mask
	for slots[i].Load() != (*T)(old) {
		i = (i + 1) & mask
	}
	if e != nil {
		slots[i].Store((*T)(e))
		return
	}
	slots[i].Store(&t.tombstone)
	if s.live--; s.live == 0 {
		s.used = 0
		s.slots.Store(nil)
	}
}

// rehash copies the shard into a table that one more element fits well.
func (t *table[T, P]) rehash(s *shard[T]) {
	size := 8
	for (s.live+1)*2 > size {
		size *= 2
	}
	slots := make([]atomic.Pointer[T], size)
	mask := uint64(size - 1)
	if p := s.slots.Load(); p != nil {
		for j := range *p {
			e := (*p)[j].Load()
			if e == nil || e == &t.tombstone {
				continue
			}
			i := (maphash.String(seed, P(e).key()) / shardCount) & mask
			for slots[i].Load() != nil {
				i = (i + 1) & mask
			}
			slots[i].Store(e)
		}
	}
	s.used = s.live
	s.slots.Store(&slots)
}

// count returns the number of elements. Any goroutine.
func (t *table[T, P]) count() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += s.live
		s.mu.Unlock()
	}
	return n
}

// each calls f for the elements; those that come or go meanwhile may be missed.
func (t *table[T, P]) each(f func(P)) {
	for i := range t.shards {
		p := t.shards[i].slots.Load()
		if p == nil {
			continue
		}
		for j := range *p {
			if e := (*p)[j].Load(); e != nil && e != &t.tombstone {
				f(P(e))
			}
		}
	}
}
