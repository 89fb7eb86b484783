package target

import (
	"net/netip"
	"testing"
)

func TestNATSListens(t *testing.T) {
	for _, tt := range []struct {
		name, line, addr string
		ok               bool
	}{
		{"the line", "[7] 2026/11/24 00:00:00.000000 [INF] Listening for client connections on 127.0.0.1:40001", "127.0.0.1:40001", true},
		{"another", "[7] 2026/11/24 00:00:00.000000 [INF] Server is ready", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if addr, ok := natsListens(tt.line); addr != tt.addr || ok != tt.ok {
				t.Errorf("got %q, %t, want %q, %t", addr, ok, tt.addr, tt.ok)
			}
		})
	}
}

// TestAt: members are spread over the nodes, publishers are on the first.
func TestAt(t *testing.T) {
	var nodes []*Target
	for port := range 3 {
		addr := netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(1+port))
		nodes = append(nodes, &Target{Addr: addr, Process: &Process{PID: 1 + port}})
	}
	c := &Cluster{Nodes: nodes, NATS: &Process{PID: 9}}
	for _, tt := range []struct {
		name string
		t    *Target
		want []uint16 // ports
	}{
		{"one server", nodes[1], []uint16{2, 2, 2, 2}},
		{"whole", c.Whole(), []uint16{1, 2, 3, 1}},
		{"across", c.Across(), []uint16{2, 3, 2, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, want := range tt.want {
				if got := tt.t.At(i).Port(); got != want {
					t.Errorf("member %d is at %d, want %d", i, got, want)
				}
			}
		})
	}
	if whole := c.Whole(); whole.Addr != nodes[0].Addr || len(whole.Process.with) != 2 || whole.Broker != c.NATS {
		t.Errorf("got %+v, want the first node's address, all nodes' cost, and NATS'", whole)
	}
}
