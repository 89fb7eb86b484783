package telemetry

import (
	"context"
	"fmt"
	"maps"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"signalbox/engine/cluster"
	"signalbox/protocol"
)

// filled returns counts of which none is zero, each another number.
func filled(t testing.TB, from uint64) *Loop {
	t.Helper()
	l := NewLoop()
	v := reflect.ValueOf(l).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Uint64 {
			f.SetUint(from + uint64(i))
		}
	}
	l.Errors[protocol.MissingData] = from
	l.Closed(Close{protocol.CloseKicked, Server})
	l.Refused(401, "invalid_token")
	l.Apps["app_a"] = from
	l.Turn.Observe(time.Millisecond)
	l.Flush.Observe(time.Millisecond)
	l.Handshake.Observe(time.Millisecond)
	return l
}

func TestAddKnowsEveryCount(t *testing.T) {
	sum := NewLoop()
	sum.Add(filled(t, 1))
	sum.Add(filled(t, 1))
	one, v := reflect.ValueOf(filled(t, 1)).Elem(), reflect.ValueOf(sum).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch f := v.Field(i); f.Kind() {
		case reflect.Uint64:
			if got, want := f.Uint(), 2*one.Field(i).Uint(); got != want {
				t.Errorf("%s = %d, want %d", name, got, want)
			}
		case reflect.Map:
			for _, k := range f.MapKeys() {
				if got, want := f.MapIndex(k).Uint(), 2*one.Field(i).MapIndex(k).Uint(); got != want {
					t.Errorf("%s[%v] = %d, want %d", name, k, got, want)
				}
			}
			if f.Len() != 1 {
				t.Errorf("%s has %d elements, want 1", name, f.Len())
			}
		}
	}
	for name, h := range map[string]*Histogram{"turn": &sum.Turn, "flush": &sum.Flush, "handshake": &sum.Handshake} {
		if h.Count() != 2 {
			t.Errorf("%s counts %d, want 2", name, h.Count())
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	l := filled(t, 1)
	c := l.Clone()
	l.Closed(Close{protocol.CloseKicked, Server})
	l.Refused(401, "invalid_token")
	l.Errors[protocol.MissingData]++
	l.Apps["app_a"]++
	if Sum(c.Closes) != 1 || Sum(c.Refusals) != 1 || Sum(c.Errors) != 1 || Sum(c.Apps) != 1 {
		t.Errorf("the copy has changed: %v", c)
	}
}

func TestClosedIsBounded(t *testing.T) {
	l := NewLoop()
	for code := range 5000 {
		l.Closed(Close{protocol.CloseCode(code), Client})
	}
	if n := len(l.Closes); n > 32 {
		t.Errorf("%d codes are told apart, want a few", n)
	}
	if l.Closes[Close{protocol.CloseNormal, Client}] != 1 || l.Closes[Close{NoCode, Client}] != 1 || l.Closes[Close{0, Client}] < 4000 {
		t.Errorf("closes = %v", l.Closes)
	}
}

// gathered returns the values of the registry's metrics, by name and labels.
func gathered(t testing.TB, s Source) map[string]float64 {
	t.Helper()
	families, err := NewRegistry(s).Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += fmt.Sprintf(",%s=%s", l.GetName(), l.GetValue())
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func source(t testing.TB, apps ...App) Source {
	return Source{
		Counts: func(ctx context.Context) *Loop {
			if _, limited := ctx.Deadline(); !limited {
				t.Error("a scrape may wait for ever")
			}
			return filled(t, 1)
		},
		Apps:    func() []App { return apps },
		Sockets: func() (int, int) { return 3, 100 },
		Hooks:   func() Hooks { return Hooks{1, 2, 3, 4, 5 * time.Second} },
		Cluster: func() *cluster.Stats { return nil },
		Ready:   func() bool { return true },
		Version: "v1", Commit: "abc",
	}
}

func TestMetrics(t *testing.T) {
	got := gathered(t, source(t, App{ID: "app_a", Connections: 4, Messages: 5, MaxMessages: 6}, App{ID: "app_b"}))
	for name, want := range map[string]float64{
		"signalbox_connects_total": 1,
		"signalbox_closes_total,by=server,code=4020,reason=disconnected by admin": 1,
		"signalbox_errors_total,code=missing_data":                                1,
		"signalbox_upgrades_refused_total,code=invalid_token,status=401":          1,
		"signalbox_turn_seconds":                                                  1,
		"signalbox_sockets":                                                       3,
		"signalbox_sockets_max":                                                   100,
		"signalbox_ready":                                                         1,
		"signalbox_build_info,commit=abc,version=v1":                              1,
		"signalbox_app_connections,app=app_a":                                     4,
		"signalbox_app_messages_total,app=app_a":                                  5,
		"signalbox_app_deliveries_total,app=app_a":                                1,
		"signalbox_app_messages_max,app=app_a":                                    6,
		"signalbox_app_deliveries_total,app=app_b":                                0,
		"signalbox_hook_events_delivered_total":                                   1,
		"signalbox_hook_requests_failed_total":                                    2,
		"signalbox_hook_events_dropped_total":                                     3,
		"signalbox_hook_spool_bytes":                                              4,
		"signalbox_hook_oldest_seconds":                                           5,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s = %v (%t), want %v", name, v, ok, want)
		}
	}
	for _, name := range []string{"signalbox_app_messages_max,app=app_b", "signalbox_app_connections_max,app=app_a"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s is there though the plan has no limit", name)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds", "process_max_fds", "process_resident_memory_bytes"} {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s", name)
		}
	}
}

func TestClusterMetrics(t *testing.T) {
	s := source(t)
	for name := range gathered(t, s) {
		if strings.HasPrefix(name, "signalbox_cluster_") {
			t.Errorf("%s is there though the server stands alone", name)
		}
	}
	s.Cluster = func() *cluster.Stats {
		return &cluster.Stats{
			ID: 1, Name: "east",
			Nodes: []cluster.NodeStats{
				{ID: 2, Name: "west", Connections: 7, Heard: time.Now().Add(time.Hour)},
				{ID: 3, Name: "west", Connections: 8}, // its successor
			},
			Linked: true, RTT: time.Second,
			MessagesIn: 1, MessagesOut: 2, BytesIn: 3, BytesOut: 4, RecordsIn: 5, Repeated: 6, Lost: 7, Links: 8, Gaps: 9, Resyncs: 10,
			Rounds: 11, RoundTimeouts: 12, Outbox: 13, Subscriptions: 14, Refused: map[string]uint64{"size": 15},
		}
	}
	got := gathered(t, s)
	for name, want := range map[string]float64{
		"cluster_info,id=1,node=east":               1,
		"cluster_link_up":                           1,
		"cluster_rtt_seconds":                       1,
		"cluster_nodes":                             3,
		"cluster_node_connections,id=2,node=west":   7,
		"cluster_node_connections,id=3,node=west":   8,
		"cluster_messages_received_total":           1,
		"cluster_messages_sent_total":               2,
		"cluster_received_bytes_total":              3,
		"cluster_sent_bytes_total":                  4,
		"cluster_records_received_total":            5,
		"cluster_messages_repeated_total":           6,
		"cluster_messages_lost_total":               7,
		"cluster_links_total":                       8,
		"cluster_gaps_total":                        9,
		"cluster_resyncs_total":                     10,
		"cluster_rounds_total":                      11,
		"cluster_rounds_late_total":                 12,
		"cluster_outbox_bytes":                      13,
		"cluster_subscriptions":                     14,
		"cluster_records_refused_total,reason=size": 15,
	} {
		if v, ok := got["signalbox_"+name]; !ok || v != want {
			t.Errorf("%s = %v (%t), want %v", name, v, ok, want)
		}
	}
	if heard, ok := got["signalbox_cluster_node_heard_seconds,id=2,node=west"]; !ok || heard > 0 {
		t.Errorf("heard %v s ago (%t), want it to lie an hour ahead", heard, ok)
	}
}

func TestAppsAreBounded(t *testing.T) {
	apps := []App{{ID: OtherApps, Connections: 1, MaxConnections: 7}}
	for i := range MaxApps + 500 {
		apps = append(apps, App{ID: fmt.Sprintf("app_%d", i), Connections: 1})
	}
	got := gathered(t, source(t, apps...))
	maps.DeleteFunc(got, func(name string, _ float64) bool {
		return len(name) < 25 || name[:25] != "signalbox_app_connections"
	})
	if len(got) != MaxApps {
		t.Errorf("%d apps have metrics, want %d", len(got), MaxApps)
	}
	if n := got["signalbox_app_connections,app=other"]; n != 502 {
		t.Errorf("the others have %v connections, want 502", n)
	}
}

func TestSeries(t *testing.T) {
	s := NewSeries(2, nil)
	if points, l := s.Since(0); points != nil || l != nil {
		t.Errorf("an empty series has %v, %v", points, l)
	}
	l := NewLoop()
	const start = 1_800_000_000
	for i := range int64(Span + 10) {
		l = l.Clone()
		l.Deliveries += uint64(i)
		l.Sessions = uint64(i)
		l.Closed(Close{protocol.CloseNormal, Client})
		if i%2 == 0 {
			l.Turn.Observe(500 * time.Millisecond)
		}
		cpu := time.Duration(2*i) * time.Second
		s.add(start+i, l, cpu)
		if i > 0 {
			s.add(start+i, l, cpu+time.Second) // the second has its point: this CPU time is the next one's
		}
	}
	points, last := s.Since(0)
	if len(points) != Span || last != l || s.Loops() != 2 {
		t.Fatalf("%d points, want %d", len(points), Span)
	}
	for i, p := range points {
		n := int64(i + 10)
		if p.Unix != start+n || p.Deliveries != uint64(n) || p.Connections != uint64(n) || p.Closes != 1 || p.CPU != 2 {
			t.Fatalf("point %d = %+v", i, p)
		}
		if busy := p.Busy > 0; busy != (n%2 == 0) || math.IsNaN(p.Turn.P99) == busy {
			t.Fatalf("point %d: busy %v, turns %v", i, p.Busy, p.Turn)
		}
	}
	if points[0].Busy != 0.25 {
		t.Errorf("busy = %v, want 0.25: half a second of one loop in two", points[0].Busy)
	}
	if since, _ := s.Since(start + Span + 7); len(since) != 2 {
		t.Errorf("%d points since the third last, want 2", len(since))
	}
}

// TestSeriesAfterStepBack: a clock that is set back ends neither the points nor
// what somebody is told who has seen later ones.
func TestSeriesAfterStepBack(t *testing.T) {
	s := NewSeries(1, nil)
	const start = 1_800_000_000
	for i := range int64(100) {
		s.add(start+i, NewLoop(), 0)
	}
	for i := range int64(3) {
		s.add(start-3600+i, NewLoop(), 0)
	}
	for name, since := range map[string]int64{"from the beginning": 0, "from before the step": start + 99} {
		points, _ := s.Since(since)
		if len(points) != 3 || points[0].Unix != start-3600 || points[2].Unix != start-3598 {
			t.Errorf("%s: got %d points, want the three since the step", name, len(points))
		}
	}
	if points, _ := s.Since(start - 3598); len(points) != 0 {
		t.Errorf("after the last: got %d points, want none", len(points))
	}
}
