package quota

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

func TestBucket(t *testing.T) {
	type take struct {
		at   int64 // milliseconds after the first
		n    int
		want int // of n, how many are let through
	}
	const epoch = 1_800_000_000_000
	tests := []struct {
		name        string
		rate, burst int
		takes       []take
	}{
		{"burst, then nothing", 100, 200, []take{{0, 300, 200}}},
		{"refill at the rate", 100, 200, []take{{0, 200, 200}, {9, 1, 0}, {10, 2, 1}, {1010, 200, 100}}},
		{"never above the burst", 100, 200, []take{{0, 200, 200}, {3_600_000, 300, 200}}},
		{"slow rate adds up in parts", 1, 1, []take{{0, 1, 1}, {400, 1, 0}, {800, 1, 0}, {1000, 1, 1}}},
		{"rate of 0 is no limit", 0, 1, []take{{0, 1000, 1000}}},
		{"burst of 0 is 1", 10, 0, []take{{0, 5, 1}, {100, 5, 1}}},
		{"clock goes back", 10, 5, []take{{0, 5, 5}, {-60_000, 1, 0}, {-59_900, 2, 1}}},
		{"huge rate", math.MaxInt, 10, []take{{0, 20, 10}, {1, 20, 10}}},
		{"huge burst", 1, math.MaxInt, []take{{0, 10_000, 10_000}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b Bucket
			for i, take := range tt.takes {
				got := 0
				for range take.n {
					if b.Take(epoch+take.at, tt.rate, tt.burst) {
						got++
					}
				}
				if got != take.want {
					t.Errorf("take %d at %d ms: got %d of %d, want %d", i, take.at, got, take.n, take.want)
				}
			}
		})
	}
}

// TestBucketAgainstOracle compares with a bucket of floating-point tokens.
func TestBucketAgainstOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		rate, burst := 1+rng.IntN(500), 1+rng.IntN(300)
		var b Bucket
		tokens, now, last := float64(burst), int64(1_800_000_000_000), int64(1_800_000_000_000)
		for range 500 {
			now += rng.Int64N(30)
			tokens = min(tokens+float64(now-last)*float64(rate)/1000, float64(burst))
			last = now
			if math.Abs(tokens-1) < 1e-6 {
				continue // rounding decides in the oracle
			}
			want := tokens >= 1
			if want {
				tokens--
			}
			if got := b.Take(now, rate, burst); got != want {
				t.Fatalf("rate %d, burst %d, tokens %v: Take = %v, want %v", rate, burst, tokens, got, want)
			}
		}
	}
}

func TestBucketSize(t *testing.T) {
	if got := unsafe.Sizeof(Bucket{}); got > 8 {
		t.Errorf("size = %d bytes, want at most 8: each connection has one", got)
	}
	var b Bucket
	if got := testing.AllocsPerRun(100, func() { b.Take(1, 100, 200) }); got != 0 {
		t.Errorf("allocations = %v, want 0", got)
	}
}
