package load

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"signalbox/bench/client"
)

func openStream(t *testing.T, loops, subscribers int) *Stream {
	t.Helper()
	s, err := OpenStream(testContext(t), newFleet(t, loops), newFloor(t), StreamConfig{Channel: "c", Subscribers: subscribers,
		Bytes: 128, Sources: Sources{Loopback}, Ramp: client.Ramp{Window: 8}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStream(t *testing.T) {
	for _, loops := range []int{1, 3} {
		s := openStream(t, loops, 10)
		for range 2 {
			phase, err := s.Run(testContext(t), 1000, 20*time.Millisecond, 50*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if phase.Published != 50 || phase.Delivered != 500 || phase.Missing != 0 {
				t.Errorf("%d loops: got %d published, %d delivered, %d missing, want 50, 500, 0", loops, phase.Published, phase.Delivered, phase.Missing)
			}
			if phase.Times.Count() != 500 || phase.Lag.Count() != 50 {
				t.Errorf("%d loops: got %d times, %d lags, want 500, 50", loops, phase.Times.Count(), phase.Lag.Count())
			}
		}
	}
}

// TestStreamCutShort: what was never sent is not missing.
func TestStreamCutShort(t *testing.T) {
	s := openStream(t, 2, 2)
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		defer cancel()
		for s.Delivered() == 0 {
			runtime.Gosched()
		}
	}()
	phase, err := s.Run(ctx, 1000, 0, time.Hour)
	if !errors.Is(err, context.Canceled) || phase.Complete() != nil {
		t.Errorf("got %v, %v, want the context's end and nothing missing", err, phase.Complete())
	}
	if want := uint64(2 * phase.Published); phase.Delivered != want || phase.Times.Count() != int64(want) || want == 0 {
		t.Errorf("got %d delivered, %d times, want %d", phase.Delivered, phase.Times.Count(), want)
	}
}

func TestComplete(t *testing.T) {
	for _, tt := range []struct {
		name  string
		phase Phase
		want  string
	}{
		{"all", Phase{Delivered: 5}, ""},
		{"some", Phase{Delivered: 5, Missing: 2}, "2 of 7 have not come within 10s"},
	} {
		got := ""
		if err := tt.phase.Complete(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestStreamEndsWithContext(t *testing.T) {
	s := openStream(t, 2, 2)
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	if _, err := s.Run(ctx, 1000, 0, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
