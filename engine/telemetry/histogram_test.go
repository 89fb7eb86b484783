package telemetry

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func TestBuckets(t *testing.T) {
	for d := time.Duration(0); d < 20*time.Second; d += d/7 + 1 {
		i := bucketOf(d)
		if i < buckets-1 && d >= bound(i) {
			t.Fatalf("%v is in bucket %d, which ends at %v", d, i, bound(i))
		}
		if i > 0 && d < bound(i-1) {
			t.Fatalf("%v is in bucket %d, which begins at %v", d, i, bound(i-1))
		}
	}
}

func TestQuantile(t *testing.T) {
	var h Histogram
	if _, ok := h.Quantile(0.5); ok {
		t.Error("a quantile of nothing")
	}
	for i := range 1000 {
		h.Observe(time.Duration(i+1) * time.Millisecond)
	}
	h.Observe(-time.Second) // a clock that went back: 0
	for q, want := range map[float64]time.Duration{0: 0, 0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond} {
		got, ok := h.Quantile(q)
		if diff := got - want; !ok || diff < -want/4 || diff > want/4+time.Millisecond {
			t.Errorf("quantile %v = %v, want about %v", q, got, want)
		}
	}
	if got, want := h.Sum(), 1000*1001/2*time.Millisecond; got != want {
		t.Errorf("sum = %v, want %v", got, want)
	}
	before := h
	h.Observe(time.Hour)
	grown := h.since(&before)
	if got, _ := grown.Quantile(1); grown.Count() != 1 || got != bound(buckets-1) {
		t.Errorf("grown by %d, at %v; want 1 in the last bucket", grown.Count(), got)
	}
}

func TestHistogramMetric(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, time.Microsecond, 3 * time.Microsecond, time.Minute} {
		h.Observe(d)
	}
	var m dto.Metric
	if err := h.metric(prometheus.NewDesc("x", "", nil, nil)).Write(&m); err != nil {
		t.Fatal(err)
	}
	got := m.GetHistogram()
	want := map[float64]uint64{1e-6: 1, 2e-6: 2, 4e-6: 3, 8e-6: 3}
	for _, b := range got.GetBucket()[:4] {
		if n, ok := want[b.GetUpperBound()]; !ok || b.GetCumulativeCount() != n {
			t.Errorf("bucket to %v holds %d, want %v", b.GetUpperBound(), b.GetCumulativeCount(), want)
		}
	}
	if n := len(got.GetBucket()); n != octaves || got.GetSampleCount() != 4 {
		t.Errorf("%d buckets, count %d; want %d and 4", n, got.GetSampleCount(), octaves)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Observe(time.Millisecond) }); n != 0 {
		t.Errorf("Observe allocates %v times", n)
	}
}
