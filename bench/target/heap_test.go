package target

import (
	"net/http"
	"net/http/httptest"
	"net/http/pprof"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// sample is the profile of stacks, the innermost function first.
func sample(stacks map[string]int64) *profile.Profile {
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "inuse_objects", Unit: "count"}, {Type: "inuse_space", Unit: "bytes"}}}
	for stack, bytes := range stacks {
		s := &profile.Sample{Value: []int64{1, bytes}}
		for name := range strings.SplitSeq(stack, " ") {
			f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name}
			l := &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f}}}
			p.Function, p.Location, s.Location = append(p.Function, f), append(p.Location, l), append(s.Location, l)
		}
		p.Sample = append(p.Sample, s)
	}
	return p
}

func TestHeap(t *testing.T) {
	stacks := map[string]int64{
		"signalbox/engine/session.(*Loop).Open signalbox/engine.(*gate).Admit":                            160,
		"internal/runtime/maps.newarray runtime.mapassign github.com/panjf2000/gnet/v2.(*connMatrix).add": 40,
		"sync.(*Pool).Get signalbox/engine/registry.(*table[a.b/c.D,*e/f.G]).rehash":                      8,
		"bytes.Clone signalbox/engine/registry.(*table[...]).rehash":                                      9,
		"sync.(*HashTrieMap[a.b/c]).Load runtime.main":                                                    5,
		"github.com/panjf2000/gnet/v2.newStreamConn":                                                      256,
	}
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "/debug/pprof/heap?gc=1" {
			http.NotFound(w, r)
			return
		}
		if err := sample(stacks).Write(w); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(admin.Close)
	after, err := (&Target{Admin: strings.TrimPrefix(admin.URL, "http://")}).Heap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Heap{"session.(*Loop).Open": 160, "v2.(*connMatrix).add": 40, "registry.(*table).rehash": 17, "Go's library": 5, "v2.newStreamConn": 256}
	if !reflect.DeepEqual(after, want) {
		t.Errorf("got %v, want %v", after, want)
	}
	growth := after.Since(Heap{"v2.newStreamConn": 256, "v2.(*connMatrix).add": 50, "session.(*Loop).Open": 150, "gone": 1})
	if want := []Growth{{"registry.(*table).rehash", 17}, {"session.(*Loop).Open", 10}, {"Go's library", 5}}; !reflect.DeepEqual(growth, want) {
		t.Errorf("got growth %v, want %v", growth, want)
	}
}

func TestNoHeap(t *testing.T) {
	admin := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(admin.Close)
	for name, target := range map[string]*Target{"no admin address": {}, "no profile": {Admin: strings.TrimPrefix(admin.URL, "http://")}} {
		if heap, err := target.Heap(t.Context()); err == nil {
			t.Errorf("%s: got %v, want an error", name, heap)
		}
	}
}

// TestLive asks a process with Go's own handler, this one.
func TestLive(t *testing.T) {
	admin := httptest.NewServer(pprof.Handler("heap"))
	t.Cleanup(admin.Close)
	target := &Target{Admin: strings.TrimPrefix(admin.URL, "http://")}
	before, err := target.Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	held := make([]byte, size)
	after, err := target.Live(t.Context())
	if err != nil || after-before < size/2 {
		t.Errorf("got %d bytes and then, with %d more, %d, %v", before, size, after, err)
	}
	runtime.KeepAlive(held)
	if _, err := (&Target{}).Live(t.Context()); err == nil {
		t.Error("without an admin address: got no error")
	}
}
