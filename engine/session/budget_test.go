package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurnBudgets gives a loop much to do at once and counts what it does of it
// in each turn.
func TestTurnBudgets(t *testing.T) {
	const many = 2000
	open := func(a *alone, i int) *wire {
		return a.open(identify(t, a.Keys(), fmt.Sprint("p", i), "", all, 86400))
	}
	for _, tc := range []struct {
		name    string
		total   int
		most    int // a turn
		prepare func(a *alone, n *int)
		done    func(a *alone) int // counts instead of n; nil: n does
	}{
		{"tasks", many, usualBudget.tasks, func(a *alone, n *int) {
			for range many {
				a.loop.Post(func(*Loop) { *n++ })
			}
		}, nil},
		{"timers", many, usualBudget.tasks, func(a *alone, n *int) {
			for range many {
				a.loop.at(a.loop.now, func(*Loop) { *n++ })
			}
			a.loop.schedule()
		}, nil},
		{"timers that take long", many, usualBudget.tasks / 8, func(a *alone, n *int) {
			for range many {
				a.loop.at(a.loop.now, func(l *Loop) { *n++; l.left -= 7 })
			}
			a.loop.schedule()
		}, nil},
		{"corks", many, usualBudget.writes, func(a *alone, n *int) {
			for i := range many {
				w := open(a, i)
				w.written = func() { *n++ }
				w.session.putText(pongText)
			}
		}, nil},
		{"long corks", many, usualBudget.writes/(1+maxCork/writeBytes) + 1, func(a *alone, n *int) {
			for i := range many {
				w := open(a, i)
				w.written = func() { *n++ }
				w.session.put(make([]byte, maxCork))
			}
		}, nil},
		{"frames longer than a cork", 200, usualBudget.tasks/(1+64<<10/taskBytes) + 1, func(a *alone, n *int) {
			for i := range 200 {
				w := open(a, i)
				w.written = func() { *n++ }
				a.loop.Post(func(*Loop) { w.session.put(make([]byte, 64<<10)) })
			}
		}, nil},
		{"subscribers by pattern", many, usualBudget.writes, func(a *alone, n *int) {
			for i := range many {
				w := open(a, i)
				textTo(w, `{"type":"subscribe","channel":"w/*"}`)
				w.written = func() { *n++ }
			}
			a.flag.up.Store(false)
			from := open(a, many)
			textTo(from, `{"type":"publish","channel":"w/1","data":1}`)
		}, nil},
		{"subscriptions of sessions that are gone", 100 * 20, usualBudget.subs, func(a *alone, _ *int) {
			for i := range 100 {
				w := open(a, i)
				for k := range 20 {
					w.feed(clientFrame(1, fmt.Appendf(nil, `{"type":"subscribe","channel":"c%d"}`, k)))
				}
			}
			a.pass(time.Second)
			for _, s := range slices.Clone(a.loop.sessions) {
				s.conn.(*wire).vanish()
			}
		}, func(a *alone) int { return 100*20 - a.subscriptions() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAlone(t, testLimits())
				n := 0
				tc.prepare(a, &n)
				var each []int
				for before := 0; a.flag.up.Swap(false); before = n {
					a.loop.Turn()
					if tc.done != nil {
						n = tc.done(a)
					}
					if n > before {
						each = append(each, n-before)
					}
				}
				total := 0
				for _, k := range each {
					total += k
				}
				if total != tc.total || slices.Max(each) > tc.most || len(each) > tc.total/tc.most+2 {
					t.Errorf("got %v in all, by turn %v; want %d, at most %d a turn", total, each, tc.total, tc.most)
				}
			})
		})
	}
}

// subscriptions counts the loop's.
func (a *alone) subscriptions() (n int) {
	for _, s := range a.loop.sessions {
		if s != nil {
			n += len(s.subs)
		}
	}
	return n
}

// TestTurnDoesWhatItBegins has a turn tell a delta, which goes by the subscriber's
// cork: nothing is left over, so no other turn is asked for.
func TestTurnDoesWhatItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlone(t, testLimits())
		ann := a.open(identify(t, a.Keys(), "ann", "", all, 86400))
		textTo(ann, `{"type":"subscribe","channel":"c"}`)
		a.pass(time.Second)
		ann.take()
		bob := a.open(identify(t, a.Keys(), "bob", "", all, 86400))
		textTo(bob, `{"type":"subscribe","channel":"c"}`)
		a.flag.up.Store(false)
		a.loop.Turn()
		if got := ann.take(); len(got) != 1 || a.flag.up.Load() {
			t.Errorf("got %d frames, and another turn asked for: %v; want 1, false", len(got), a.flag.up.Load())
		}
	})
}

// TestInputComesBehindTasks has input arrive behind more tasks than a turn runs:
// it is dealt with once those are done that were posted before it was read.
func TestInputComesBehindTasks(t *testing.T) {
	const tasks = 1000
	ping := clientFrame(1, []byte(`{"type":"ping"}`))
	for _, tc := range []struct {
		name string
		do   func(w *wire)
		want string // the number of tasks done when pongs come
	}{
		{"one read", func(w *wire) { w.feed(slices.Clone(ping)) }, "1000"},
		{"two reads", func(w *wire) {
			w.feed(slices.Clone(ping))
			w.session.loop.Post(func(*Loop) {})
			w.feed(slices.Clone(ping))
		}, "1001 1001"},
		{"lost meanwhile", func(w *wire) {
			w.feed(clientFrame(1, []byte(`{"type":"publish","channel":"c","data":1}`)))
			w.vanish()
		}, "1000"},
		{"too much of it", func(w *wire) {
			w.feed(slices.Clone(ping))
			w.session.Overflow()
		}, "1000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAlone(t, testLimits())
				w := a.open(identify(t, a.Keys(), "p", "", all, 86400))
				other := a.open(identify(t, a.Keys(), "q", "", all, 86400))
				other.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"c"}`)))
				a.pass(time.Second)
				w.take()
				other.take()
				for range tasks {
					a.loop.Post(func(*Loop) {})
				}
				start := a.loop.inbox.done
				var got []string
				look := func() {
					for range len(w.take()) + len(other.take()) {
						got = append(got, fmt.Sprint(a.loop.inbox.done-start))
					}
				}
				tc.do(w)
				for look(); a.flag.up.Swap(false); look() {
					a.loop.Turn()
				}
				if text := strings.Join(got, " "); text != tc.want {
					t.Errorf("got pongs or messages after %q tasks, want %q", text, tc.want)
				}
			})
		})
	}
}
