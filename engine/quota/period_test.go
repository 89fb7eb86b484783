package quota

import (
	"testing"
	"time"
)

func TestMonth(t *testing.T) {
	tests := []struct{ name, at, start, end string }{
		{"middle", "2026-03-10T12:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"},
		{"first instant", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"},
		{"last second", "2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		{"leap day", "2028-02-29T08:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		{"year's end", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"UTC, not the zone of the clock", "2026-03-31T22:30:00-05:00", "2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			start, end := month(at)
			if got := start.Format(time.RFC3339); got != tt.start {
				t.Errorf("start = %s, want %s", got, tt.start)
			}
			if got := end.Format(time.RFC3339); got != tt.end {
				t.Errorf("end = %s, want %s", got, tt.end)
			}
		})
	}
}

func TestRollOver(t *testing.T) {
	type step struct {
		at    string
		count int
		want  int64 // used in the month of at, afterwards
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"next month starts at zero", []step{{"2026-01-31T23:59:59Z", 3, 3}, {"2026-02-01T00:00:00Z", 2, 2}}},
		{"months without use between", []step{{"2026-01-31T23:59:59Z", 3, 3}, {"2026-07-05T00:00:00Z", 2, 2}}},
		{"clock goes back within the month", []step{{"2026-01-20T00:00:00Z", 3, 3}, {"2026-01-02T00:00:00Z", 2, 5}}},
		{"clock goes back over the end and on again", []step{
			{"2026-01-31T23:59:59Z", 3, 3}, {"2026-02-01T00:00:00Z", 2, 2}, {"2026-01-31T23:59:58Z", 4, 7}, {"2026-02-01T00:00:00Z", 5, 7},
		}},
		{"a far jump and back", []step{{"2026-01-10T00:00:00Z", 3, 3}, {"2041-06-01T00:00:00Z", 1, 1}, {"2026-01-10T00:00:01Z", 1, 4}}},
		{"before the epoch", []step{{"1960-01-10T00:00:00Z", 3, 3}, {"2026-01-10T00:00:00Z", 1, 1}}},
	}
	for _, tt := range tests {
		for _, restart := range []bool{false, true} {
			name := tt.name
			if restart {
				name += ", restarting between"
			}
			t.Run(name, func(t *testing.T) {
				dir, clock := t.TempDir(), clockAt(t, tt.steps[0].at)
				l := openLedger(t, dir, clock)
				for _, s := range tt.steps {
					clock.set(t, s.at)
					messages(l.App("app_a"), s.count)
					if restart {
						closeLedger(t, l)
						l = openLedger(t, dir, clock)
					}
					if got := l.App("app_a").Usage(clock.now).MessagesUsed; got != s.want {
						t.Errorf("at %s: used = %d, want %d", s.at, got, s.want)
					}
				}
				closeLedger(t, l)
			})
		}
	}
}

func TestPeakIsPerPeriod(t *testing.T) {
	clock := clockAt(t, "2026-01-31T12:00:00Z")
	a := openLedger(t, "", clock).App("app_a")
	for range 3 {
		a.Connect()
	}
	a.Disconnect()
	if got := a.Usage(clock.now).PeakConcurrent; got != 3 {
		t.Errorf("January's peak = %d, want 3", got)
	}
	clock.set(t, "2026-02-01T00:00:00Z")
	if u := a.Usage(clock.now); u.PeakConcurrent != 2 || u.ConcurrentNow != 2 {
		t.Errorf("February's peak, now = %d, %d, want 2, 2", u.PeakConcurrent, u.ConcurrentNow)
	}
}

func TestRollOverUnderContention(t *testing.T) {
	// The clock advances an hour a call, over month ends, while others count.
	const workers, each = 8, 2000
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ticks := make(chan time.Time, 1)
	ticks <- start
	clock := func() time.Time {
		now := <-ticks
		ticks <- now.Add(time.Hour)
		return now
	}
	l, err := Open("", clock)
	if err != nil {
		t.Fatal(err)
	}
	a := l.App("app_a")
	done := make(chan struct{}, workers)
	for range workers {
		go func() {
			messages(a, each)
			done <- struct{}{}
		}()
	}
	for range workers {
		<-done
	}
	sum := int64(0)
	for _, p := range a.periods {
		sum += p.messages.Load()
	}
	if want := int64(workers * each); sum != want {
		t.Errorf("counted over all periods = %d, want %d", sum, want)
	}
}
