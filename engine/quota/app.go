package quota

import (
	"sync"
	"sync/atomic"
	"time"

	"signalbox/engine/auth"
)

// App is one app's counters and the limits they are held to. It is the same
// App for as long as the process runs, over every reload of the apps file.
// All methods may be called from any goroutine.
type App struct {
	// Immutable after Ledger.App made it.
	id     string
	ledger *Ledger

	// Any goroutine (atomic).
	limits      atomic.Pointer[limits]
	connections atomic.Int64 // open here
	elsewhere   atomic.Int64 // open on other nodes
	current     atomic.Pointer[period]

	// Guarded by mu.
	mu      sync.Mutex
	periods []*period // every month counted in since the start, current included
	told    int64     // the open connections that other nodes know of
}

// limits is the part of a plan that counting needs. 0 is no limit.
type limits struct {
	connections int64
	messages    int64
	overages    bool // allowed and enabled
}

// SetPlan replaces the limits. Counts stay; sockets already open stay open.
func (a *App) SetPlan(p auth.Plan) {
	a.limits.Store(&limits{
		connections: p.MaxConcurrentConnections,
		messages:    p.MaxMessagesPerPeriod,
		overages:    p.OveragesAllowed && p.OveragesEnabled,
	})
}

// Connect counts a new connection and reports true, or reports false and
// counts nothing when the app is at its limit without overages. Each true is
// owed one Disconnect.
func (a *App) Connect() bool {
	lim := a.limits.Load()
	for { // a failed swap means that another goroutine got on
		n := a.connections.Load()
		total := n + a.elsewhere.Load()
		over := lim.connections > 0 && total >= lim.connections
		if over && !lim.overages {
			return false
		}
		if !a.connections.CompareAndSwap(n, n+1) {
			continue
		}
		p := a.period(a.ledger.clock())
		if over {
			p.overageConnections.Add(1)
		}
		p.raisePeak(total + 1)
		return true
	}
}

// Disconnect takes back what one Connect counted.
func (a *App) Disconnect() { a.connections.Add(-1) }

// Message counts an attempt to publish or send and reports whether it may go
// on: false when the period's limit is used up and there are no overages.
func (a *App) Message() bool {
	lim := a.limits.Load()
	p := a.period(a.ledger.clock())
	n := p.messages.Add(1)
	if lim.messages == 0 || n+p.others.messages.Load() <= lim.messages {
		return true
	}
	if !lim.overages {
		return false
	}
	p.overageMessages.Add(1)
	return true
}

// Usage returns the use in the period that holds now.
func (a *App) Usage(now time.Time) Usage {
	p := a.period(now)
	n := a.concurrent()
	// A connect that met the month's end may have raised only the old peak.
	p.raisePeak(n)
	own, others := p.counts(), p.others.counts()
	return Usage{
		PeriodStartUnix:    p.start,
		PeriodEndUnix:      p.end,
		ConcurrentNow:      n,
		PeakConcurrent:     max(own.PeakConcurrent, others.PeakConcurrent),
		MessagesUsed:       own.Messages + others.Messages,
		OverageMessages:    own.OverageMessages + others.OverageMessages,
		OverageConnections: own.OverageConnections + others.OverageConnections,
	}
}

// period returns the counters of the month that holds now.
func (a *App) period(now time.Time) *period {
	if p := a.current.Load(); p != nil && p.holds(now.Unix()) {
		return p
	}
	return a.roll(now)
}

// roll makes the month that holds now the current one.
func (a *App) roll(now time.Time) *period {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.open(now)
	p.raisePeak(a.concurrent())
	a.current.Store(p)
	return p
}

// open returns the month that holds now: one that is in memory, counted in before
// the clock went back or told by another node, else one that starts from the
// store. The caller holds mu.
func (a *App) open(now time.Time) *period {
	p := a.known(now.Unix())
	if p == nil {
		p = newPeriod(a.id, now)
		a.periods = append(a.periods, p)
		if err := a.adopt(p); err != nil {
			// Counting starts from zero; flush adds the stored counts later.
			a.ledger.report(err)
		}
	}
	return p
}

// known returns the period in memory that holds the instant, or nil. The
// caller holds mu.
func (a *App) known(unix int64) *period {
	for _, p := range a.periods {
		if p.holds(unix) {
			return p
		}
	}
	return nil
}

// adopt adds to p what the store holds for its month. The caller holds mu.
func (a *App) adopt(p *period) error {
	s := a.ledger.store.Load()
	if p.adopted || s == nil {
		return nil
	}
	own, shares, err := (*s).load(p.key)
	if err != nil {
		return err
	}
	p.adopt(own, shares, (*s).id())
	return nil
}

// changes appends to rows a row for each share whose counts differ from what the
// store holds. A period that cannot be adopted is left out, lest it overwrite a
// larger count, and the error is returned.
func (a *App) changes(rows []row) ([]row, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var failure error
	for _, p := range a.periods {
		if err := a.adopt(p); err != nil {
			failure = err
			continue
		}
		if p == a.current.Load() {
			p.raisePeak(a.concurrent())
		}
		if c := p.counts(); c != p.saved {
			rows = append(rows, row{app: a, period: p, counts: c})
		}
		for by, s := range p.shares {
			if s.Counts != s.saved {
				rows = append(rows, row{app: a, period: p, by: by, counts: s.Counts})
			}
		}
	}
	return rows, failure
}

// stored notes that the store now holds r.
func (a *App) stored(r row) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.by == "" {
		r.period.saved = r.counts
	} else {
		r.period.shares[r.by].saved = r.counts
	}
}
