package telemetry

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"signalbox/engine/cluster"
)

// MaxApps is how many apps have metrics of their own; the others share the
// label OtherApps.
const MaxApps = 1000

// OtherApps labels the apps beyond MaxApps.
const OtherApps = "other"

// Source is where metrics come from. All functions may be called from any
// goroutine.
type Source struct {
	// Counts returns the counts of all loops, waiting for them no longer than
	// the context lasts.
	Counts func(context.Context) *Loop
	// Apps returns the apps, always in the same order.
	Apps func() []App
	// Sockets returns how many sockets are open and how many can be.
	Sockets func() (open, capacity int)
	// Hooks returns what has become of the events for webhooks.
	Hooks func() Hooks
	// Cluster returns how the cluster is, nil if the server stands alone.
	Cluster func() *cluster.Stats
	// Ready reports whether the server wants traffic.
	Ready func() bool

	Version, Commit string
}

// Hooks is what has become of the events for webhooks.
type Hooks struct {
	Delivered, Retried, Dropped int64
	SpooledBytes                int64
	Age                         time.Duration // of the oldest that waits
}

// App is the state of one app.
type App struct {
	ID             string
	Connections    int64
	Messages       int64 // published and sent in the period
	MaxConnections int64 // 0: unlimited
	MaxMessages    int64 // 0: unlimited
}

// countTimeout is how long a scrape waits for the loops; one that is late
// counts as of the last time.
const countTimeout = time.Second

// NewRegistry returns a registry of the server's metrics, the process's and the
// Go runtime's.
func NewRegistry(s Source) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(
		&collector{s},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// collector makes metrics of what a Source tells when it is asked.
type collector struct{ source Source }

// counter is a metric that is one of a Loop's counts.
type counter struct {
	desc  *prometheus.Desc
	value func(*Loop) uint64
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("signalbox_"+name, help, labels, nil)
}

var counters = []counter{
	{describe("connects_total", "Sessions opened."), func(l *Loop) uint64 { return l.Connects }},
	{describe("frames_received_total", "WebSocket messages and control frames received."), func(l *Loop) uint64 { return l.FramesIn }},
	{describe("frames_sent_total", "WebSocket frames sent."), func(l *Loop) uint64 { return l.FramesOut }},
	{describe("received_bytes_total", "Bytes of WebSocket frames received."), func(l *Loop) uint64 { return l.BytesIn }},
	{describe("sent_bytes_total", "Bytes of WebSocket frames sent."), func(l *Loop) uint64 { return l.BytesOut }},
	{describe("writes_total", "Writes to sockets; frames sent by writes is the coalescing factor."), func(l *Loop) uint64 { return l.Writes }},
	{describe("publishes_total", "Messages published, by clients and by REST."), func(l *Loop) uint64 { return l.Publishes }},
	{describe("directs_total", "Direct messages, by clients and by REST."), func(l *Loop) uint64 { return l.Directs }},
	{describe("deliveries_total", "Published messages handed to subscribers, once for each."), func(l *Loop) uint64 { return l.Deliveries }},
	{describe("presence_frames_sent_total", "Presence frames sent that tell of joins and leaves."), func(l *Loop) uint64 { return l.PresenceSent }},
	{describe("presence_frames_saved_total", "Presence frames saved by telling several joins and leaves in one."), func(l *Loop) uint64 { return l.PresenceSaved }},
	{describe("slow_consumers_closed_total", "Sessions closed because their reader fell behind."), func(l *Loop) uint64 { return l.SlowConsumers }},
}

var gauges = []counter{
	{describe("connections", "Sessions open."), func(l *Loop) uint64 { return l.Sessions }},
	{describe("backlog_bytes", "Bytes queued in user space for slow readers."), func(l *Loop) uint64 { return l.Backlog }},
}

// histogram is a metric that is one of a Loop's histograms.
type histogram struct {
	desc  *prometheus.Desc
	value func(*Loop) *Histogram
}

var histograms = []histogram{
	{describe("handshake_seconds", "Time from accept to the answer of an upgrade request."), func(l *Loop) *Histogram { return &l.Handshake }},
	{describe("flush_seconds", "Time from the oldest publish of a batch until it is written to all subscribers of its loop."), func(l *Loop) *Histogram { return &l.Flush }},
	{describe("turn_seconds", "Time an event loop's turn took, without reading input."), func(l *Loop) *Histogram { return &l.Turn }},
}

var (
	errorsDesc   = describe("errors_total", "Error frames sent, by code.", "code")
	closesDesc   = describe("closes_total", "Sessions closed, by close code and by who closed them.", "code", "reason", "by")
	refusalsDesc = describe("upgrades_refused_total", "Upgrade requests refused: by HTTP status and error code, or 101 and a close code.", "status", "code")
	socketsDesc  = describe("sockets", "Sockets open, REST and handshakes included.")
	capacityDesc = describe("sockets_max", "Sockets that the limit on descriptors allows.")
	readyDesc    = describe("ready", "1 if the server wants traffic, 0 while it starts and drains.")
	buildDesc    = describe("build_info", "Always 1; the labels tell which build runs.", "version", "commit")

	hookDeliveredDesc = describe("hook_events_delivered_total", "Events taken by the receivers of webhooks, once for each webhook.")
	hookRetriedDesc   = describe("hook_requests_failed_total", "Requests to webhooks that failed and are tried again.")
	hookDroppedDesc   = describe("hook_events_dropped_total", "Events for webhooks that were given up.")
	hookSpooledDesc   = describe("hook_spool_bytes", "Bytes of events that wait for webhooks.")
	hookAgeDesc       = describe("hook_oldest_seconds", "Time that the oldest event has waited for its webhook.")

	appConnectionsDesc    = describe("app_connections", "Sessions open, by app.", "app")
	appMessagesDesc       = describe("app_messages_total", "Messages counted against the plan, by app; starts anew each month.", "app")
	appDeliveriesDesc     = describe("app_deliveries_total", "Published messages handed to subscribers, by app.", "app")
	appMaxConnectionsDesc = describe("app_connections_max", "Sessions that the app's plan allows, if it has a limit.", "app")
	appMaxMessagesDesc    = describe("app_messages_max", "Messages a month that the app's plan allows, if it has a limit.", "app")
)

// Describe sends every metric there can be.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range counters {
		out <- m.desc
	}
	for _, m := range gauges {
		out <- m.desc
	}
	for _, m := range histograms {
		out <- m.desc
	}
	describeCluster(out)
	for _, d := range []*prometheus.Desc{
		hookDeliveredDesc, hookRetriedDesc, hookDroppedDesc, hookSpooledDesc, hookAgeDesc,
		errorsDesc, closesDesc, refusalsDesc, socketsDesc, capacityDesc, readyDesc, buildDesc,
		appConnectionsDesc, appMessagesDesc, appDeliveriesDesc, appMaxConnectionsDesc, appMaxMessagesDesc,
	} {
		out <- d
	}
}

// Collect asks the source and sends what it tells.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	l := c.source.Counts(ctx)
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for _, m := range counters {
		count(m.desc, m.value(l))
	}
	for _, m := range gauges {
		gauge(out, m.desc, float64(m.value(l)))
	}
	for _, m := range histograms {
		out <- m.value(l).metric(m.desc)
	}
	for code, n := range l.Errors {
		count(errorsDesc, n, string(code))
	}
	for end, n := range l.Closes {
		count(closesDesc, n, end.label(), end.Reason(), string(end.By))
	}
	for r, n := range l.Refusals {
		count(refusalsDesc, n, strconv.Itoa(r.Status), r.Code)
	}
	c.collectServer(out)
	c.collectHooks(out)
	c.collectCluster(out)
	c.collectApps(out, l.Apps)
}

// label is the close code in digits.
func (c Close) label() string {
	if c.Code == 0 {
		return "other"
	}
	return strconv.Itoa(int(c.Code))
}

func gauge(out chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (c *collector) collectServer(out chan<- prometheus.Metric) {
	open, capacity := c.source.Sockets()
	gauge(out, socketsDesc, float64(open))
	gauge(out, capacityDesc, float64(capacity))
	ready := 0.0
	if c.source.Ready() {
		ready = 1
	}
	gauge(out, readyDesc, ready)
	gauge(out, buildDesc, 1, c.source.Version, c.source.Commit)
}

func (c *collector) collectHooks(out chan<- prometheus.Metric) {
	h := c.source.Hooks()
	for d, n := range map[*prometheus.Desc]int64{hookDeliveredDesc: h.Delivered, hookRetriedDesc: h.Retried, hookDroppedDesc: h.Dropped} {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	gauge(out, hookSpooledDesc, float64(h.SpooledBytes))
	gauge(out, hookAgeDesc, h.Age.Seconds())
}

// collectApps sends the metrics of the apps; those beyond MaxApps are added up.
func (c *collector) collectApps(out chan<- prometheus.Metric, deliveries map[string]uint64) {
	for _, a := range bounded(c.source.Apps(), deliveries) {
		gauge(out, appConnectionsDesc, float64(a.Connections), a.ID)
		out <- prometheus.MustNewConstMetric(appMessagesDesc, prometheus.CounterValue, float64(a.Messages), a.ID)
		out <- prometheus.MustNewConstMetric(appDeliveriesDesc, prometheus.CounterValue, float64(a.deliveries), a.ID)
		if a.MaxConnections > 0 {
			gauge(out, appMaxConnectionsDesc, float64(a.MaxConnections), a.ID)
		}
		if a.MaxMessages > 0 {
			gauge(out, appMaxMessagesDesc, float64(a.MaxMessages), a.ID)
		}
	}
}

type labelled struct {
	App
	deliveries uint64
}

// bounded joins the apps with their deliveries, those beyond MaxApps as one,
// together with an app that is really called like it.
func bounded(apps []App, deliveries map[string]uint64) []labelled {
	list := make([]labelled, 0, min(len(apps), MaxApps)+1)
	other := -1
	for _, a := range apps {
		l := labelled{a, deliveries[a.ID]}
		if len(list) >= MaxApps || a.ID == OtherApps {
			l.ID, l.MaxConnections, l.MaxMessages = OtherApps, 0, 0
			if other >= 0 {
				o := &list[other]
				o.Connections += l.Connections
				o.Messages += l.Messages
				o.deliveries += l.deliveries
				continue
			}
			other = len(list)
		}
		list = append(list, l)
	}
	return list
}
