package sim

import (
	"fmt"
	"math"
	"path"
	"runtime"
	"slices"
	"strings"
)

// heap is what is live.
type heap struct {
	bytes, objects int64
	sites          map[string]int64 // bytes by the place that allocated them; nil unless profiled
}

// profileRate is the mean of the bytes between two samples of a profiled heap.
const profileRate = 1024

// readHeap collects garbage, twice so that pools are empty, too, and returns
// what is left.
func readHeap(profile bool) heap {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h := heap{bytes: int64(m.HeapAlloc), objects: int64(m.HeapObjects)}
	if profile {
		h.sites = sites()
	}
	return h
}

// sites returns the live bytes by site, scaled from the samples.
func sites() map[string]int64 {
	var records []runtime.MemProfileRecord
	for n, ok := runtime.MemProfile(nil, false); !ok; {
		records = make([]runtime.MemProfileRecord, n+n/8)
		n, ok = runtime.MemProfile(records, false)
		records = records[:min(n, len(records))]
	}
	bySite := make(map[string]int64)
	for i := range records {
		r := &records[i]
		if n := r.InUseObjects(); n > 0 {
			// The chance that an object of this size is sampled, as pprof has it.
			size := float64(r.InUseBytes()) / float64(n)
			bySite[site(r.Stack())] += int64(float64(r.InUseBytes()) / (1 - math.Exp(-size/float64(runtime.MemProfileRate))))
		}
	}
	return bySite
}

// site names the innermost place in the server, or in the simulation, that a
// stack is of.
func site(stack []uintptr) string {
	const module = "signalbox/"
	frames := runtime.CallersFrames(stack)
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, module) {
			name := strings.ReplaceAll(f.Function[strings.LastIndex(f.Function, "/")+1:], "[...]", "")
			return fmt.Sprintf("%s %s:%d", name, path.Base(f.File), f.Line)
		}
		if !more {
			return "elsewhere"
		}
	}
}

// siteGrowth is what one site has allocated that was not there before.
type siteGrowth struct {
	name  string
	bytes int64
}

// growth returns the sites that hold more than before, the largest first.
func (h heap) growth(before heap) []siteGrowth {
	var list []siteGrowth
	for name, bytes := range h.sites {
		if d := bytes - before.sites[name]; d > 0 {
			list = append(list, siteGrowth{name, d})
		}
	}
	slices.SortFunc(list, func(a, b siteGrowth) int { return int(b.bytes - a.bytes) })
	return list
}
