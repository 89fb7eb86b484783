package admin

import (
	"time"

	"signalbox/engine/cluster"
)

// clusterInfo is this node's cluster, as it sees it.
type clusterInfo struct {
	Node    string     `json:"node"`
	ID      string     `json:"id"`
	Link    string     `json:"link"` // up or down
	Server  string     `json:"server"`
	RTT     float64    `json:"rttSeconds"`
	Waiting int        `json:"waitingBytes"`
	Others  []nodeInfo `json:"others"`
}

// nodeInfo is another node.
type nodeInfo struct {
	Name        string  `json:"name"`
	ID          string  `json:"id"`
	Connections int64   `json:"connections"`
	Heard       float64 `json:"heardSeconds"` // ago
}

func clusterInfoOf(s *cluster.Stats, now time.Time) *clusterInfo {
	c := &clusterInfo{
		Node: s.Name, ID: s.ID.String(), Link: linkState(s), Server: s.Server,
		RTT: s.RTT.Seconds(), Waiting: s.Outbox, Others: []nodeInfo{},
	}
	for _, n := range s.Nodes {
		c.Others = append(c.Others, nodeInfo{n.Name, n.ID.String(), n.Connections, max(now.Sub(n.Heard), 0).Seconds()})
	}
	return c
}

// linkState says whether the other nodes can be reached.
func linkState(s *cluster.Stats) string {
	if s.Linked {
		return "up"
	}
	return "down"
}
