package load

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"signalbox/bench/result"
)

// Histogram counts durations from 1 µs to 10 minutes with an error of at most
// 0.1 %. The zero Histogram is empty. It is for one goroutine; each client loop
// has its own, and they are merged afterwards.
type Histogram struct{ h *hdrhistogram.Histogram }

const (
	leastTracked = int64(time.Microsecond)
	mostTracked  = int64(10 * time.Minute)
	digits       = 3
)

func (h *Histogram) init() {
	if h.h == nil {
		h.h = hdrhistogram.New(leastTracked, mostTracked, digits)
	}
}

// Record counts a duration in ns. One out of range counts as the nearest in it.
func (h *Histogram) Record(ns int64) {
	h.init()
	// In range, so it cannot fail.
	_ = h.h.RecordValue(min(max(ns, leastTracked), mostTracked))
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	if other.h == nil {
		return
	}
	h.init()
	h.h.Merge(other.h)
}

// Count is the number of durations.
func (h *Histogram) Count() int64 {
	h.init()
	return h.h.TotalCount()
}

// At returns a percentile, 0 to 100, of what was counted.
func (h *Histogram) At(percentile float64) time.Duration {
	h.init()
	return time.Duration(h.h.ValueAtPercentile(percentile))
}

// Max is the longest duration counted.
func (h *Histogram) Max() time.Duration {
	h.init()
	return time.Duration(h.h.Max())
}

// Percentiles are those that rows show.
var Percentiles = []float64{50, 90, 99, 99.9}

// Figures adds the percentiles, in ms, to a row.
func (h *Histogram) Figures(row result.Row) result.Row {
	if h.Count() == 0 {
		return row
	}
	for _, p := range Percentiles {
		row = row.Figure(fmt.Sprintf("p%v", p), "ms", h.At(p).Seconds()*1e3)
	}
	return row.Figure("max", "ms", h.Max().Seconds()*1e3)
}
