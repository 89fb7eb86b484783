package admin

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"signalbox/engine/cluster"
)

// TestCluster: the console shows the nodes, and a node without its link stays ready.
func TestCluster(t *testing.T) {
	w := newWorld(t, nil)
	overview := func() string {
		body, err := io.ReadAll(w.do("GET", "/console/api/overview", "").Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	if alone := overview(); strings.Contains(alone, `"cluster"`) {
		t.Errorf("a cluster of a server that stands alone: %s", alone)
	}
	w.backend.cluster = &cluster.Stats{
		ID: 1, Name: "east",
		Nodes:  []cluster.NodeStats{{ID: 2, Name: "west", Connections: 5, Heard: time.Now().Add(-time.Minute)}},
		Server: "nats1:4222", RTT: 2 * time.Millisecond, Outbox: 9,
	}
	var answer struct{ Cluster clusterInfo }
	if err := json.Unmarshal([]byte(overview()), &answer); err != nil {
		t.Fatal(err)
	}
	got := answer.Cluster
	if got.Node != "east" || got.ID != "1" || got.Link != "down" || got.Server != "nats1:4222" || got.RTT != 0.002 || got.Waiting != 9 {
		t.Errorf("got %+v", got)
	}
	if n := got.Others[0]; len(got.Others) != 1 || n.Name != "west" || n.Connections != 5 || n.Heard < 60 || n.Heard > 120 {
		t.Errorf("others: %+v", got.Others)
	}
	wantJSON(t, w.do("GET", "/readyz", ""), 200, `{"status":"ok","cluster":"down"}`)
	w.backend.cluster.Linked = true
	wantJSON(t, w.do("GET", "/readyz", ""), 200, `{"status":"ok","cluster":"up"}`)
}
