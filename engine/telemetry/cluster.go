package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signalbox/engine/cluster"
)

var (
	clusterInfoDesc    = describe("cluster_info", "Always 1; the labels name this node in its cluster.", "node", "id")
	clusterUpDesc      = describe("cluster_link_up", "1 if the other nodes can be reached by NATS, 0 if each serves its own clients alone.")
	clusterRTTDesc     = describe("cluster_rtt_seconds", "Time to the NATS server and back.")
	clusterNodesDesc   = describe("cluster_nodes", "Nodes alive, as this one sees it, itself included.")
	clusterConnsDesc   = describe("cluster_node_connections", "Sessions open on another node, as it last said.", "node", "id")
	clusterBeatDesc    = describe("cluster_node_heard_seconds", "Time since another node was last heard.", "node", "id")
	clusterRefusedDesc = describe("cluster_records_refused_total", "Records from NATS that were not believed, by reason.", "reason")
	clusterSubsDesc    = describe("cluster_subscriptions", "NATS subscriptions for channels, patterns and peers.")
	clusterOutboxDesc  = describe("cluster_outbox_bytes", "Bytes that wait to be sent to NATS.")
)

// clusterCounter is a metric that is one of a cluster's counts.
type clusterCounter struct {
	desc  *prometheus.Desc
	value func(*cluster.Stats) uint64
}

var clusterCounters = []clusterCounter{
	{describe("cluster_messages_sent_total", "NATS messages sent; one carries many records."), func(s *cluster.Stats) uint64 { return s.MessagesOut }},
	{describe("cluster_messages_received_total", "NATS messages received."), func(s *cluster.Stats) uint64 { return s.MessagesIn }},
	{describe("cluster_sent_bytes_total", "Bytes of NATS messages sent."), func(s *cluster.Stats) uint64 { return s.BytesOut }},
	{describe("cluster_received_bytes_total", "Bytes of NATS messages received."), func(s *cluster.Stats) uint64 { return s.BytesIn }},
	{describe("cluster_records_received_total", "Records received: messages of clients, changes of rosters and the like."), func(s *cluster.Stats) uint64 { return s.RecordsIn }},
	{describe("cluster_messages_repeated_total", "NATS messages received twice, by overlapping subscriptions."), func(s *cluster.Stats) uint64 { return s.Repeated }},
	{describe("cluster_messages_lost_total", "NATS messages that the link did not take."), func(s *cluster.Stats) uint64 { return s.Lost }},
	{describe("cluster_links_total", "Times that the link to NATS came up."), func(s *cluster.Stats) uint64 { return s.Links }},
	{describe("cluster_gaps_total", "Times that something another node said was missed."), func(s *cluster.Stats) uint64 { return s.Gaps }},
	{describe("cluster_resyncs_total", "Times that all rosters were exchanged anew, as something may have been lost."), func(s *cluster.Stats) uint64 { return s.Resyncs }},
	{describe("cluster_rounds_total", "Questions to all nodes; many share one."), func(s *cluster.Stats) uint64 { return s.Rounds }},
	{describe("cluster_rounds_late_total", "Questions that ended before all nodes had answered."), func(s *cluster.Stats) uint64 { return s.RoundTimeouts }},
}

// describeCluster sends every metric of a cluster.
func describeCluster(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		clusterInfoDesc, clusterUpDesc, clusterRTTDesc, clusterNodesDesc, clusterConnsDesc, clusterBeatDesc, clusterRefusedDesc, clusterSubsDesc, clusterOutboxDesc,
	} {
		out <- d
	}
	for _, c := range clusterCounters {
		out <- c.desc
	}
}

// collectCluster sends nothing for a server that stands alone.
func (c *collector) collectCluster(out chan<- prometheus.Metric) {
	s := c.source.Cluster()
	if s == nil {
		return
	}
	up := 0.0
	if s.Linked {
		up = 1
	}
	gauge(out, clusterInfoDesc, 1, s.Name, s.ID.String())
	gauge(out, clusterUpDesc, up)
	gauge(out, clusterRTTDesc, s.RTT.Seconds())
	gauge(out, clusterNodesDesc, float64(1+len(s.Nodes)))
	gauge(out, clusterSubsDesc, float64(s.Subscriptions))
	gauge(out, clusterOutboxDesc, float64(s.Outbox))
	for _, n := range s.Nodes {
		gauge(out, clusterConnsDesc, float64(n.Connections), n.Name, n.ID.String())
		gauge(out, clusterBeatDesc, time.Since(n.Heard).Seconds(), n.Name, n.ID.String())
	}
	for _, m := range clusterCounters {
		out <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.value(s)))
	}
	for reason, n := range s.Refused {
		out <- prometheus.MustNewConstMetric(clusterRefusedDesc, prometheus.CounterValue, float64(n), reason)
	}
}
