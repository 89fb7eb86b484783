package session

import "testing"

// TestPostDuringTurn posts a task while a loop is at work on those before it,
// behind one that has woken the loop already: it is not left until somebody else
// wakes the loop.
func TestPostDuringTurn(t *testing.T) {
	h := testHub(t, 1, testLimits())
	l, up := h.Loop(0), new(flag)
	l.Bind(up)
	l.budget.tasks = 2
	done := 0
	count := func(*Loop) { done++ }
	l.Post(count)
	l.Post(count)
	l.Post(func(l *Loop) {
		done++
		l.Post(count) // the fifth
	})
	up.up.Store(false)
	l.Turn() // does two
	l.Post(count)
	for range 10 {
		if up.up.Swap(false) {
			l.Turn()
		}
	}
	if done != 5 {
		t.Errorf("got %d tasks done, want 5", done)
	}
}
