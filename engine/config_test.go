package engine

import (
	"testing"

	"signalbox/engine/cluster"
	"signalbox/engine/hooks"
)

// TestDescriptorsFollowConfig: what is kept for others than clients is what the
// configuration lets them have.
func TestDescriptorsFollowConfig(t *testing.T) {
	t.Parallel()
	embedded := func(routes int) *cluster.Config {
		return &cluster.Config{URLs: cluster.EmbeddedNATS, Embedded: cluster.Embedded{Routes: make([]string, routes)}}
	}
	for _, c := range []struct {
		name string
		cfg  Config
		want int // beside those of webhooks
	}{
		{"alone", Config{}, 0},
		{"ACME", Config{TLS: TLS{ACMEDomains: []string{"a.test"}}}, 16},
		{"NATS", Config{Cluster: &cluster.Config{URLs: "nats://a.test"}}, 8},
		{"NATS in the process", Config{Cluster: embedded(2)}, 8 + 32*8},
		{"with many routes", Config{Cluster: embedded(100)}, 8 + 100*8},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := c.cfg.descriptors(); got != hooks.MaxDescriptors+c.want {
				t.Errorf("got %d, want %d and those of webhooks, %d", got, c.want, hooks.MaxDescriptors)
			}
		})
	}
}
