package quota

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// flushInterval is the time between two writes of changed counts. Twice a
// second leaves a slow fsync its time within the one second of counts that a
// kill may cost.
const flushInterval = 500 * time.Millisecond

// Ledger holds the counters of all apps. All methods may be called from any
// goroutine.
type Ledger struct {
	// Immutable after Open.
	clock func() time.Time
	dir   string // to be opened by Attach
	id    string // without a store

	// Any goroutine (atomic).
	store   atomic.Pointer[store] // nil: memory only, or not yet
	logger  atomic.Pointer[slog.Logger]
	failing atomic.Bool // the last use of the store failed, and was logged

	// Guarded by mu.
	mu        sync.Mutex
	apps      map[string]*App
	elsewhere map[uint64]map[string]int64 // open connections of other nodes, by app

	flushing sync.Mutex // held over one flush: two would write in either order
}

// row is one changed share on its way to the store.
type row struct {
	app    *App
	period *period
	by     string // empty: this contributor's
	counts Counts
}

// Open opens the ledger in the directory dir, which it makes when missing; an
// empty dir keeps counts in memory only. A nil clock is time.Now. Errors:
// [datafile.ErrInUse] when another process has the directory, [datafile.ErrDamaged] when the
// file in it cannot be read, else what the file system says.
func Open(dir string, clock func() time.Time) (*Ledger, error) {
	if dir == "" {
		l := newLedger(nil, clock)
		l.id = newID()
		return l, nil
	}
	s, err := openBolt(dir)
	if err != nil {
		return nil, err
	}
	return newLedger(s, clock), nil
}

// Hold returns a ledger for a directory that another process still has. It
// counts in memory until Attach.
func Hold(dir string, clock func() time.Time) *Ledger {
	l := newLedger(nil, clock)
	l.dir = dir
	return l
}

// Attach opens the directory of a ledger from Hold. What was counted is added to
// what the directory holds. Errors: as those of Open; it may be called again.
// Not after Close.
func (l *Ledger) Attach() error {
	if l.dir == "" {
		return nil
	}
	s, err := openBolt(l.dir)
	if err != nil {
		return err
	}
	l.keepIn(s)
	l.report(l.flush()) // what it holds counts from now on
	return nil
}

func newLedger(s store, clock func() time.Time) *Ledger {
	if clock == nil {
		clock = time.Now
	}
	l := &Ledger{clock: clock, apps: make(map[string]*App), elsewhere: make(map[uint64]map[string]int64)}
	if s != nil {
		l.keepIn(s)
	}
	return l
}

func (l *Ledger) keepIn(s store) { l.store.Store(&s) }

// LogTo makes the ledger report storage trouble to log instead of slog's
// default logger.
func (l *Ledger) LogTo(log *slog.Logger) { l.logger.Store(log) }

// App returns the counters of the app with this id, made on first use, with
// no limits until SetPlan.
func (l *Ledger) App(id string) *App {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.apps[id]
	if a == nil {
		a = &App{id: id, ledger: l}
		a.limits.Store(&limits{})
		a.roll(l.clock())
		l.apps[id] = a
	}
	return a
}

// Apps returns how many apps App has been asked for; it never shrinks.
func (l *Ledger) Apps() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.apps)
}

// known returns the counters of an app that App has been asked for, or nil.
func (l *Ledger) known(app string) *App {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.apps[app]
}

// Run writes changed counts to the store, twice a second, until ctx is done.
// Failures are logged, once for each run of them, and tried again.
func (l *Ledger) Run(ctx context.Context) {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.report(l.flush())
		}
	}
}

// Close writes what has changed and closes the store. Counting goes on in
// memory afterwards. Call it once, when Run has returned.
func (l *Ledger) Close() error {
	s := l.store.Load()
	if s == nil {
		return nil
	}
	return errors.Join(l.flush(), (*s).close())
}

// flush writes the shares that differ from the store, in one transaction.
func (l *Ledger) flush() error {
	s := l.store.Load()
	if s == nil {
		return nil
	}
	l.flushing.Lock()
	defer l.flushing.Unlock()
	var rows []row
	var failure error
	for _, a := range l.snapshot() {
		var err error
		if rows, err = a.changes(rows); err != nil {
			failure = err
		}
	}
	if len(rows) == 0 && (*s).id() != "" {
		return failure
	}
	if err := (*s).save(rows); err != nil {
		return err
	}
	for _, r := range rows {
		r.app.stored(r)
	}
	return failure
}

func (l *Ledger) snapshot() []*App {
	l.mu.Lock()
	defer l.mu.Unlock()
	apps := make([]*App, 0, len(l.apps))
	for _, a := range l.apps {
		apps = append(apps, a)
	}
	return apps
}

// report logs the first error of a run of errors, and the end of the run.
func (l *Ledger) report(err error) {
	if l.failing.Swap(err != nil) == (err != nil) {
		return
	}
	log := l.logger.Load()
	if log == nil {
		log = slog.Default()
	}
	if err != nil {
		log.Error("usage counts cannot be stored; counting in memory and trying again", "error", err)
		return
	}
	log.Info("usage counts are stored again")
}
