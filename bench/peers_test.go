package main

import (
	"slices"
	"testing"
	"time"

	"signalbox/bench/load"
	"signalbox/bench/result"
)

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		name   string
		wanted []string
		want   []string
		fails  bool
	}{
		{"all", nil, contenderNames, false},
		{"floor comes along, in our order", []string{"ws", "gws", "signalbox"}, []string{"floor", "signalbox", "gws", "ws"}, false},
		{"floor is named", []string{"gnet", "floor"}, []string{"floor", "gnet"}, false},
		{"unknown", []string{"gws", "socket.io"}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := choose(tt.wanted)
			if !slices.Equal(got, tt.want) || (err != nil) != tt.fails {
				t.Errorf("got %q, error %v, want %q, fails: %t", got, err, tt.want, tt.fails)
			}
		})
	}
}

func TestBearable(t *testing.T) {
	for _, tt := range []struct {
		name        string
		subscribers int
		want        []mode
	}{
		{"few", 1000, []mode{{1, 1}, {64, 1}}},
		{"many", 10_000, []mode{{1, 1}}},
		{"closed loop of any size", 200_000, []mode{{1, 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := bearable([]mode{{1, 1}, {64, 1}}, tt.subscribers); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// sampleOf is a second in which n deliveries cost cpu each.
func sampleOf(n uint64, cpu time.Duration) load.Sample {
	return load.Sample{Wall: time.Second, ServerCPU: time.Duration(n) * cpu, Frames: n}
}

func TestPeersReport(t *testing.T) {
	c := &peersCmd{Subscribers: []int{1000}, InFlight: []int{1}, Connections: 4000}
	one := fanoutLoad{1000, mode{1, 1}}
	shown := func(connect float64, delivery time.Duration) showing {
		return showing{idle: idleShowing{connect: connect, memory: 10 * connect, pss: 11 * connect},
			fanout: map[fanoutLoad]load.Sample{one: sampleOf(1000, delivery)}}
	}
	h := &harness{record: &result.Record{}}
	// The machine slows down from round to round, which ratios must not show;
	// gws fails in the second round and takes no part in the third.
	c.report(h, &comparison{
		contenders: []contender{{name: floorName}, {name: serverName}, {name: "gws"}, {name: "nbio"}},
		rounds: []map[string]showing{
			{floorName: shown(10, 4*time.Microsecond), serverName: shown(20, 2*time.Microsecond), "gws": shown(30, 8*time.Microsecond)},
			{floorName: shown(20, 8*time.Microsecond), serverName: shown(40, 4*time.Microsecond)},
			{floorName: shown(40, 16*time.Microsecond), serverName: shown(80, 8*time.Microsecond)},
		},
	})
	for i, want := range []struct {
		server, run    string
		figure         string
		median, ratios float64
	}{
		{floorName, "connect, idle", "CPU a connect", 20, 1},
		{serverName, "connect, idle", "CPU a connect", 40, 2},
		{"gws", "connect, idle", "CPU a connect", 30, 3},
		{floorName, "fan-out", "CPU a delivery", 8, 1},
		{serverName, "fan-out", "CPU a delivery", 4, 0.5},
		{"gws", "fan-out", "CPU a delivery", 8, 2},
	} {
		if i >= len(h.record.Rows) {
			t.Fatalf("got %d rows, want the one of %s, %s, too", i, want.server, want.run)
		}
		row := h.record.Rows[i]
		figure, _ := row.Value(want.figure)
		ratio, _ := row.Value("× floor")
		if row.Text("server") != want.server || row.Text("run") != want.run || figure != want.median || ratio != want.ratios {
			t.Errorf("row %d: got %+v, want %+v", i, row, want)
		}
	}
	if got, want := len(h.record.Rows), 6; got != want {
		t.Errorf("got %d rows, want %d: none of a server that has shown nothing", got, want)
	}
}

// Rounds that ended early have no figures, and no row is made of none.
func TestPeersReportOfNothing(t *testing.T) {
	c := &peersCmd{Subscribers: []int{1000}, InFlight: []int{1, 64}, Connections: 4000}
	h := &harness{record: &result.Record{}}
	c.report(h, &comparison{contenders: []contender{{name: floorName}}, rounds: []map[string]showing{{}}})
	if len(h.record.Rows) != 0 {
		t.Errorf("got %d rows, want none", len(h.record.Rows))
	}
}
