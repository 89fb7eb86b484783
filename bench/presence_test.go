package main

import (
	"testing"
	"time"

	"signalbox/bench/load"
)

func TestStormCPU(t *testing.T) {
	for _, tt := range []struct {
		name     string
		pairLoad float64
		sample   load.Sample
		want     time.Duration
	}{
		{"nothing is known of the pair", 0, load.Sample{Wall: time.Second, ServerCPU: 300 * time.Millisecond}, 300 * time.Millisecond},
		{"the pair takes an eighth", 12.5, load.Sample{Wall: 2 * time.Second, ServerCPU: 300 * time.Millisecond}, 50 * time.Millisecond},
	} {
		if got := (&presenceCmd{pairLoad: tt.pairLoad}).stormCPU(tt.sample); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
