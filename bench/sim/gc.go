package sim

import (
	"math"
	"runtime"
	"runtime/metrics"
	"time"
)

// collection is what garbage collections cost.
type collection struct {
	cycles uint64
	cpu    time.Duration // of all cores, idle ones put to use included
	wall   time.Duration
	pause  time.Duration // the longest; rounded up by at most a sixteenth
}

// Names in runtime/metrics.
const (
	pausesMetric = "/sched/pauses/total/gc:seconds"
	gcCPUMetric  = "/cpu/classes/gc/total:cpu-seconds"
	cyclesMetric = "/gc/cycles/total:gc-cycles"
)

type gcReading struct {
	pauses []uint64
	bounds []float64 // of pauses, one more than there are, in s
	cpu    float64   // s
	cycles uint64
}

func readGC() gcReading {
	samples := []metrics.Sample{{Name: pausesMetric}, {Name: gcCPUMetric}, {Name: cyclesMetric}}
	metrics.Read(samples)
	h := samples[0].Value.Float64Histogram()
	return gcReading{h.Counts, h.Buckets, samples[1].Value.Float64(), samples[2].Value.Uint64()}
}

// since returns what has come since an earlier reading.
func (r gcReading) since(from gcReading) (c collection) {
	c.cycles = r.cycles - from.cycles
	c.cpu = time.Duration((r.cpu - from.cpu) * float64(time.Second))
	for i, n := range r.pauses {
		if n > from.pauses[i] {
			bound := r.bounds[i+1]
			if math.IsInf(bound, 1) {
				bound = r.bounds[i]
			}
			c.pause = time.Duration(bound * float64(time.Second))
		}
	}
	return c
}

// collect runs so many cycles.
func collect(cycles int) collection {
	from, start := readGC(), time.Now()
	for range cycles {
		runtime.GC()
	}
	wall := time.Since(start)
	c := readGC().since(from)
	c.wall = wall
	return c
}
