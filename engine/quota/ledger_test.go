package quota

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"signalbox/engine/auth"
)

func TestUsageSurvivesRestart(t *testing.T) {
	dir, clock := t.TempDir(), clockAt(t, "2026-03-10T12:00:00Z")
	l := openLedger(t, dir, clock)
	a := l.App("app_a")
	a.SetPlan(auth.Plan{MaxMessagesPerPeriod: 3, MaxConcurrentConnections: 1, OveragesAllowed: true, OveragesEnabled: true})
	messages(a, 5)
	a.Connect()
	a.Connect()
	messages(l.App("app_b"), 1)
	closeLedger(t, l)

	l = openLedger(t, dir, clock)
	defer closeLedger(t, l)
	want := Usage{PeriodStartUnix: 1772323200, PeriodEndUnix: 1775001600, PeakConcurrent: 2, MessagesUsed: 5, OverageMessages: 2, OverageConnections: 1}
	if got := l.App("app_a").Usage(clock.now); got != want {
		t.Errorf("app_a: Usage = %+v, want %+v", got, want)
	}
	if got := l.App("app_b").Usage(clock.now).MessagesUsed; got != 1 {
		t.Errorf("app_b: used = %d, want 1", got)
	}
}

// fakeStore is a store in memory whose disk can be full.
type fakeStore struct {
	mu      sync.Mutex
	records map[string]Counts
	full    bool // save fails
	broken  bool // load fails
	saves   int
}

func (s *fakeStore) id() string { return "AAAAAAAAAAAAAAAAAAAAAAAAAA" }

func (s *fakeStore) load(key string) (Counts, map[string]Counts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return Counts{}, nil, syscall.EIO
	}
	return s.records[key], nil, nil
}

func (s *fakeStore) save(rows []row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves++
	if s.full {
		return syscall.ENOSPC
	}
	for _, r := range rows {
		s.records[r.period.key] = r.counts
	}
	return nil
}

func (s *fakeStore) close() error { return nil }

func (s *fakeStore) set(full, broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full, s.broken = full, broken
}

func (s *fakeStore) messages(key string) (count int64, saves int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[key].Messages, s.saves
}

const marchA = "2026-03 app_a"

// runFake runs f beside a ledger over a fake store in a bubble with its own
// time, and returns what was logged. f moves time with step.
func runFake(t *testing.T, f func(l *Ledger, s *fakeStore, step func())) string {
	t.Helper()
	var logged bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{records: make(map[string]Counts)}
		l := newLedger(s, clockAt(t, "2026-03-10T12:00:00Z").Now)
		l.LogTo(slog.New(slog.NewTextHandler(&logged, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { l.Run(ctx) })
		f(l, s, func() {
			wait, stop := context.WithTimeout(ctx, 2*flushInterval)
			defer stop()
			<-wait.Done()
			synctest.Wait()
		})
		cancel()
		wg.Wait()
	})
	return logged.String()
}

func TestRunStoresChangesOnly(t *testing.T) {
	logged := runFake(t, func(l *Ledger, s *fakeStore, step func()) {
		messages(l.App("app_a"), 3)
		step()
		count, saves := s.messages(marchA)
		if count != 3 || saves != 1 {
			t.Errorf("stored, saves = %d, %d, want 3, 1", count, saves)
		}
		step()
		if _, saves = s.messages(marchA); saves != 1 {
			t.Errorf("saves without a change = %d, want still 1", saves)
		}
		messages(l.App("app_a"), 1)
		step()
		if count, saves = s.messages(marchA); count != 4 || saves != 2 {
			t.Errorf("stored, saves = %d, %d, want 4, 2", count, saves)
		}
	})
	if logged != "" {
		t.Errorf("logged %q, want nothing", logged)
	}
}

func TestFullDisk(t *testing.T) {
	logged := runFake(t, func(l *Ledger, s *fakeStore, step func()) {
		a := l.App("app_a")
		s.set(true, false)
		for range 5 {
			if !a.Message() {
				t.Error("message refused because the disk is full")
			}
			step()
		}
		if _, saves := s.messages(marchA); saves < 5 {
			t.Errorf("tries = %d, want one an interval", saves)
		}
		s.set(false, false)
		step()
		if count, _ := s.messages(marchA); count != 5 {
			t.Errorf("stored once there is room = %d, want 5", count)
		}
	})
	if got := strings.Count(logged, "cannot be stored"); got != 1 {
		t.Errorf("logged the failure %d times, want once:\n%s", got, logged)
	}
	if got := strings.Count(logged, "stored again"); got != 1 {
		t.Errorf("logged the recovery %d times, want once:\n%s", got, logged)
	}
}

func TestUnreadableRecordIsNeverOverwritten(t *testing.T) {
	runFake(t, func(l *Ledger, s *fakeStore, step func()) {
		s.records[marchA] = Counts{Messages: 100}
		s.set(false, true)
		a := l.App("app_a")
		messages(a, 5)
		step()
		if count, _ := s.messages(marchA); count != 100 {
			t.Errorf("stored = %d, want 100 untouched", count)
		}
		s.set(false, false)
		step()
		if count, _ := s.messages(marchA); count != 105 {
			t.Errorf("stored = %d, want 105", count)
		}
		if got := a.Usage(l.clock()).MessagesUsed; got != 105 {
			t.Errorf("used = %d, want 105", got)
		}
	})
}

func TestCloseReportsFailure(t *testing.T) {
	s := &fakeStore{records: make(map[string]Counts), full: true}
	l := newLedger(s, clockAt(t, "2026-03-10T12:00:00Z").Now)
	messages(l.App("app_a"), 1)
	if err := l.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Close = %v, want ENOSPC", err)
	}
}

func TestCountingWhileFlushing(t *testing.T) {
	clock := clockAt(t, "2026-03-10T12:00:00Z")
	dir := t.TempDir()
	l := openLedger(t, dir, clock)
	a := l.App("app_a")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { messages(a, 2000) })
	}
	for range 20 {
		if err := l.flush(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	closeLedger(t, l)
	l = openLedger(t, dir, clock)
	defer closeLedger(t, l)
	if got := l.App("app_a").Usage(clock.now).MessagesUsed; got != 8000 {
		t.Errorf("used = %d, want 8000", got)
	}
}
