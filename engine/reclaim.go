package engine

import (
	"context"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"
)

// reclaimer gives memory back once the process has come to rest. After a burst
// of connects the heap holds garbage, up to as much as GOGC lets gather, and
// free pages: with nothing left to allocate, Go collects only every two minutes
// and returns pages slowly. An idle server would be measured, and billed, half
// again as large as what it holds.
//
// It collects once for each time of rest, only if there is something to be had,
// and so seldom that it takes no more than a hundredth of the time. The
// goroutine of run owns it.
type reclaimer struct {
	// Immutable.
	look    func() vitals
	collect func() // returns the memory
	now     func() time.Time
	log     *slog.Logger

	last     vitals
	lastAt   time.Time
	quiet    int       // looks in a row that found the process at rest
	done     bool      // collected in this time of rest
	notUntil time.Time // the next collection
}

// vitals are what the process has done and holds.
type vitals struct {
	cpu       time.Duration // used since the start
	allocated uint64        // bytes since the start
	live      uint64        // bytes found alive by the last collection
	objects   uint64        // bytes of objects, dead ones included
	free      uint64        // bytes of free pages not returned to the system
	off       bool          // the operator wants no collections but near the memory limit
}

const (
	// lookEvery is how often the process is looked at. A look takes microseconds.
	lookEvery = 2 * time.Second
	// restLooks is how many looks in a row must find it at rest.
	restLooks = 2

	// At rest, what is allocated between two looks is no more than restBytes or
	// this part of what is alive, and the CPU used no more than this part of
	// what there is: a million idle sessions are pinged 33 000 times a second.
	restBytes = 256 << 10
	restShare = 256
	restCPU   = 4

	// worthBytes and worthShare, a part of what is alive, are what must be had:
	// the cost of a collection is in proportion to the latter.
	worthBytes = 1 << 20
	worthShare = 16

	// pausePerCost is the least time between collections, as a multiple of how
	// long the last one took: two seconds for a million sessions.
	pausePerCost = 100
)

func newReclaimer(log *slog.Logger) *reclaimer {
	return &reclaimer{look: readVitals, collect: debug.FreeOSMemory, now: time.Now, log: log}
}

// run looks at the process until ctx is done.
func (r *reclaimer) run(ctx context.Context) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	r.note()
	for {
		select {
		case <-t.C:
			r.tick()
		case <-ctx.Done():
			return
		}
	}
}

// note takes the process as it is now for what the next look compares with.
func (r *reclaimer) note() { r.last, r.lastAt = r.look(), r.now() }

// tick looks at the process and collects if this is the time.
func (r *reclaimer) tick() {
	v, now := r.look(), r.now()
	if !v.atRest(r.last, now.Sub(r.lastAt)) {
		r.quiet, r.done = 0, false
	} else {
		r.quiet++
	}
	r.last, r.lastAt = v, now
	if r.done || v.off || r.quiet < restLooks || now.Before(r.notUntil) || !v.worthwhile() {
		return
	}
	r.collect()
	took := r.now().Sub(now)
	r.done, r.notUntil = true, r.now().Add(pausePerCost*took)
	r.note() // what the collection itself took is no unrest
	r.log.Debug("memory reclaimed at rest", "took", took.String(), "live", r.last.live,
		"garbage", v.objects-min(v.objects, r.last.objects), "free", v.free-min(v.free, r.last.free))
}

// atRest reports whether hardly anything was done in the time since the look
// before.
func (v vitals) atRest(before vitals, since time.Duration) bool {
	return v.allocated-before.allocated <= max(restBytes, v.live/restShare) &&
		v.cpu-before.cpu <= since*time.Duration(runtime.GOMAXPROCS(0))/restCPU
}

// worthwhile reports whether a collection may bring enough. What was allocated
// since the last one may be alive: that is not known before.
func (v vitals) worthwhile() bool {
	garbage := v.objects - min(v.objects, v.live)
	return garbage+v.free > max(worthBytes, v.live/worthShare)
}

// readVitals reads the vitals of this process. It stops nothing.
func readVitals() vitals {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/gogc:percent"},
	}
	metrics.Read(s)
	v := vitals{
		allocated: s[0].Value.Uint64(), live: s[1].Value.Uint64(), objects: s[2].Value.Uint64(),
		free: s[3].Value.Uint64(), off: s[4].Value.Uint64() == math.MaxUint64,
	}
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) == nil { // it cannot fail
		v.cpu = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return v
}
