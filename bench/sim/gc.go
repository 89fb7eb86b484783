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
	calm   pauses        // of the cycles in which the machine did not stall
	stall  time.Duration // the longest of the machine meanwhile
}

// calmStall is how long the machine may keep a thread from running in a cycle
// whose pauses are the server's own. A pause waits for every core.
const calmStall = 500 * time.Microsecond

// add adds a cycle during which the machine stalled for so long at most.
func (c *collection) add(cycle collection, stall time.Duration) {
	c.cycles += cycle.cycles
	c.cpu += cycle.cpu
	c.wall += cycle.wall
	c.pauses.add(cycle.pauses)
	if stall < calmStall {
		c.calm.add(cycle.pauses)
	}
	c.stall = max(c.stall, stall)
}

// pauses are how often each length of a pause has come.
type pauses struct {
	counts []uint64
	bounds []float64 // of each count and of the last, in s
}

// add adds others, of the same bounds.
func (p *pauses) add(others pauses) {
	if p.counts == nil {
		p.counts, p.bounds = make([]uint64, len(others.counts)), others.bounds
	}
	for i, n := range others.counts {
		p.counts[i] += n
	}
}

// count returns how many there are.
func (p pauses) count() (sum uint64) {
	for _, n := range p.counts {
		sum += n
	}
	return sum
}

// at returns what so many percent of the pauses are not longer than, rounded up by
// at most a sixteenth; 0 if there are none.
func (p pauses) at(percent float64) time.Duration {
	var sum uint64
	rank := max(uint64(math.Ceil(float64(p.count())*percent/100)), 1)
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
	for i, begun := 0, time.Now(); i < leastCycles || i < mostCycles && time.Since(begun) < r.For; i++ {
		if _, err := r.stalled(); err != nil {
			return c, err
		}
		from, start := readGC(), time.Now()
		runtime.GC()
		cycle := readGC().since(from)
		cycle.wall = time.Since(start)
		stall, err := r.stalled()
		if err != nil {
			return c, err
		}
		c.add(cycle, stall)
	}
	return c, nil
}

// stalled returns the longest stall of the machine since the last call.
func (r *run) stalled() (time.Duration, error) {
	if r.Stall == nil {
		return 0, nil
	}
	stall, err := r.Stall()
	if err != nil {
		return 0, fmt.Errorf("sim: the watch over the machine has ended: %w", err)
	}
	return stall, nil
}
