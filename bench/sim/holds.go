package sim

import (
	"time"

	"golang.org/x/sys/unix"

	"signalbox/bench/load"
)

// holds notes how long a loop is away with each event and turn. Loop-owned.
type holds struct {
	wall load.Histogram // time that passed
	cpu  load.Histogram // time that the thread ran: without what other processes took

	wallMark time.Time
	cpuMark  time.Duration
}

func newHolds() *holds {
	h := &holds{}
	h.wall.Record(0)
	h.cpu.Record(0)
	return h
}

// resume begins to count, after a wait.
func (h *holds) resume() { h.wallMark, h.cpuMark = time.Now(), threadCPU() }

// note counts what has passed since the last note or resume.
func (h *holds) note() {
	wall, cpu := time.Now(), threadCPU()
	if !h.wallMark.IsZero() {
		h.wall.Record(wall.Sub(h.wallMark).Nanoseconds())
		h.cpu.Record((cpu - h.cpuMark).Nanoseconds())
	}
	h.wallMark, h.cpuMark = wall, cpu
}

// threadCPU is the time that the calling thread has run.
func threadCPU() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0 // does not happen: the clock exists on every Linux
	}
	return time.Duration(ts.Nano())
}
