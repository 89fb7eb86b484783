package sim

import (
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"slices"
	"time"
)

// collection is what garbage collections cost.
type collection struct {
	cycles uint64
	cpu    time.Duration // of all cores, idle ones put to use included
	wall   time.Duration
	pauses pauses
	stall  time.Duration // the longest of the machine meanwhile
}

// pauses are how often each length of a pause has come.
type pauses struct {
	counts []uint64
	bounds []float64 // of each count and of the last, in s
}

// at returns what so many percent of the pauses are not longer than, rounded up by
// at most a sixteenth; 0 if there are none.
func (p pauses) at(percent float64) time.Duration {
	var all, sum uint64
	for _, n := range p.counts {
		all += n
	}
	rank := max(uint64(math.Ceil(float64(all)*percent/100)), 1)
	for i, n := range p.counts {
		if sum += n; sum >= rank {
			bound := p.bounds[i+1]
			if math.IsInf(bound, 1) {
				bound = p.bounds[i]
			}
			return time.Duration(bound * float64(time.Second))
		}
	}
	return 0
}

// Names in runtime/metrics.
const (
	pausesMetric = "/sched/pauses/total/gc:seconds"
	gcCPUMetric  = "/cpu/classes/gc/total:cpu-seconds"
	cyclesMetric = "/gc/cycles/total:gc-cycles"
)

type gcReading struct {
	pauses pauses
	cpu    float64 // s
	cycles uint64
}

func readGC() gcReading {
	samples := []metrics.Sample{{Name: pausesMetric}, {Name: gcCPUMetric}, {Name: cyclesMetric}}
	metrics.Read(samples)
	h := samples[0].Value.Float64Histogram()
	return gcReading{pauses{h.Counts, h.Buckets}, samples[1].Value.Float64(), samples[2].Value.Uint64()}
}

// since returns what has come since an earlier reading.
func (r gcReading) since(from gcReading) (c collection) {
	c.cycles = r.cycles - from.cycles
	c.cpu = time.Duration((r.cpu - from.cpu) * float64(time.Second))
	c.pauses = pauses{slices.Clone(r.pauses.counts), r.pauses.bounds}
	for i, n := range from.pauses.counts {
		c.pauses.counts[i] -= n
	}
	return c
}

const (
	// leastCycles is how many garbage collections are looked at, at least,
	leastCycles = 3
	// and mostCycles at most.
	mostCycles = 100
)

// collect runs cycles for Config.For.
func (r *run) collect() (c collection, err error) {
	if err := r.stalled(&c); err != nil {
		return c, err
	}
	from, start := readGC(), time.Now()
	for i := 0; i < leastCycles || i < mostCycles && time.Since(start) < r.For; i++ {
		runtime.GC()
	}
	wall := time.Since(start)
	c = readGC().since(from)
	c.wall = wall
	return c, r.stalled(&c)
}

// stalled notes the longest stall of the machine since the last call.
func (r *run) stalled(c *collection) (err error) {
	if r.Stall == nil {
		return nil
	}
	if c.stall, err = r.Stall(); err != nil {
		return fmt.Errorf("sim: the watch over the machine has ended: %w", err)
	}
	return nil
}
