package admin

import (
	"context"
	"math"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"syscall"
	"time"

	"signalbox/engine/telemetry"
)

// overview is the answer that the console polls.
type overview struct {
	NowAt       int64   `json:"nowAt"`
	StartedAt   int64   `json:"startedAt"`
	Loops       int     `json:"loops"`
	Sockets     int     `json:"sockets"`
	Capacity    int     `json:"capacity"`
	Draining    bool    `json:"draining"`
	Connections uint64  `json:"connections"`
	Channels    int     `json:"channels"`
	Apps        int     `json:"apps"`
	Process     process `json:"process"`

	Cluster *clusterInfo `json:"cluster,omitempty"` // none: the server stands alone
	Totals  totals       `json:"totals"`
	Series  series       `json:"series"`
}

type process struct {
	HeapBytes       uint64 `json:"heapBytes"`
	Goroutines      int    `json:"goroutines"`
	OpenDescriptors int64  `json:"openDescriptors"`
	MaxDescriptors  uint64 `json:"maxDescriptors"`
}

// totals are counts since the start.
type totals struct {
	Connects      uint64 `json:"connects"`
	Closes        uint64 `json:"closes"`
	FramesIn      uint64 `json:"framesIn"`
	FramesOut     uint64 `json:"framesOut"`
	BytesIn       uint64 `json:"bytesIn"`
	BytesOut      uint64 `json:"bytesOut"`
	Publishes     uint64 `json:"publishes"`
	Directs       uint64 `json:"directs"`
	Deliveries    uint64 `json:"deliveries"`
	Writes        uint64 `json:"writes"`
	Errors        uint64 `json:"errors"`
	SlowConsumers uint64 `json:"slowConsumers"`
	Refusals      uint64 `json:"refusals"`
	PresenceSent  uint64 `json:"presenceSent"`
	PresenceSaved uint64 `json:"presenceSaved"`
	BacklogBytes  uint64 `json:"backlogBytes"`
}

// series are columns of equal length, a value a second, oldest first.
type series struct {
	EndUnix     int64      `json:"endUnix"`
	StepSeconds int        `json:"stepSeconds"`
	Connections []uint64   `json:"connections"`
	Connects    []uint64   `json:"connects"`
	Closes      []uint64   `json:"closes"`
	FramesIn    []uint64   `json:"framesIn"`
	FramesOut   []uint64   `json:"framesOut"`
	BytesIn     []uint64   `json:"bytesIn"`
	BytesOut    []uint64   `json:"bytesOut"`
	Publishes   []uint64   `json:"publishes"`
	Deliveries  []uint64   `json:"deliveries"`
	Writes      []uint64   `json:"writes"`
	TurnP50     []*float64 `json:"turnP50"` // seconds; null: none
	TurnP99     []*float64 `json:"turnP99"`
	FlushP50    []*float64 `json:"flushP50"`
	FlushP99    []*float64 `json:"flushP99"`
	Busy        []float64  `json:"busy"`
	CPU         []float64  `json:"cpu"`
}

// serveOverview tells how the server is, and its last minutes from the second
// ?since= on.
func (s *Server) serveOverview(_ http.ResponseWriter, r *http.Request) (any, error) {
	var since int64
	if text := r.FormValue("since"); text != "" {
		var err error
		if since, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, invalid("since must be a time in unix seconds.")
		}
	}
	points, counts := s.Series.Since(since)
	if counts == nil {
		counts = telemetry.NewLoop() // the first second
	}
	open, capacity := s.Backend.Capacity()
	o := overview{
		NowAt: time.Now().UnixMilli(), StartedAt: s.started.UnixMilli(),
		Loops: s.Series.Loops(), Sockets: open, Capacity: capacity, Draining: s.Ready() != nil,
		Connections: counts.Sessions, Process: processNow(), Totals: totalsOf(counts), Series: columns(points, since),
	}
	if c := s.Backend.Cluster(); c != nil {
		o.Cluster = clusterInfoOf(c, time.Now())
	}
	for _, a := range s.Backend.Keys().Apps() {
		o.Apps++
		o.Channels += s.Backend.CountChannels(a.ID)
	}
	return o, nil
}

func totalsOf(l *telemetry.Loop) totals {
	return totals{
		Connects: l.Connects, Closes: telemetry.Sum(l.Closes),
		FramesIn: l.FramesIn, FramesOut: l.FramesOut, BytesIn: l.BytesIn, BytesOut: l.BytesOut,
		Publishes: l.Publishes, Directs: l.Directs, Deliveries: l.Deliveries, Writes: l.Writes,
		Errors: telemetry.Sum(l.Errors), SlowConsumers: l.SlowConsumers, Refusals: telemetry.Sum(l.Refusals),
		PresenceSent: l.PresenceSent, PresenceSaved: l.PresenceSaved, BacklogBytes: l.Backlog,
	}
}

// columns turns points into columns. since is what endUnix stays at without any.
func columns(points []telemetry.Point, since int64) series {
	n := len(points)
	counts := func() []uint64 { return make([]uint64, 0, n) }
	times := func() []*float64 { return make([]*float64, 0, n) }
	c := series{
		EndUnix: since, StepSeconds: 1, Connections: counts(), Connects: counts(), Closes: counts(),
		FramesIn: counts(), FramesOut: counts(), BytesIn: counts(), BytesOut: counts(),
		Publishes: counts(), Deliveries: counts(), Writes: counts(),
		TurnP50: times(), TurnP99: times(), FlushP50: times(), FlushP99: times(),
		Busy: make([]float64, 0, n), CPU: make([]float64, 0, n),
	}
	for _, p := range points {
		c.EndUnix = p.Unix
		c.Connections = append(c.Connections, p.Connections)
		c.Connects = append(c.Connects, p.Connects)
		c.Closes = append(c.Closes, p.Closes)
		c.FramesIn = append(c.FramesIn, p.FramesIn)
		c.FramesOut = append(c.FramesOut, p.FramesOut)
		c.BytesIn = append(c.BytesIn, p.BytesIn)
		c.BytesOut = append(c.BytesOut, p.BytesOut)
		c.Publishes = append(c.Publishes, p.Publishes)
		c.Deliveries = append(c.Deliveries, p.Deliveries)
		c.Writes = append(c.Writes, p.Writes)
		c.TurnP50 = append(c.TurnP50, number(p.Turn.P50))
		c.TurnP99 = append(c.TurnP99, number(p.Turn.P99))
		c.FlushP50 = append(c.FlushP50, number(p.Flush.P50))
		c.FlushP99 = append(c.FlushP99, number(p.Flush.P99))
		c.Busy = append(c.Busy, p.Busy)
		c.CPU = append(c.CPU, p.CPU)
	}
	return c
}

// number is f as JSON can say it.
func number(f float64) *float64 {
	if math.IsNaN(f) {
		return nil
	}
	return &f
}

func processNow() process {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	p := process{HeapBytes: sample[0].Value.Uint64(), Goroutines: runtime.NumGoroutine()}
	// The size of this directory is the number of its entries, on Linux from 6.2
	// on; to read it would take long with a million sockets.
	if info, err := os.Stat("/proc/self/fd"); err == nil {
		p.OpenDescriptors = info.Size()
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		p.MaxDescriptors = limit.Cur
	}
	return p
}

// appInfo is one app.
type appInfo struct {
	AppID     string `json:"appId"`
	Suspended bool   `json:"suspended"`
	Channels  int    `json:"channels"`
	Keys      int    `json:"keys"`
	Usage     any    `json:"usage"`
	Plan      any    `json:"plan"`
}

// serveApps lists the apps.
func (s *Server) serveApps(http.ResponseWriter, *http.Request) (any, error) {
	list := []appInfo{}
	for _, a := range s.Backend.Keys().Apps() {
		list = append(list, appInfo{a.ID, a.Suspended, s.Backend.CountChannels(a.ID), len(a.Keys), s.Backend.Usage(a.ID), a.Plan})
	}
	return struct {
		Apps []appInfo `json:"apps"`
	}{list}, nil
}

// app returns the id of the app that a query names.
func (s *Server) app(r *http.Request) (string, error) {
	id := r.FormValue("app")
	if s.Backend.Keys().App(id) == nil {
		return "", errUnknownApp
	}
	return id, nil
}

// limit returns the limit that a query names, standard without one.
func limit(r *http.Request, standard, most int) (int, error) {
	text := r.FormValue("limit")
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, invalid("limit must be an integer from 1 to " + strconv.Itoa(most) + ".")
	}
	return n, nil
}

// answered returns err as the failure it is to the client: a backend that takes
// too long is unavailable.
func answered(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errUnavailable
	}
	return err
}
