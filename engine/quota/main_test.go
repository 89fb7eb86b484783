package quota

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		os.Exit(countUntilKilled(dir))
	}
	goleak.VerifyTestMain(m)
}

// testClock is a wall clock that tests move by hand.
type testClock struct{ now time.Time }

func (c *testClock) Now() time.Time { return c.now }

func (c *testClock) set(t *testing.T, text string) {
	t.Helper()
	now, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	c.now = now
}

func clockAt(t *testing.T, text string) *testClock {
	t.Helper()
	c := &testClock{}
	c.set(t, text)
	return c
}

func openLedger(t *testing.T, dir string, c *testClock) *Ledger {
	t.Helper()
	l, err := Open(dir, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeLedger(t *testing.T, l *Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// messages counts n attempts.
func messages(a *App, n int) {
	for range n {
		a.Message()
	}
}
