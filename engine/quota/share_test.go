package quota

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"signalbox/engine/auth"
)

const march = 1772323200

var idB = strings.Repeat("B", idLength)

// tell has from tell what has changed to all others.
func tell(t *testing.T, from *Ledger, to ...*Ledger) {
	t.Helper()
	shares, _ := from.Changes()
	for _, l := range to {
		if refused := l.Merge(shares); refused != 0 {
			t.Errorf("%d shares refused of %+v", refused, shares)
		}
	}
}

func used(l *Ledger, app string) int64 { return l.App(app).Usage(l.clock()).MessagesUsed }

func TestMergeRefuses(t *testing.T) {
	good := Share{By: idB, App: "app_a", Start: march, Counts: Counts{Messages: 1}}
	tests := []struct {
		name   string
		change func(s *Share)
		want   int
	}{
		{"nothing", func(*Share) {}, 0},
		{"month before", func(s *Share) { s.Start = 1769904000 }, 0},
		{"month after", func(s *Share) { s.Start = 1775001600 }, 0},
		{"two months before", func(s *Share) { s.Start = 1767225600 }, 1},
		{"two months after", func(s *Share) { s.Start = 1777593600 }, 1},
		{"no month's start", func(s *Share) { s.Start++ }, 1},
		{"no id", func(s *Share) { s.By = "" }, 1},
		{"short id", func(s *Share) { s.By = idB[1:] }, 1},
		{"long id", func(s *Share) { s.By += "B" }, 1},
		{"blank in id", func(s *Share) { s.By = " " + idB[1:] }, 1},
		{"blank inside id", func(s *Share) { s.By = idB[:9] + " " + idB[10:] }, 1},
		{"unknown app", func(s *Share) { s.App = "app_z" }, 1},
		{"negative messages", func(s *Share) { s.Messages = -1 }, 1},
		{"negative overage messages", func(s *Share) { s.OverageMessages = -1 }, 1},
		{"negative overage connections", func(s *Share) { s.OverageConnections = -1 }, 1},
		{"negative peak", func(s *Share) { s.PeakConcurrent = -1 }, 1},
		{"highest count", func(s *Share) { s.Messages = maxCount }, 0},
		{"count too high", func(s *Share) { s.Messages = maxCount + 1 }, 1},
		{"peak too high", func(s *Share) { s.PeakConcurrent = maxCount + 1 }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := openLedger(t, "", clockAt(t, "2026-03-10T12:00:00Z"))
			l.App("app_a")
			s := good
			tt.change(&s)
			if got := l.Merge([]Share{s}); got != tt.want {
				t.Errorf("refused = %d, want %d", got, tt.want)
			}
			if l.known("app_z") != nil {
				t.Error("another node has made an app")
			}
		})
	}
}

func TestContributorsAreBounded(t *testing.T) {
	l := openLedger(t, "", clockAt(t, "2026-03-10T12:00:00Z"))
	l.App("app_a")
	digits := strings.NewReplacer("0", "Q", "1", "R", "8", "S", "9", "T")
	shares := make([]Share, maxContributors+10)
	for i := range shares {
		id := digits.Replace(fmt.Sprintf("%0*d", idLength, i))
		shares[i] = Share{By: id, App: "app_a", Start: march, Counts: Counts{Messages: 1}}
	}
	if got := l.Merge(shares); got != 10 {
		t.Errorf("refused = %d, want 10", got)
	}
	if got := used(l, "app_a"); got != maxContributors {
		t.Errorf("used = %d, want %d", got, maxContributors)
	}
}

// TestLimitsOfAllNodes: what others have counted is used up here, too.
func TestLimitsOfAllNodes(t *testing.T) {
	clock := clockAt(t, "2026-03-10T12:00:00Z")
	for _, tt := range []struct {
		name        string
		plan        auth.Plan
		wantMessage bool
		want        Usage // on every node
	}{
		{"refused", auth.Plan{MaxMessagesPerPeriod: 5, MaxConcurrentConnections: 4}, false,
			Usage{ConcurrentNow: 4, PeakConcurrent: 4, MessagesUsed: 7}},
		{"overages", auth.Plan{MaxMessagesPerPeriod: 5, MaxConcurrentConnections: 4, OveragesAllowed: true, OveragesEnabled: true}, true,
			Usage{ConcurrentNow: 6, PeakConcurrent: 6, MessagesUsed: 7, OverageMessages: 2, OverageConnections: 2}},
		{"no limit", auth.Plan{}, true, Usage{ConcurrentNow: 6, PeakConcurrent: 6, MessagesUsed: 7}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nodes := []*Ledger{openLedger(t, "", clock), openLedger(t, "", clock)}
			gossip := func() {
				for i, l := range nodes {
					other := nodes[1-i]
					shares, open := l.Changes()
					other.Merge(shares)
					other.SetElsewhere(uint64(i), open)
				}
			}
			for i, l := range nodes {
				a := l.App("app_a")
				a.SetPlan(tt.plan)
				messages(a, 2+i)
				a.Connect()
				a.Connect()
			}
			gossip()
			for _, l := range nodes {
				if got := l.App("app_a").Message(); got != tt.wantMessage {
					t.Errorf("Message = %v, want %v", got, tt.wantMessage)
				}
				if got := l.App("app_a").Connect(); got != tt.wantMessage {
					t.Errorf("Connect = %v, want %v", got, tt.wantMessage)
				}
			}
			gossip()
			gossip() // a peak seen by the first alone
			for i, l := range nodes {
				got := l.App("app_a").Usage(clock.now)
				got.PeriodStartUnix, got.PeriodEndUnix = 0, 0
				if got != tt.want {
					t.Errorf("node %d: Usage = %+v, want %+v", i, got, tt.want)
				}
			}
		})
	}
}

// TestChangesAreToldOnce, and Told repeats them.
func TestChangesAreToldOnce(t *testing.T) {
	l := openLedger(t, "", clockAt(t, "2026-03-10T12:00:00Z"))
	l.App("app_idle")
	messages(l.App("app_a"), 3)
	l.App("app_b").Connect()
	shares, open := l.Changes()
	if len(shares) != 2 || !slices.Equal(open, []Sockets{{"app_b", 1}}) {
		t.Errorf("Changes = %+v, %v, want two shares and the connection of app_b", shares, open)
	}
	if shares, open = l.Changes(); len(shares) != 0 || len(open) != 0 {
		t.Errorf("Changes again = %+v, %v, want none", shares, open)
	}
	l.App("app_b").Disconnect()
	messages(l.App("app_a"), 1) // not told yet
	l.Merge([]Share{{By: idB, App: "app_a", Start: march, Counts: Counts{Messages: 9}}})
	shares, open = l.Told(false)
	if len(shares) != 2 || shares[0].Messages+shares[1].Messages != 3 || !slices.Contains(open, Sockets{"app_b", 1}) {
		t.Errorf("Told = %+v, %v, want what Changes told", shares, open)
	}
	if shares, _ = l.Told(true); len(shares) != 3 {
		t.Errorf("Told(everybody) = %+v, want three", shares)
	}
	shares, open = l.Changes()
	if len(shares) != 1 || shares[0].Messages != 4 || !slices.Equal(open, []Sockets{{"app_b", 0}}) {
		t.Errorf("Changes = %+v, %v, want app_a's 4 messages and that app_b has no connection", shares, open)
	}
}

// TestKilledNodeIsReminded: counts that a kill has cost a directory come back from
// the others, and echoes of its own count nothing twice.
func TestKilledNodeIsReminded(t *testing.T) {
	dir, clock := t.TempDir(), clockAt(t, "2026-03-10T12:00:00Z")
	l, other := openLedger(t, dir, clock), openLedger(t, "", clock)
	other.App("app_a")
	messages(l.App("app_a"), 5)
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	id := l.ID()
	messages(l.App("app_a"), 2)
	tell(t, l, other)
	kill(t, l)

	l = openLedger(t, dir, clock)
	if got := l.ID(); got != id || !validID(id) {
		t.Errorf("id = %q, was %q", got, id)
	}
	if got := used(l, "app_a"); got != 5 {
		t.Errorf("used after the kill = %d, want 5", got)
	}
	for range 2 {
		shares, _ := other.Told(true)
		l.Merge(shares)
		messages(l.App("app_a"), 1)
		tell(t, l, other)
	}
	if got := used(l, "app_a"); got != 9 {
		t.Errorf("used once reminded = %d, want 9", got)
	}
	if got := used(other, "app_a"); got != 9 {
		t.Errorf("used as the other has it = %d, want 9", got)
	}
	closeLedger(t, l)
	l = openLedger(t, dir, clock)
	defer closeLedger(t, l)
	if got := used(l, "app_a"); got != 9 {
		t.Errorf("used as stored = %d, want 9", got)
	}
}

// kill ends a ledger as kill -9 does: what is not stored is lost.
func kill(t *testing.T, l *Ledger) {
	t.Helper()
	if s := l.store.Load(); s != nil {
		if err := (*s).close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHoldInCluster: a successor hears from others what its predecessor counts,
// and takes that for its own once it has the directory.
func TestHoldInCluster(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed=%v", killed), func(t *testing.T) {
			dir, clock := t.TempDir(), clockAt(t, "2026-03-10T12:00:00Z")
			old, other := openLedger(t, dir, clock), openLedger(t, "", clock)
			messages(old.App("app_a"), 5)
			messages(other.App("app_a"), 100)
			if err := old.flush(); err != nil {
				t.Fatal(err)
			}
			next := Hold(dir, clock.Now)
			messages(next.App("app_a"), 1000)
			messages(old.App("app_a"), 2)
			tell(t, other, old, next)
			tell(t, old, other, next)
			if shares, _ := next.Changes(); len(shares) != 0 || next.ID() != "" {
				t.Errorf("a held ledger tells %+v", shares)
			}
			if got := used(next, "app_a"); got != 1107 {
				t.Errorf("held: used = %d, want 1107", got)
			}
			if killed {
				kill(t, old)
			} else {
				closeLedger(t, old)
			}
			if err := next.Attach(); err != nil {
				t.Fatal(err)
			}
			tell(t, next, other)
			if shares, _ := next.Told(true); len(shares) != 2 {
				t.Errorf("attached: Told = %+v, want two contributors", shares)
			}
			shares, _ := other.Told(true)
			next.Merge(shares)
			for name, l := range map[string]*Ledger{"attached": next, "other": other} {
				if got := used(l, "app_a"); got != 1107 {
					t.Errorf("%s: used = %d, want 1107", name, got)
				}
			}
			closeLedger(t, next)
			next = openLedger(t, dir, clock)
			defer closeLedger(t, next)
			if got := used(next, "app_a"); got != 1107 {
				t.Errorf("stored: used = %d, want 1107", got)
			}
		})
	}
}

// TestSharesAreStored: a node that alone is left knows what all have counted, also
// of apps whose names begin alike.
func TestSharesAreStored(t *testing.T) {
	dir, clock := t.TempDir(), clockAt(t, "2026-03-10T12:00:00Z")
	apps := []string{"app", "app_a", "app " + idB}
	l := openLedger(t, dir, clock)
	want := make(map[string]Usage)
	for i, app := range apps {
		messages(l.App(app), i)
		l.Merge([]Share{{By: idB, App: app, Start: march, Counts: Counts{int64(10 + i), 2, 3, 4}}})
	}
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	for i, app := range apps {
		l.Merge([]Share{{By: idB, App: app, Start: march, Counts: Counts{int64(100 + i), 1, 3, 5}}})
		want[app] = l.App(app).Usage(clock.now)
		if got := want[app].MessagesUsed; got != int64(100+2*i) {
			t.Errorf("%q: used = %d, want %d", app, got, 100+2*i)
		}
	}
	closeLedger(t, l)
	l = openLedger(t, dir, clock)
	defer closeLedger(t, l)
	for _, app := range apps {
		if got := l.App(app).Usage(clock.now); got != want[app] {
			t.Errorf("%q: Usage = %+v, want %+v", app, got, want[app])
		}
	}
	if rows, err := l.App("app").changes(nil); len(rows) != 0 || err != nil {
		t.Errorf("changes after the restart = %+v, %v, want none", rows, err)
	}
}

// TestFileOfOneNode opens a file as versions without clusters have written it.
func TestFileOfOneNode(t *testing.T) {
	dir, clock := t.TempDir(), clockAt(t, "2026-03-10T12:00:00Z")
	db, err := bbolt.Open(filepath.Join(dir, fileName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return put(tx, bucketName, marchA, []byte(`{"messages":7,"overageMessages":2,"overageConnections":1,"peakConcurrent":3}`))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l := openLedger(t, dir, clock)
	defer closeLedger(t, l)
	if got := used(l, "app_a"); got != 7 {
		t.Errorf("used = %d, want 7", got)
	}
	if shares, _ := l.Changes(); len(shares) != 0 {
		t.Errorf("told %+v under an id that is not stored yet", shares)
	}
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	if shares, _ := l.Changes(); len(shares) != 1 || shares[0].Messages != 7 || !validID(shares[0].By) {
		t.Errorf("Changes = %+v, want the stored counts under a new id", shares)
	}
}

// TestUnreadableShareIsNotTold: counts without those of the store are no share, and
// what others remember of an earlier run is counted once.
func TestUnreadableShareIsNotTold(t *testing.T) {
	clock := clockAt(t, "2026-03-10T12:00:00Z")
	s := &fakeStore{records: map[string]Counts{marchA: {Messages: 100}}, broken: true}
	l := newLedger(s, clock.Now)
	messages(l.App("app_a"), 5)
	if shares, _ := l.Changes(); len(shares) != 0 {
		t.Errorf("Changes = %+v, want none", shares)
	}
	l.Merge([]Share{{By: s.id(), App: "app_a", Start: march, Counts: Counts{Messages: 103}}})
	if got := used(l, "app_a"); got != 108 {
		t.Errorf("used before the store is read = %d, want 108", got)
	}
	s.set(false, false)
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	if shares, _ := l.Changes(); len(shares) != 1 || shares[0].Messages != 108 || used(l, "app_a") != 108 {
		t.Errorf("Changes = %+v, used = %d, want 108", shares, used(l, "app_a"))
	}
}

// TestMonthsEnd: while the nodes' clocks stand in two months, each share counts in
// its own month everywhere.
func TestMonthsEnd(t *testing.T) {
	early, late := clockAt(t, "2026-03-31T23:59:59Z"), clockAt(t, "2026-04-01T00:00:00Z")
	a, b := openLedger(t, "", early), openLedger(t, "", late)
	messages(a.App("app_a"), 3)
	messages(b.App("app_a"), 4)
	tell(t, a, b)
	tell(t, b, a)
	messages(a.App("app_a"), 1)
	early.set(t, "2026-04-01T00:00:01Z")
	messages(a.App("app_a"), 1)
	tell(t, a, b) // March's last count, too
	for name, l := range map[string]*Ledger{"a": a, "b": b} {
		if got := l.App("app_a").Usage(late.now).MessagesUsed; got != 5 {
			t.Errorf("%s: April = %d, want 5", name, got)
		}
		late.set(t, "2026-03-31T00:00:00Z")
		if got := l.App("app_a").Usage(late.now).MessagesUsed; got != 4 {
			t.Errorf("%s: March = %d, want 4", name, got)
		}
		late.set(t, "2026-04-01T00:00:00Z")
	}
}

// TestKillIsMadeGood has a node be killed after it has told more than it had stored, and
// count on before it is told of it.
func TestKillIsMadeGood(t *testing.T) {
	for _, tt := range []struct {
		name              string
		before, told, new int // messages stored, told beyond that, and counted by the next run
		tells             bool
		want              int64
	}{
		{"nothing counted since", 100, 20, 0, false, 120},
		{"less than was lost", 100, 20, 15, false, 135},
		{"less than was lost, and told", 100, 20, 15, true, 135},
		{"more than was lost", 100, 20, 30, false, 150},
		{"more than was lost, and told: nobody knows any more", 100, 20, 30, true, 130},
		{"nothing was lost", 100, 0, 15, true, 115},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, clock := t.TempDir(), clockAt(t, "2026-03-10T12:00:00Z")
			other := openLedger(t, "", clock)
			other.App("app_a")
			l := openLedger(t, dir, clock)
			messages(l.App("app_a"), tt.before)
			if err := l.flush(); err != nil {
				t.Fatal(err)
			}
			messages(l.App("app_a"), tt.told)
			tell(t, l, other)
			kill(t, l)
			l = openLedger(t, dir, clock)
			defer closeLedger(t, l)
			messages(l.App("app_a"), tt.new)
			if tt.tells {
				tell(t, l, other)
			}
			for range 2 {
				shares, _ := other.Told(true)
				l.Merge(shares)
				tell(t, l, other)
			}
			if got := used(l, "app_a"); got != tt.want {
				t.Errorf("used = %d, want %d", got, tt.want)
			}
			if got := used(other, "app_a"); got != tt.want {
				t.Errorf("used elsewhere = %d, want %d", got, tt.want)
			}
		})
	}
}
