package target

import (
	"maps"
	"testing"
)

func TestReadMetrics(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Metrics
		fault      bool
	}{
		{"nothing", "", Metrics{}, false},
		{"counters", "# HELP a What a is.\n# TYPE a counter\na 12\nb_total 1.5e+06\n", Metrics{"a": 12, "b_total": 1.5e6}, false},
		{"labels are left out", "a{x=\"y\"} 1\na{x=\"y z\"} 2\nb 3\n", Metrics{"b": 3}, false},
		{"no number", "a lot\n", nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readMetrics([]byte(tt.text))
			if (err != nil) != tt.fault {
				t.Fatalf("got error %v, want one: %t", err, tt.fault)
			}
			if err == nil && !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
