package sim

import (
	"math"
	"testing"
	"time"
)

func TestPausesAt(t *testing.T) {
	bounds := []float64{math.Inf(-1), 1e-6, 1e-3, 1, math.Inf(1)}
	tests := []struct {
		name    string
		counts  []uint64
		percent float64
		want    time.Duration
	}{
		{"none", []uint64{0, 0, 0, 0}, 99, 0},
		{"the only one", []uint64{0, 1, 0, 0}, 50, time.Millisecond},
		{"the middle", []uint64{0, 2, 1, 0}, 50, time.Millisecond},
		{"beyond it", []uint64{0, 1, 2, 0}, 50, time.Second},
		{"all but one in a hundred", []uint64{99, 1, 0, 0}, 99, time.Microsecond},
		{"the longest", []uint64{99, 1, 0, 0}, 100, time.Millisecond},
		{"without a bound", []uint64{0, 0, 0, 1}, 100, time.Second},
	}
	for _, tt := range tests {
		if got := (pauses{tt.counts, bounds}).at(tt.percent); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
