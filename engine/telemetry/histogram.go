package telemetry

import (
	"math/bits"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Histogram counts durations in buckets, two to each power of two: 1, 1.5, 2,
// 3, 4, 6 µs and so on up to some 8 s. Not for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	sum    time.Duration
}

const (
	unit    = 500 * time.Nanosecond // the first bucket holds what is under 2 units
	octaves = 24
	buckets = 1 + 2*octaves // the last holds the rest, too
)

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	h.sum += d
	h.counts[bucketOf(d)]++
}

func bucketOf(d time.Duration) int {
	v := uint64(d / unit)
	if v < 2 {
		return 0
	}
	octave := bits.Len64(v) - 2 // 2 and 3 are octave 0
	return min(1+2*octave+int(v>>octave&1), buckets-1)
}

// bound returns the upper bound of a bucket but the last.
func bound(bucket int) time.Duration {
	if bucket == 0 {
		return 2 * unit
	}
	octave, half := (bucket-1)/2, (bucket-1)%2
	return unit << octave * time.Duration(3+half)
}

// Count returns how many durations were observed.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Sum returns the sum of all durations observed.
func (h *Histogram) Sum() time.Duration { return h.sum }

// Quantile returns about the duration that the share q of those observed did
// not exceed; ok is false if there was none.
func (h *Histogram) Quantile(q float64) (d time.Duration, ok bool) {
	total := h.Count()
	if total == 0 {
		return 0, false
	}
	rank := q * float64(total)
	var seen float64
	for i, c := range h.counts {
		if c == 0 || seen+float64(c) < rank {
			seen += float64(c)
			continue
		}
		var low time.Duration
		if i > 0 {
			low = bound(i - 1)
		}
		return low + time.Duration((rank-seen)/float64(c)*float64(bound(i)-low)), true
	}
	return bound(buckets - 1), true
}

// add adds what another histogram has observed.
func (h *Histogram) add(o *Histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.sum += o.sum
}

// since returns what was observed after h was as before.
func (h Histogram) since(before *Histogram) Histogram {
	for i, c := range before.counts {
		h.counts[i] -= c
	}
	h.sum -= before.sum
	return h
}

// metric returns the histogram as Prometheus sees it, one bucket to a power of
// two.
func (h *Histogram) metric(desc *prometheus.Desc) prometheus.Metric {
	cumulative := make(map[float64]uint64, octaves)
	var n uint64
	for i, c := range h.counts {
		n += c
		if i%2 == 0 && i < buckets-1 {
			cumulative[bound(i).Seconds()] = n
		}
	}
	return prometheus.MustNewConstHistogram(desc, n, h.sum.Seconds(), cumulative)
}
