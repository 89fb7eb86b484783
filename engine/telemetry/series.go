package telemetry

import (
	"context"
	"math"
	"sync"
	"syscall"
	"time"
)

// Span is how much of the past a Series keeps, one point a second.
const Span = 600

// Point is what happened in one second.
type Point struct {
	Unix        int64 // the second that ended
	Connections uint64

	Connects, Closes                       uint64
	FramesIn, FramesOut, BytesIn, BytesOut uint64
	Publishes, Deliveries, Writes          uint64

	Turn, Flush Quantiles
	Busy        float64 // share of the second that the loops spent in turns, reading input not among it
	CPU         float64 // cores that the process used
}

// Quantiles are some of a histogram. NaN if nothing was observed.
type Quantiles struct{ P50, P99 float64 } // seconds

func quantiles(h Histogram) Quantiles {
	at := func(q float64) float64 {
		d, ok := h.Quantile(q)
		if !ok {
			return math.NaN()
		}
		return d.Seconds()
	}
	return Quantiles{at(0.5), at(0.99)}
}

// Series is the last minutes, second by second.
type Series struct {
	counts func(context.Context) *Loop
	loops  int

	mu sync.Mutex
	// Guarded by mu.
	points []Point       // oldest first, at most Span
	last   *Loop         // the counts of the last point
	cpu    time.Duration // that the process had used by then
}

// NewSeries returns an empty series of so many loops' counts.
func NewSeries(loops int, counts func(context.Context) *Loop) *Series {
	return &Series{counts: counts, loops: loops}
}

// Run adds a point every second until ctx is done.
func (s *Series) Run(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			counting, cancel := context.WithTimeout(ctx, countTimeout)
			l := s.counts(counting)
			cancel()
			s.add(now.Unix(), l, cpuTime())
		}
	}
}

// add appends the point of the second that ended, unless it has one; the first
// counts are only what the next are compared with. cpu is what the process has
// used in all. When the clock has been set back the list begins anew.
func (s *Series) add(unix int64, l *Loop, cpu time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last, s.cpu = l, cpu
		return
	}
	switch end := s.end(); {
	case unix == end:
		return
	case unix < end:
		s.points = nil
	}
	p := s.grown(l)
	p.Unix, p.CPU = unix, (cpu - s.cpu).Seconds()
	if n := len(s.points); n == Span {
		copy(s.points, s.points[1:])
		s.points[n-1] = p
	} else {
		s.points = append(s.points, p)
	}
	s.last, s.cpu = l, cpu
}

// end returns the second of the last point, 0 if there is none. The caller holds
// mu.
func (s *Series) end() int64 {
	if n := len(s.points); n > 0 {
		return s.points[n-1].Unix
	}
	return 0
}

// Since returns the points after the second unix, oldest first, and the latest
// counts, nil if there are none yet. Of a second that is still to come it returns
// all: whoever saw it did so before the clock was set back.
func (s *Series) Since(unix int64) ([]Point, *Loop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if unix > s.end() {
		unix = 0
	}
	i := len(s.points)
	for i > 0 && s.points[i-1].Unix > unix {
		i--
	}
	return append([]Point(nil), s.points[i:]...), s.last
}

// Loops returns how many loops are counted.
func (s *Series) Loops() int { return s.loops }

// grown returns the point of what the counts grew by. The caller holds mu.
func (s *Series) grown(l *Loop) Point {
	b := s.last
	turn := l.Turn.since(&b.Turn)
	return Point{
		Connections: l.Sessions,
		Connects:    l.Connects - b.Connects,
		Closes:      Sum(l.Closes) - Sum(b.Closes),
		FramesIn:    l.FramesIn - b.FramesIn,
		FramesOut:   l.FramesOut - b.FramesOut,
		BytesIn:     l.BytesIn - b.BytesIn,
		BytesOut:    l.BytesOut - b.BytesOut,
		Publishes:   l.Publishes - b.Publishes,
		Deliveries:  l.Deliveries - b.Deliveries,
		Writes:      l.Writes - b.Writes,
		Turn:        quantiles(turn),
		Flush:       quantiles(l.Flush.since(&b.Flush)),
		Busy:        turn.Sum().Seconds() / float64(s.loops),
	}
}

// cpuTime returns the CPU time that the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
