package registry

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// thing is an element of a table.
type thing struct {
	name  string
	value int
}

func (x *thing) key() string { return x.name }

func TestRandomTable(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 5))
		var tab table[thing, *thing]
		model := map[string]int{}
		keys := []int{4, 300, 5000}[seed%3]
		for i := range 20_000 {
			name := fmt.Sprintf("key %d", random.IntN(keys))
			was, had := model[name]
			remove := random.IntN(2) == 0
			tab.update(name, func(x *thing) *thing {
				if (x != nil) != had || had && x.value != was {
					t.Fatalf("seed %d: update of %s: got %v, want %d, %v", seed, name, x, was, had)
				}
				if remove {
					return nil
				}
				return &thing{name, i}
			})
			if delete(model, name); !remove {
				model[name] = i
			}
			name = fmt.Sprintf("key %d", random.IntN(keys))
			x, y := tab.find(name), tab.findBytes([]byte(name))
			if want, ok := model[name]; (x != nil) != ok || x != y || ok && x.value != want {
				t.Fatalf("seed %d: find %s: got %v, want %d, %v", seed, name, x, want, ok)
			}
		}
		n := 0
		tab.each(func(x *thing) {
			if n++; model[x.name] != x.value {
				t.Errorf("seed %d: each: got %v", seed, x)
			}
		})
		if n != len(model) {
			t.Errorf("seed %d: each: got %d elements, want %d", seed, n, len(model))
		}
		for name := range model {
			tab.update(name, func(*thing) *thing { return nil })
		}
		for i := range tab.shards {
			if tab.shards[i].slots.Load() != nil {
				t.Errorf("seed %d: an empty shard keeps its slots", seed)
			}
		}
	}
}

// TestTableReadsWhileWritten has readers look for keys that are always there,
// never there, and written by others all the while.
func TestTableReadsWhileWritten(t *testing.T) {
	var tab table[thing, *thing]
	const keys = 200
	for i := range keys {
		name := fmt.Sprintf("stays %d", i)
		tab.update(name, func(*thing) *thing { return &thing{name: name} })
	}
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	for w := range 3 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 6))
			for range 20_000 {
				name := fmt.Sprintf("of %d: %d", w, random.IntN(500))
				tab.update(name, func(x *thing) *thing {
					if x == nil {
						return &thing{name: name}
					}
					return nil
				})
			}
		})
	}
	for range 3 {
		readers.Go(func() {
			random := rand.New(rand.NewPCG(1, 7))
			for !done.Load() {
				if name := fmt.Sprintf("stays %d", random.IntN(keys)); tab.find(name) == nil {
					t.Errorf("%s is lost", name)
					return
				}
				if tab.find("never") != nil {
					t.Error("found what was never there")
					return
				}
				name := fmt.Sprintf("of 1: %d", random.IntN(500))
				if x := tab.find(name); x != nil && x.name != name {
					t.Errorf("found %s for %s", x.name, name)
					return
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
}

func TestFindAllocatesNothing(t *testing.T) {
	s := NewSpace(2)
	s.Join("channel", 1)
	name := []byte("channel")
	got := testing.AllocsPerRun(100, func() {
		if s.FindBytes(name) == nil {
			t.Fatal("lost")
		}
	})
	if got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := NewSpace(1)
			for i := range n {
				s.Join(fmt.Sprintf("channel/%d", i), 0)
			}
			name := []byte("channel/0")
			b.ReportAllocs()
			for b.Loop() {
				s.FindBytes(name)
			}
		})
	}
}
