package quota

import (
	"strings"
	"sync/atomic"
	"time"
)

// Counts is what has been counted of one app in one month.
type Counts struct {
	Messages           int64 `json:"messages"`
	OverageMessages    int64 `json:"overageMessages"`
	OverageConnections int64 `json:"overageConnections"`
	PeakConcurrent     int64 `json:"peakConcurrent"`
}

// valid reports whether c can have been counted.
func (c Counts) valid() bool {
	return c.Messages >= 0 && c.OverageMessages >= 0 && c.OverageConnections >= 0 && c.PeakConcurrent >= 0
}

// max returns the higher of each count.
func (c Counts) max(d Counts) Counts {
	return Counts{
		Messages:           max(c.Messages, d.Messages),
		OverageMessages:    max(c.OverageMessages, d.OverageMessages),
		OverageConnections: max(c.OverageConnections, d.OverageConnections),
		PeakConcurrent:     max(c.PeakConcurrent, d.PeakConcurrent),
	}
}

// since returns what add needs to make c out of old.
func (c Counts) since(old Counts) Counts {
	return Counts{
		Messages:           c.Messages - old.Messages,
		OverageMessages:    c.OverageMessages - old.OverageMessages,
		OverageConnections: c.OverageConnections - old.OverageConnections,
		PeakConcurrent:     c.PeakConcurrent,
	}
}

// beyond returns those of the counts that are higher than in d, and 0 for the others.
func (c Counts) beyond(d Counts) Counts {
	for _, n := range [...]struct {
		of  *int64
		bar int64
	}{
		{&c.Messages, d.Messages}, {&c.OverageMessages, d.OverageMessages},
		{&c.OverageConnections, d.OverageConnections}, {&c.PeakConcurrent, d.PeakConcurrent},
	} {
		if *n.of <= n.bar {
			*n.of = 0
		}
	}
	return c
}

// counters are Counts that any goroutine may change.
type counters struct {
	messages           atomic.Int64
	overageMessages    atomic.Int64
	overageConnections atomic.Int64
	peak               atomic.Int64
}

// add adds c: the sum of each count, the higher peak.
func (n *counters) add(c Counts) {
	n.messages.Add(c.Messages)
	n.overageMessages.Add(c.OverageMessages)
	n.overageConnections.Add(c.OverageConnections)
	n.raisePeak(c.PeakConcurrent)
}

// raisePeak makes the peak at least to.
func (n *counters) raisePeak(to int64) {
	for {
		old := n.peak.Load()
		if to <= old || n.peak.CompareAndSwap(old, to) {
			return
		}
	}
}

func (n *counters) counts() Counts {
	return Counts{
		Messages:           n.messages.Load(),
		OverageMessages:    n.overageMessages.Load(),
		OverageConnections: n.overageConnections.Load(),
		PeakConcurrent:     n.peak.Load(),
	}
}

// period is one app's counters for one calendar month.
type period struct {
	// Immutable after newPeriod made it.
	start, end int64  // unix seconds, end exclusive
	key        string // of the counts in the store

	// Any goroutine (atomic).
	counters          // this contributor's
	others   counters // the sum of shares

	// Guarded by the App's mu.
	adopted bool              // the counters include what the store held
	saved   Counts            // what the store holds now
	before  Counts            // what earlier runs have counted, as far as it is known here
	told    Counts            // what other nodes have been told
	shares  map[string]*share // of other contributors
}

// share is another contributor's part of a period.
type share struct {
	Counts
	saved Counts // what the store holds now
}

// newPeriod returns the empty period of app that holds now.
func newPeriod(app string, now time.Time) *period {
	start, end := month(now)
	return &period{start: start.Unix(), end: end.Unix(), key: recordKey(start, app), shares: make(map[string]*share)}
}

// recordKey orders records by month; the month has no blank in it, so that no
// two apps share a key.
func recordKey(start time.Time, app string) string {
	return start.Format("2006-01") + " " + app
}

func (p *period) holds(unix int64) bool { return p.start <= unix && unix < p.end }

// merge makes another contributor's counts at least c and reports true, or reports
// false when it is one contributor too many. The caller holds the App's mu.
func (p *period) merge(by string, c Counts) bool {
	s := p.shares[by]
	if s == nil {
		if len(p.shares) >= maxContributors {
			return false
		}
		s = &share{}
		p.shares[strings.Clone(by)] = s
	}
	c = c.max(s.Counts)
	p.others.add(c.since(s.Counts))
	s.Counts = c
	return true
}

// adopt adds what the store held: own counts, and those of other contributors. A
// share under id is no other's: an earlier run, of the same directory, has told
// it. The caller holds the App's mu.
func (p *period) adopt(own Counts, shares map[string]Counts, id string) {
	p.saved, p.adopted = own, true
	for by, c := range shares {
		if p.merge(by, c) {
			p.shares[by].saved = c
		}
	}
	if s := p.shares[id]; s != nil {
		own = own.max(s.Counts)
		p.others.add(Counts{}.since(s.Counts))
		delete(p.shares, id)
	}
	p.before = own
	p.add(own)
}

// regain takes over what others know of this contributor's counts. What is higher than
// what this run has told them an earlier one has told, which a kill has cost some of it;
// what this one has counted since comes on top. The caller holds the App's mu.
func (p *period) regain(c Counts) {
	c = p.before.max(c.beyond(p.told))
	p.add(c.since(p.before))
	p.before = c
}
