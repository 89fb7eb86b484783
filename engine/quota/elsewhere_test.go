package quota

import (
	"sync"
	"testing"
)

func TestElsewhere(t *testing.T) {
	clock := clockAt(t, "2026-03-10T12:00:00Z")
	tests := []struct {
		name      string
		do        func(l *Ledger)
		now, peak int64 // of app_a, with one connection here
	}{
		{"none", func(*Ledger) {}, 1, 1},
		{"two nodes", func(l *Ledger) {
			l.SetElsewhere(1, []Sockets{{"app_a", 3}})
			l.SetElsewhere(2, []Sockets{{"app_a", 4}})
		}, 8, 8},
		{"fewer", func(l *Ledger) {
			l.SetElsewhere(1, []Sockets{{"app_a", 3}})
			l.SetElsewhere(1, []Sockets{{"app_a", 2}})
		}, 3, 4},
		{"none any more", func(l *Ledger) {
			l.SetElsewhere(1, []Sockets{{"app_a", 3}})
			l.SetElsewhere(1, []Sockets{{"app_a", 0}})
		}, 1, 4},
		{"another app's", func(l *Ledger) {
			l.SetElsewhere(1, []Sockets{{"app_a", 3}})
			l.SetElsewhere(1, []Sockets{{"app_b", 5}})
		}, 4, 4},
		{"forgotten", func(l *Ledger) {
			l.SetElsewhere(1, []Sockets{{"app_a", 3}, {"app_b", 5}})
			l.SetElsewhere(2, []Sockets{{"app_a", 4}})
			l.Forget(1)
			l.Forget(1)
			l.Forget(3)
		}, 5, 8},
		{"nonsense", func(l *Ledger) {
			if got := l.SetElsewhere(1, []Sockets{{"app_a", -1}, {"app_z", 2}, {"app_a", maxCount + 1}, {"app_b", 1}}); got != 3 {
				t.Errorf("refused = %d, want 3", got)
			}
			l.Forget(1)
		}, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := openLedger(t, "", clock)
			l.App("app_b")
			l.App("app_a").Connect()
			tt.do(l)
			u := l.App("app_a").Usage(clock.now)
			if u.ConcurrentNow != tt.now || u.PeakConcurrent != tt.peak {
				t.Errorf("now, peak = %d, %d, want %d, %d", u.ConcurrentNow, u.PeakConcurrent, tt.now, tt.peak)
			}
			if l.known("app_z") != nil {
				t.Error("another node has made an app")
			}
		})
	}
}

// TestGossipWhileCounting: everything at once, for the race detector and for the
// sums.
func TestGossipWhileCounting(t *testing.T) {
	const each = 2000
	clock := clockAt(t, "2026-03-10T12:00:00Z")
	a, b := openLedger(t, t.TempDir(), clock), openLedger(t, t.TempDir(), clock)
	nodes := []*Ledger{a, b}
	for _, l := range nodes {
		l.App("app_a")
		if err := l.flush(); err != nil { // for its id
			t.Fatal(err)
		}
	}
	gossip := func(i int) {
		shares, open := nodes[i].Changes()
		nodes[1-i].Merge(shares)
		nodes[1-i].SetElsewhere(uint64(i), open)
		shares, open = nodes[i].Told(true)
		nodes[1-i].Merge(shares)
		nodes[1-i].SetElsewhere(uint64(i), open)
	}
	var wg sync.WaitGroup
	for i, l := range nodes {
		for range 2 {
			wg.Go(func() {
				for range each {
					l.App("app_a").Message()
					l.App("app_a").Connect()
					l.App("app_a").Usage(clock.now)
					l.App("app_a").Disconnect()
				}
			})
		}
		wg.Go(func() {
			for range 100 {
				gossip(i)
				if i == 0 {
					nodes[0].Forget(1)
				}
			}
		})
		wg.Go(func() {
			for range 5 {
				if err := l.flush(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for range 2 {
		gossip(0)
		gossip(1)
	}
	want := a.App("app_a").Usage(clock.now)
	if want.MessagesUsed != 4*each || want.ConcurrentNow != 0 {
		t.Errorf("Usage = %+v, want %d messages and no connection", want, 4*each)
	}
	if got := b.App("app_a").Usage(clock.now); got != want {
		t.Errorf("Usage of the other = %+v, want %+v", got, want)
	}
	closeLedger(t, a)
	closeLedger(t, b)
}
