package session

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signalbox/engine/auth"
	"signalbox/protocol"
)

// alone is a hub of one loop, driven by the test.
type alone struct {
	*Hub
	loop *Loop
	flag flag
}

func newAlone(t *testing.T, limits Limits) *alone {
	h := testHub(t, 1, limits)
	a := &alone{Hub: h, loop: h.Loop(0)}
	a.loop.Bind(&a.flag)
	a.loop.Start()
	t.Cleanup(func() { a.loop.timers.alarm.Stop() })
	return a
}

// pass lets time pass, with a turn whenever one is due.
func (a *alone) pass(d time.Duration) {
	const step = 10 * time.Millisecond
	for ; d >= 0; d -= step {
		time.Sleep(min(d, step))
		for synctest.Wait(); a.flag.up.Swap(false); synctest.Wait() {
			a.loop.Turn()
		}
	}
}

func (a *alone) open(id *auth.Identity) *wire {
	w := new(wire)
	w.session = a.loop.Open(w, id, nil)
	return w
}

// closeCode returns the code of the close frame that was written last, or 0.
func (w *wire) closeCode() (code int) {
	for _, s := range w.take() {
		if s.op == 8 {
			code = int(binary.BigEndian.Uint16(s.payload))
		}
	}
	return code
}

func TestExpiry(t *testing.T) {
	for _, tc := range []struct {
		name string
		life int64 // s
	}{{"soon", 1}, {"in a minute", 60}, {"in ten minutes", 600}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits := testLimits()
				limits.PingInterval = 48 * time.Hour
				a := newAlone(t, limits)
				id := identify(t, a.Keys(), "p", "", all, tc.life)
				w := a.open(id)
				a.pass(time.Until(time.Unix(id.ExpiresAt, 0)) - (expiryLead+1)*time.Millisecond)
				if w.over {
					t.Fatal("closed too early")
				}
				a.pass((sweepEvery + 2) * time.Millisecond)
				if got := w.closeCode(); got != int(protocol.CloseTokenExpired) {
					t.Errorf("got %d, want 4002", got)
				}
			})
		})
	}
}

func TestInactivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits()
		limits.PingInterval = 30 * time.Second
		a := newAlone(t, limits)
		silent := a.open(identify(t, a.Keys(), "silent", "", all, 86400))
		lively := a.open(identify(t, a.Keys(), "lively", "", all, 86400))
		start, pings := time.Now(), 0
		for time.Since(start) < 5*time.Minute {
			a.pass(time.Second)
			for _, s := range lively.take() {
				if s.op != 9 {
					continue
				}
				if pings++; pings == 1 && (time.Since(start) < 15*time.Second || time.Since(start) > 34*time.Second) {
					t.Errorf("the first ping after %v", time.Since(start))
				}
				lively.feed(clientFrame(10, nil))
			}
			if since := time.Since(start); silent.over && since < 60*time.Second || !silent.over && since > 61*time.Second {
				t.Fatalf("after %v: closed %v", since, silent.over)
			}
		}
		if got := silent.closeCode(); got != int(protocol.CloseInactive) {
			t.Errorf("got %d, want 4000", got)
		}
		if lively.over || pings < 8 || pings > 12 {
			t.Errorf("who answers: closed %v after %d pings", lively.over, pings)
		}
	})
}

// TestStandstill: time in which the loop heard nobody is nobody's silence.
func TestStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits()
		limits.PingInterval = 30 * time.Second
		a := newAlone(t, limits)
		w := a.open(identify(t, a.Keys(), "p", "", all, 86400))
		a.pass(10 * time.Second)
		w.take()
		time.Sleep(10 * time.Minute) // without a turn
		a.pass(time.Second)
		if got := w.take(); w.over || len(got) != 1 || got[0].op != 9 {
			t.Fatalf("after a standstill: closed %v, got %v, want one ping", w.over, got)
		}
		a.pass(48 * time.Second)
		if w.over {
			t.Fatal("closed before two intervals of silence")
		}
		a.pass(3 * time.Second)
		if got := w.closeCode(); got != int(protocol.CloseInactive) {
			t.Errorf("got %d, want 4000", got)
		}
	})
}

func TestKeysTakenAway(t *testing.T) {
	for _, tc := range []struct {
		name, from, to string
		want           protocol.CloseCode
	}{
		{"nothing changes", "", "", 0},
		{"a key is revoked", "send]", "send], revoked: true", protocol.CloseUnauthorized},
		{"a key is gone", "00000001, secret", "00000002, secret", protocol.CloseUnauthorized},
		{"the app is suspended", "app_one", "app_one\n    suspended: true", protocol.CloseSuspended},
		{"the app is gone", "app_one", "app_two", protocol.CloseSuspended},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAlone(t, testLimits())
				w := a.open(identify(t, a.Keys(), "p", "", all, 86400))
				keys, err := auth.Parse("apps.yaml", []byte(strings.Replace(testApps, tc.from, tc.to, 1)))
				if err != nil {
					t.Fatal(err)
				}
				a.SetKeys(keys)
				a.pass(time.Second)
				if got := w.closeCode(); got != int(tc.want) {
					t.Errorf("got %d, want %d", got, tc.want)
				}
			})
		})
	}
}

// TestManyEndTogether: of sessions that come to their ends at the same time a turn
// closes a batch, and yet all are closed in time.
func TestManyEndTogether(t *testing.T) {
	const sessions, life = 10 * closeBatch, 60 * time.Second
	for _, tc := range []struct {
		name string
		wait time.Duration // until the end is near
		end  func(t *testing.T, a *alone)
		want protocol.CloseCode
	}{
		{"tokens run out", life - (expiryLead+1)*time.Millisecond, func(*testing.T, *alone) {}, protocol.CloseTokenExpired},
		{"a key is revoked", time.Second, func(t *testing.T, a *alone) {
			keys, err := auth.Parse("apps.yaml", []byte(strings.Replace(testApps, "send]", "send], revoked: true", 1)))
			if err != nil {
				t.Fatal(err)
			}
			a.SetKeys(keys)
		}, protocol.CloseUnauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits := testLimits()
				limits.PingInterval = time.Hour
				a := newAlone(t, limits)
				var wires []*wire
				closed := 0 // in this turn
				for i := range sessions {
					w := a.open(identify(t, a.Keys(), fmt.Sprint("p", i), "", all, int64(life/time.Second)))
					w.take()
					w.ended = func() { closed++ }
					wires = append(wires, w)
				}
				a.pass(tc.wait)
				tc.end(t, a)
				for range expiryLead { // 1 ms each, to the end of the tokens
					for synctest.Wait(); a.flag.up.Swap(false); synctest.Wait() {
						closed = 0
						a.loop.Turn()
						if closed > closeBatch {
							t.Fatalf("%d sessions are closed in a turn, want %d at most", closed, closeBatch)
						}
					}
					time.Sleep(time.Millisecond)
				}
				for i, w := range wires {
					if got := w.closeCode(); got != int(tc.want) {
						t.Fatalf("session %d: got %d, want %d", i, got, tc.want)
					}
				}
			})
		})
	}
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlone(t, testLimits())
		var wires []*wire
		for i := range 200 {
			wires = append(wires, a.open(identify(t, a.Keys(), fmt.Sprint("p", i), "", all, 86400)))
		}
		drainedC := make(chan struct{})
		go func() {
			a.Drain(t.Context(), 10*time.Second)
			close(drainedC)
		}()
		a.pass(time.Second) // more than enough for so few
		<-drainedC
		waits := map[string]bool{}
		for i, w := range wires {
			var got []string
			for _, s := range w.take() {
				switch {
				case s.op == 8:
					got = append(got, fmt.Sprint(binary.BigEndian.Uint16(s.payload)))
				case strings.Contains(string(s.payload), "going_away"):
					got = append(got, "going_away")
					waits[string(s.payload)] = true
				}
			}
			if !slices.Equal(got, []string{"going_away", "1001"}) {
				t.Fatalf("session %d: got %v", i, got)
			}
		}
		if len(waits) < 100 {
			t.Errorf("200 sessions were told %d different times to come back", len(waits))
		}
	})
}

// TestPostIsSeenByBegin has one poster stop between putting its task and waking
// the loop: another's task that came behind must be run all the same.
func TestPostIsSeenByBegin(t *testing.T) {
	l := testHub(t, 1, testLimits()).Loop(0)
	l.Bind(new(flag))
	var ran string
	l.inbox.put(func(*Loop) { ran += "a" })
	l.Post(func(*Loop) { ran += "b" })
	if l.Begin(); ran != "ab" {
		t.Errorf("got %q, want %q", ran, "ab")
	}
}

// TestTimerOrder takes timers, set in any order, out by their times, those of
// one time in the order in which they were set.
func TestTimerOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var q timerQueue
		var want []timer // in order
		take := func() {
			if got := q.pop(); got.at != want[0].at || got.nth != want[0].nth {
				t.Fatalf("got timer %d at %d, want %d at %d", got.nth, got.at, want[0].nth, want[0].at)
			}
			want = want[1:]
		}
		for nth := range uint64(random.IntN(100)) {
			next := timer{at: random.Int64N(20), nth: nth}
			q.push(next)
			want = append(want, next)
			slices.SortStableFunc(want, func(a, b timer) int { return cmp.Compare(a.at, b.at) })
			if random.IntN(4) == 0 {
				take()
			}
		}
		for len(want) > 0 {
			take()
		}
		if len(q) > 0 {
			t.Fatalf("%d timers are left", len(q))
		}
	}
}
