package quota

import (
	"sync/atomic"
	"time"
)

// period is one app's counters for one calendar month.
type period struct {
	// Immutable after roll made it.
	start, end int64  // unix seconds, end exclusive
	key        string // the record's key in the store

	// Any goroutine (atomic).
	messages           atomic.Int64
	overageMessages    atomic.Int64
	overageConnections atomic.Int64
	peak               atomic.Int64

	// Guarded by the App's mu.
	adopted bool   // the counters include what the store held
	saved   record // what the store holds now
}

// record is a period's counters as the store keeps them.
type record struct {
	Messages           int64 `json:"messages"`
	OverageMessages    int64 `json:"overageMessages"`
	OverageConnections int64 `json:"overageConnections"`
	PeakConcurrent     int64 `json:"peakConcurrent"`
}

// valid reports whether r can have been written by this package.
func (r record) valid() bool {
	return r.Messages >= 0 && r.OverageMessages >= 0 && r.OverageConnections >= 0 && r.PeakConcurrent >= 0
}

// newPeriod returns the empty period of app that holds now.
func newPeriod(app string, now time.Time) *period {
	start, end := month(now)
	return &period{start: start.Unix(), end: end.Unix(), key: recordKey(start, app)}
}

// recordKey orders records by month; the month has no blank in it, so that no
// two apps share a key.
func recordKey(start time.Time, app string) string {
	return start.Format("2006-01") + " " + app
}

func (p *period) holds(unix int64) bool { return p.start <= unix && unix < p.end }

// add merges r, which the store held, into the counters.
func (p *period) add(r record) {
	p.messages.Add(r.Messages)
	p.overageMessages.Add(r.OverageMessages)
	p.overageConnections.Add(r.OverageConnections)
	p.raisePeak(r.PeakConcurrent)
}

// raisePeak makes the peak at least n.
func (p *period) raisePeak(n int64) {
	for {
		old := p.peak.Load()
		if n <= old || p.peak.CompareAndSwap(old, n) {
			return
		}
	}
}

func (p *period) record() record {
	return record{
		Messages:           p.messages.Load(),
		OverageMessages:    p.overageMessages.Load(),
		OverageConnections: p.overageConnections.Load(),
		PeakConcurrent:     p.peak.Load(),
	}
}
