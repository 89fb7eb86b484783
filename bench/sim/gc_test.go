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

// TestCalmCycles adds cycles: the pauses of those in which the machine stalled
// are not calm ones.
func TestCalmCycles(t *testing.T) {
	bounds := []float64{0, 1e-6, 1e-3, 1}
	var c collection
	c.add(collection{cycles: 1, wall: 2, pauses: pauses{[]uint64{1, 1, 0}, bounds}}, calmStall-1)
	c.add(collection{cycles: 1, wall: 3, pauses: pauses{[]uint64{0, 1, 1}, bounds}}, calmStall)
	if got, want := c.pauses.at(100), time.Second; got != want {
		t.Errorf("the longest pause is %v, want %v", got, want)
	}
	if got, want := c.calm.at(100), time.Millisecond; got != want {
		t.Errorf("the longest pause of a calm cycle is %v, want %v", got, want)
	}
	if got := [...]uint64{c.pauses.count(), c.calm.count(), c.cycles}; got != [...]uint64{4, 2, 2} {
		t.Errorf("pauses, calm ones and cycles are %v, want 4, 2 and 2", got)
	}
	if c.wall != 5 || c.stall != calmStall {
		t.Errorf("%v long, stalled for %v, want 5ns and %v", c.wall, c.stall, calmStall)
	}
}
