package load

import (
	"errors"
	"testing"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/floor"
	"signalbox/bench/target"
)

// TestPairsMissing: an answer that never comes is told, in a closed loop too, which
// has no next question then.
func TestPairsMissing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rate   float64
		warmUp time.Duration
		asked  int
	}{
		{"paced", 100, 0, 5},
		{"paced, seldom", 0.01, 20 * time.Millisecond, 1},
		{"closed loop", 0, 0, 2},
		{"closed loop, nothing since the warm-up", 0, 20 * time.Millisecond, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // as it lasts arriveLimit
			// The floor has its dialogue by heart and delivers nothing.
			deaf := target.Dialogue(newFloor(t), "dialogue", floor.DialoguePath)
			pairs, err := OpenPairs(testContext(t), newFleet(t, 2), deaf, PairsConfig{Pairs: 2, Bytes: 128, Sources: Sources{Loopback}, Ramp: client.Ramp{Window: 8}})
			if err != nil {
				t.Fatal(err)
			}
			phase, err := pairs.Run(testContext(t), tt.rate, tt.warmUp, 50*time.Millisecond)
			if err != nil || phase.Published < tt.asked || phase.Missing != int64(phase.Published) {
				t.Errorf("got %d asked, %d missing, %v, want at least %d, all of them", phase.Published, phase.Missing, err, tt.asked)
			}
			if err := phase.Complete(); !errors.Is(err, ErrMissing) {
				t.Errorf("got %v, want %v", err, ErrMissing)
			}
		})
	}
}
