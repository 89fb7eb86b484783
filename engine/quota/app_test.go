package quota

import (
	"sync"
	"sync/atomic"
	"testing"

	"signalbox/engine/auth"
)

func TestMessageLimits(t *testing.T) {
	tests := []struct {
		name        string
		plan        auth.Plan
		attempts    int
		wantAllowed int
		wantUsed    int64
		wantOverage int64
	}{
		{"unlimited", auth.Plan{}, 10, 10, 10, 0},
		{"below limit", auth.Plan{MaxMessagesPerPeriod: 3}, 2, 2, 2, 0},
		{"at limit", auth.Plan{MaxMessagesPerPeriod: 3}, 3, 3, 3, 0},
		{"over limit, refused attempts count", auth.Plan{MaxMessagesPerPeriod: 3}, 5, 3, 5, 0},
		{"allowed but not enabled", auth.Plan{MaxMessagesPerPeriod: 3, OveragesAllowed: true}, 5, 3, 5, 0},
		{"enabled but not allowed", auth.Plan{MaxMessagesPerPeriod: 3, OveragesEnabled: true}, 5, 3, 5, 0},
		{"overages", auth.Plan{MaxMessagesPerPeriod: 3, OveragesAllowed: true, OveragesEnabled: true}, 5, 5, 5, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clock := clockAt(t, "2026-03-10T12:00:00Z")
			a := openLedger(t, "", clock).App("app_a")
			a.SetPlan(tt.plan)
			allowed := 0
			for range tt.attempts {
				if a.Message() {
					allowed++
				}
			}
			u := a.Usage(clock.now)
			if allowed != tt.wantAllowed {
				t.Errorf("allowed = %d, want %d", allowed, tt.wantAllowed)
			}
			if u.MessagesUsed != tt.wantUsed || u.OverageMessages != tt.wantOverage {
				t.Errorf("used, overage = %d, %d, want %d, %d", u.MessagesUsed, u.OverageMessages, tt.wantUsed, tt.wantOverage)
			}
		})
	}
}

func TestConnectionLimits(t *testing.T) {
	over := auth.Plan{MaxConcurrentConnections: 2, OveragesAllowed: true, OveragesEnabled: true}
	tests := []struct {
		name  string
		plan  auth.Plan
		steps string // + Connect that must pass, ! Connect that must not, - Disconnect
		want  Usage
	}{
		{"unlimited", auth.Plan{}, "+++-", Usage{ConcurrentNow: 2, PeakConcurrent: 3}},
		{"at limit", auth.Plan{MaxConcurrentConnections: 2}, "++!!", Usage{ConcurrentNow: 2, PeakConcurrent: 2}},
		{"room again", auth.Plan{MaxConcurrentConnections: 2}, "++!-+!", Usage{ConcurrentNow: 2, PeakConcurrent: 2}},
		{"allowed but not enabled", auth.Plan{MaxConcurrentConnections: 1, OveragesAllowed: true}, "+!", Usage{ConcurrentNow: 1, PeakConcurrent: 1}},
		{"overages", over, "++++", Usage{ConcurrentNow: 4, PeakConcurrent: 4, OverageConnections: 2}},
		{"overages end below the limit", over, "+++--+", Usage{ConcurrentNow: 2, PeakConcurrent: 3, OverageConnections: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clock := clockAt(t, "2026-03-10T12:00:00Z")
			a := openLedger(t, "", clock).App("app_a")
			a.SetPlan(tt.plan)
			for i, step := range tt.steps {
				if step == '-' {
					a.Disconnect()
				} else if got, want := a.Connect(), step == '+'; got != want {
					t.Fatalf("step %d: Connect() = %v, want %v", i, got, want)
				}
			}
			got := a.Usage(clock.now)
			got.PeriodStartUnix, got.PeriodEndUnix = 0, 0
			if got != tt.want {
				t.Errorf("Usage = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestSetPlanKeepsCounts(t *testing.T) {
	clock := clockAt(t, "2026-03-10T12:00:00Z")
	l := openLedger(t, "", clock)
	a := l.App("app_a")
	a.SetPlan(auth.Plan{MaxMessagesPerPeriod: 2, MaxConcurrentConnections: 1})
	messages(a, 2)
	a.Connect()
	if a.Message() || a.Connect() {
		t.Fatal("over the limit and allowed")
	}
	a.SetPlan(auth.Plan{MaxMessagesPerPeriod: 4, MaxConcurrentConnections: 2})
	if !a.Message() || !a.Connect() {
		t.Error("refused below the raised limit")
	}
	if l.App("app_a") != a {
		t.Error("App returned another App for the same id")
	}
	if u := l.App("app_b").Usage(clock.now); u.MessagesUsed != 0 || u.ConcurrentNow != 0 {
		t.Errorf("another app's usage = %+v, want none", u)
	}
}

func TestConnectIsExactUnderContention(t *testing.T) {
	const limit, workers, rounds = 5, 16, 500
	clock := clockAt(t, "2026-03-10T12:00:00Z")
	a := openLedger(t, "", clock).App("app_a")
	a.SetPlan(auth.Plan{MaxConcurrentConnections: limit})
	var open, excess atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				if !a.Connect() {
					continue
				}
				if open.Add(1) > limit {
					excess.Add(1)
				}
				open.Add(-1)
				a.Disconnect()
			}
		})
	}
	wg.Wait()
	u := a.Usage(clock.now)
	if excess.Load() != 0 || u.ConcurrentNow != 0 || u.PeakConcurrent > limit {
		t.Errorf("excess, now, peak = %d, %d, %d, want 0, 0, at most %d", excess.Load(), u.ConcurrentNow, u.PeakConcurrent, limit)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	l := openLedger(t, "", clockAt(t, "2026-03-10T12:00:00Z"))
	a := l.App("app_a")
	a.SetPlan(auth.Plan{MaxMessagesPerPeriod: 10, MaxConcurrentConnections: 10})
	l.SetElsewhere(1, []Sockets{{"app_a", 2}})
	allocs := testing.AllocsPerRun(100, func() {
		a.Message()
		a.Connect()
		a.Disconnect()
	})
	if allocs != 0 {
		t.Errorf("allocations = %v, want 0", allocs)
	}
}

func benchmark(b *testing.B, f func(a *App)) {
	l, err := Open("", nil)
	if err != nil {
		b.Fatal(err)
	}
	a := l.App("app_a")
	a.SetPlan(auth.Plan{MaxMessagesPerPeriod: 1 << 50, MaxConcurrentConnections: 1 << 50})
	b.ReportAllocs()
	for b.Loop() {
		f(a)
	}
}

func BenchmarkMessage(b *testing.B) {
	benchmark(b, func(a *App) { a.Message() })
}

func BenchmarkConnect(b *testing.B) {
	benchmark(b, func(a *App) {
		a.Connect()
		a.Disconnect()
	})
}
