package session

import (
	"sync"
	"testing"
)

// TestTallySumsAllParts has parts add at once: whichever comes last tells the sum
// of all.
func TestTallySumsAllParts(t *testing.T) {
	const parts = 4
	sums := make([]int, 100_000)
	tallies := make([]*tally, len(sums))
	for i := range tallies {
		tallies[i] = then(parts, func(n int) { sums[i] = n })
	}
	var wg sync.WaitGroup
	for range parts {
		wg.Go(func() {
			for _, t := range tallies {
				t.add(1)
			}
		})
	}
	wg.Wait()
	for i, sum := range sums {
		if sum != parts {
			t.Fatalf("tally %d told a sum of %d, want %d", i, sum, parts)
		}
	}
}
