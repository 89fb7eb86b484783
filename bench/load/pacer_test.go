package load

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestPacer(t *testing.T) {
	const ms = int64(time.Millisecond)
	for _, tt := range []struct {
		name string
		rate float64
		now  int64 // after the start
		want int
	}{
		{"before the start", 1000, -1, 0},
		{"at the start", 1000, 0, 1},
		{"just before the second", 1000, ms - 1, 1},
		{"the second", 1000, ms, 2},
		{"after a stall", 1000, 1000 * ms, 1001},
		{"slow", 0.5, 1999 * ms, 1},
		{"slow, the second", 0.5, 2000 * ms, 2},
		{"a rate that is no divisor", 3, 1000 * ms, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const start = 12345
			if got := NewPacer(start, tt.rate).Due(start + tt.now); got != tt.want {
				t.Errorf("got %d due, want %d", got, tt.want)
			}
		})
	}
}

// TestPaceTo: one is due exactly when it begins to count, and the first not much later
// than it may be.
func TestPaceTo(t *testing.T) {
	const start, second = 12345, int64(time.Second)
	for _, rate := range []float64{0.01, 3, 7.77, 500, 1e6} {
		for _, warmUp := range []int64{0, 1, second / 3, second, 100 * second} {
			p := paceTo(start, start+warmUp, rate)
			if n := p.Due(start + warmUp); p.At(n-1) != start+warmUp {
				t.Errorf("rate %v, after %d ns: the last of %d is due at %d", rate, warmUp, n, p.At(n-1)-start)
			}
			if late := p.At(0) - start; late < 0 || float64(late) > float64(second)/rate {
				t.Errorf("rate %v, after %d ns: the first is due at %d", rate, warmUp, late)
			}
		}
	}
}

// TestDueIsInverseOfAt: a message is due exactly from its time on.
func TestDueIsInverseOfAt(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		p := NewPacer(random.Int64N(1e12), 0.01+random.Float64()*1e6)
		i := random.IntN(1e6)
		at := p.At(i)
		if due := p.Due(at); due < i+1 {
			t.Fatalf("rate %v: %d due at the time of message %d", p.rate, due, i)
		}
		if due := p.Due(at - 1); due > i {
			t.Fatalf("rate %v: %d due before the time of message %d", p.rate, due, i)
		}
	}
}
