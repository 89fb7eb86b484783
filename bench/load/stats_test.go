package load

import (
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"signalbox/bench/result"
)

func TestRatios(t *testing.T) {
	if got, want := Ratios([]float64{2, 9, 1}, []float64{1, 3}), []float64{2, 3}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSlope(t *testing.T) {
	for _, tt := range []struct {
		name string
		x, y []float64
		want float64
	}{
		{"a line", []float64{0, 1, 2, 3}, []float64{5, 7, 9, 11}, 2},
		{"noise that evens out", []float64{0, 1, 2, 3}, []float64{1, -1, 3, 1}, 0.4},
		{"level", []float64{1, 2}, []float64{4, 4}, 0},
	} {
		if got := Slope(tt.x, tt.y); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := Slope([]float64{1}, []float64{1}); !math.IsNaN(got) {
		t.Errorf("one point: got %v, want no number", got)
	}
}

// TestWithin: work that went on a little longer counts for the time in question, and
// others have had no more of it than of all the time.
func TestWithin(t *testing.T) {
	all := Sample{Wall: 4 * time.Second, ServerCPU: time.Second, ClientCPU: time.Second, ServerTaken: 2 * time.Second, ClientTaken: 6 * time.Second}
	s := all.Within(time.Second)
	if s.ServerLoad() != 100 || s.ClientLoad() != 100 || s.ServerTakenLoad() != 50 || s.ClientTakenLoad() != 150 {
		t.Errorf("got %+v", s)
	}
}

func TestHistogramMerge(t *testing.T) {
	var parts [3]Histogram
	whole := &Histogram{}
	for i := range 3000 {
		ns := int64(i+1) * int64(time.Millisecond)
		parts[i%3].Record(ns)
		whole.Record(ns)
	}
	merged := &Histogram{}
	for i := range parts {
		merged.Merge(&parts[i])
	}
	merged.Merge(&Histogram{})
	if merged.Count() != 3000 {
		t.Errorf("got %d, want 3000", merged.Count())
	}
	for _, p := range append(Percentiles, 0, 100) {
		got, want := merged.At(p), whole.At(p)
		if got != want {
			t.Errorf("p%v: got %v, want %v as of the whole", p, got, want)
		}
		exact := time.Duration(max(1, math.Ceil(p/100*3000))) * time.Millisecond
		if off := float64(got-exact) / float64(exact); math.Abs(off) > 0.002 {
			t.Errorf("p%v: got %v, want %v", p, got, exact)
		}
	}
}

func TestHistogramRange(t *testing.T) {
	h := &Histogram{}
	if row := h.Figures(result.Row{}); len(row.Figures) != 0 {
		t.Errorf("an empty one has figures: %v", row.Figures)
	}
	h.Record(-5)
	h.Record(math.MaxInt64)
	if h.Count() != 2 || h.At(0) > 2*time.Microsecond || h.Max() < 9*time.Minute {
		t.Errorf("got %d from %v to %v, want both ends of the range", h.Count(), h.At(0), h.Max())
	}
}

func TestSources(t *testing.T) {
	loopback := Sources{Loopback}
	seen := make(map[netip.Addr]int)
	const n = 1_000_000
	for i := range n {
		seen[loopback.At(i)]++
	}
	for addr, count := range seen {
		if !addr.IsLoopback() || count > perAddress {
			t.Fatalf("%d connections from %s", count, addr)
		}
	}
	if len(seen) != n/perAddress {
		t.Errorf("got %d addresses, want %d", len(seen), n/perAddress)
	}
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	if s := (Sources{a, b}); s.At(0) != a || s.At(1) != b || s.At(2) != a {
		t.Error("given addresses do not take turns")
	}
	if Sources(nil).At(7).IsValid() {
		t.Error("no addresses, yet one is bound")
	}
}

func TestSourcesFor(t *testing.T) {
	given := []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	for _, tt := range []struct {
		name   string
		server string
		given  []netip.Addr
		want   Sources
	}{
		{"loopback", "127.0.0.1", nil, Sources{Loopback}},
		{"IPv6 loopback", "::1", nil, nil},
		{"elsewhere", "10.1.2.3", nil, nil},
		{"given", "127.0.0.1", given, given},
	} {
		if got := SourcesFor(netip.MustParseAddr(tt.server), tt.given); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
