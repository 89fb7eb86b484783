package quota

import (
	"crypto/rand"
	"strings"
	"time"
)

// maxContributors bounds the contributors to one app's month: nodes, and runs of
// nodes that have no data directory.
const maxContributors = 4096

// maxCount is the highest count taken from another node, so that no sum of
// them overflows.
const maxCount = 1 << 50

// Share is what one contributor has counted of one app in one month.
type Share struct {
	By    string // the contributor's id
	App   string
	Start int64 // of the month, unix seconds
	Counts
}

// Sockets is how many connections of an app are open on one node.
type Sockets struct {
	App  string
	Open int64
}

// idLength is the length of a contributor's id, in base32 text.
const idLength = 26

func newID() string { return rand.Text() }

func validID(id string) bool {
	return len(id) == idLength && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// valid reports whether another node can have told s at now: the clocks of two
// nodes may differ by some seconds, and so by a month.
func (s *Share) valid(now time.Time) bool {
	start, end := month(now)
	near := s.Start == start.Unix() || s.Start == end.Unix() || s.Start == start.AddDate(0, -1, 0).Unix()
	return near && validID(s.By) && s.Counts.valid() &&
		max(s.Messages, s.OverageMessages, s.OverageConnections, s.PeakConcurrent) <= maxCount
}

// ID returns the id under which this ledger contributes: the data directory's,
// or one of its own without a directory. It is empty as long as the directory is
// another process's, or has not been written to yet.
func (l *Ledger) ID() string {
	if s := l.store.Load(); s != nil {
		return (*s).id()
	}
	return l.id
}

// Changes returns what other nodes have not been told yet: this contributor's
// shares, and the connections open on this node, that have changed since the last
// call.
func (l *Ledger) Changes() (shares []Share, open []Sockets) {
	id := l.ID()
	for _, a := range l.snapshot() {
		shares, open = a.tell(shares, open, id)
	}
	return shares, open
}

// Told returns what Changes has told so far: this contributor's shares of the
// current month, and the connections of every app. With everybody, the shares of
// all other contributors come with them, for a node that knows nothing.
func (l *Ledger) Told(everybody bool) (shares []Share, open []Sockets) {
	id := l.ID()
	for _, a := range l.snapshot() {
		shares, open = a.tellAgain(shares, open, id, everybody)
	}
	return shares, open
}

// Merge takes over what another node has told of shares, in any order and any
// number of times. It returns how many it refused: malformed, of a month that is
// neither this one nor next to it, of an app that is not known here, or of one
// contributor too many. It keeps no memory of the shares' texts.
func (l *Ledger) Merge(shares []Share) (refused int) {
	now := l.clock()
	for i := range shares {
		s := &shares[i]
		a := l.known(s.App)
		if a == nil || !s.valid(now) || !a.merge(s) {
			refused++
		}
	}
	return refused
}

// tell appends what has changed of the app and notes it as told. The share of a
// month that could not be read from the store is left out: what an earlier run has
// told is more.
func (a *App) tell(shares []Share, open []Sockets, id string) ([]Share, []Sockets) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.connections.Load(); n != a.told {
		a.told = n
		open = append(open, Sockets{a.id, n})
	}
	if id == "" {
		return shares, open
	}
	for _, p := range a.periods {
		if c := p.counts(); c != p.told && a.whole(p) {
			p.told = c
			shares = append(shares, Share{By: id, App: a.id, Start: p.start, Counts: c})
		}
	}
	return shares, open
}

// tellAgain appends what has been told of the app and its current month.
func (a *App) tellAgain(shares []Share, open []Sockets, id string, everybody bool) ([]Share, []Sockets) {
	p := a.period(a.ledger.clock())
	a.mu.Lock()
	defer a.mu.Unlock()
	open = append(open, Sockets{a.id, a.told})
	if p.told != (Counts{}) {
		shares = append(shares, Share{By: id, App: a.id, Start: p.start, Counts: p.told})
	}
	if everybody {
		for by, s := range p.shares {
			shares = append(shares, Share{By: by, App: a.id, Start: p.start, Counts: s.Counts})
		}
	}
	return shares, open
}

// merge takes over a share and reports true, or reports false when there are too
// many. Of this contributor's own share others may know more: what a kill has
// cost an earlier run.
func (a *App) merge(s *Share) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.open(time.Unix(s.Start, 0))
	if s.By == a.ledger.ID() && a.whole(p) {
		p.regain(s.Counts)
		return true
	}
	return p.merge(s.By, s.Counts)
}

// whole reports whether p's counters hold all that this contributor has counted,
// as far as it is not lost. The caller holds mu.
func (a *App) whole(p *period) bool { return p.adopted || a.ledger.store.Load() == nil }
