package report

import (
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"signalbox/bench/result"
)

func read(t *testing.T, scenario string) *result.Record {
	t.Helper()
	r, err := result.Read(filepath.Join("testdata", scenario+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// texts are all texts in a drawing, which must be well-formed.
func texts(t *testing.T, svg []byte) (found []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("the drawing is no XML: %v", err)
		}
		if text, ok := token.(xml.CharData); ok {
			found = append(found, strings.TrimSpace(string(text)))
		}
	}
}

func TestCharts(t *testing.T) {
	for _, tt := range []struct {
		scenario string
		titles   []string
		says     []string // in the first chart
	}{
		{"fanout", []string{"Throughput against subscribers", "Server CPU a delivery against subscribers"},
			[]string{"subscribers", "deliveries [1/s]", "signalbox, 64 in flight, 1 publishers", "floor, 1 in flight, 1 publishers", "200k", "5M"}},
		{"latency", []string{"Latency percentiles"}, []string{"p50", "p99.9", "max", "ms", "1000 subscribers, 2500 publishes/s, 50 % of the most"}},
		{"idle", []string{"Memory in user space against connections", "Memory in the kernel against connections"}, []string{"connections", "PSS [MiB]", "signalbox"}},
		{"soak", []string{"Memory over time", "Deliveries over time"}, []string{"after", "PSS [MiB]"}},
		{"peers", []string{"Server CPU a delivery", "Deliveries", "Server CPU a connect", "Heap and stacks an idle connection"},
			[]string{"floor", "signalbox", "gws", "CPU a delivery [µs]", "1000 subscribers, 64 in flight"}},
		{"cluster", []string{"CPU a delivery, all nodes", "CPU a message, all nodes", "NATS' CPU a message", "Medians of what goes between nodes",
			"CPU of a node at rest", "CPU a connect of the node that has it", "CPU a connect of each other node",
			"Memory of a node against all nodes' connections", "Memory of NATS against all nodes' connections"},
			[]string{"nodes", "CPU a delivery [µs]", "50 subscribers, 1 in flight"}},
		{"reconnect", nil, nil},
	} {
		t.Run(tt.scenario, func(t *testing.T) {
			charts, err := Charts(read(t, tt.scenario))
			if err != nil {
				t.Fatal(err)
			}
			var titles []string
			for _, c := range charts {
				titles = append(titles, c.Title)
				if said := texts(t, c.SVG); !slices.Contains(said, c.Title) {
					t.Errorf("%s: the title is not drawn", c.Title)
				}
			}
			if !slices.Equal(titles, tt.titles) {
				t.Fatalf("got %q, want %q", titles, tt.titles)
			}
			for _, want := range tt.says {
				if said := texts(t, charts[0].SVG); !slices.Contains(said, want) {
					t.Errorf("%q is not in the first chart: %q", want, said)
				}
			}
		})
	}
}

func TestPage(t *testing.T) {
	var page strings.Builder
	if err := Write(&page, []*result.Record{read(t, "latency"), read(t, "soak")}); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, want := range []string{
		`<h2>latency</h2>`, `<h2>soak</h2>`, `href="#run-1"`, `ended early`,
		`<code>bench soak</code>`, `2026-01-02 03:04:05 UTC, took 13s`,
		`A CPU &lt;of&gt; ours`, `0123456789ab`, `memory grows by 0 MiB an hour`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	if got := strings.Count(text, "<svg"); got != 3 {
		t.Errorf("got %d drawings, want 3", got)
	}
}

// TestPercentiles: pauses in µs are not drawn as latencies in ms.
func TestPercentiles(t *testing.T) {
	rows := []result.Row{
		result.Row{}.Label("n", 1).Figure("p50", "ms", 1).Figure("max", "ms", 2),
		result.Row{}.Label("n", 2).Figure("p99", "µs", 2600).Figure("max", "µs", 5000),
	}
	want := []series{{"1 n", []point{{0, 1}, {4, 2}}}}
	if got := percentiles(rows); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAgainst(t *testing.T) {
	rows := []result.Row{
		result.Row{}.Label("server", "a").Label("n", 1).Figure("f", "s", 10),
		result.Row{}.Label("server", "b").Label("n", 1).Figure("f", "s", 20),
		result.Row{}.Label("server", "a").Label("n", 2).Figure("f", "ms", 30),
		result.Row{}.Label("server", "a").Label("n", "2s").Figure("f", "s", 40),
		result.Row{}.Label("server", "a").Label("n", "slope").Figure("f", "s", 50),
	}
	want := []series{{"a", []point{{1, 10}, {2, 40}}}, {"b", []point{{1, 20}}}}
	if got := against(rows, "n", "f", "s"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLogTicks(t *testing.T) {
	for _, tt := range []struct {
		name        string
		least, most float64
		want        string
	}{
		{"within a decade", 1.5, 6, "2 5"},
		{"two decades", 0.5, 20, "0.5 1 2 5 10 20"},
		{"thousands", 900, 2_000_000, "1k . . 10k . . 100k . . 1M ."},
		{"zero", 0, 10, ""},
	} {
		var got []string
		for _, tick := range logTicks(tt.least, tt.most) {
			label := tick.Label
			if label == "" {
				label = "."
			}
			got = append(got, label)
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, text, tt.want)
		}
	}
}
