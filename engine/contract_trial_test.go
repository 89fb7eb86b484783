package engine_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// standstill is how long the clock may go on without this process before what a server makes of its clients in real time
// says nothing about it.
const standstill = 50 * time.Millisecond

// trial is a test that may be made again.
type trial struct {
	testing.TB

	mu sync.Mutex
	// Guarded by mu.
	failures []string
	cleanups []func()
}

// undisturbed makes a test of deadlines that the client keeps if nothing holds it up. One that fails while the machine
// stood still, which the client cannot help, is made again; n counts them.
func undisturbed(t *testing.T, try func(t testing.TB, n int)) {
	t.Helper()
	begun := time.Now()
	for n := 0; ; n++ {
		r := &trial{TB: t}
		stood := longestGap(func() { r.run(try, n) })
		failures := r.noted()
		if len(failures) == 0 {
			return
		}
		if stood < standstill || time.Since(begun) > 2*patience {
			t.Fatal(strings.Join(failures, "\n"))
		}
		t.Logf("made again, for the machine stood still for %v: %s", stood, failures[0])
	}
}

// run makes the test on a goroutine, which FailNow ends, and cleans up behind it.
func (r *trial) run(try func(t testing.TB, n int), n int) {
	doneC := make(chan struct{})
	go func() {
		defer close(doneC)
		try(r, n)
	}()
	<-doneC
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

// longestGap runs f and returns for how long at most the clock went on without this process meanwhile.
func longestGap(f func()) (longest time.Duration) {
	doneC, gapC := make(chan struct{}), make(chan time.Duration)
	begun := time.Now()
	go func() {
		tick := time.NewTicker(standstill / 10)
		defer tick.Stop()
		longest, last := time.Duration(0), begun
		for done := false; !done; {
			select {
			case <-tick.C:
			case <-doneC:
				done = true
			}
			now := time.Now()
			longest, last = max(longest, now.Sub(last)), now
		}
		gapC <- longest
	}()
	f()
	close(doneC)
	return <-gapC
}

func (r *trial) note(failure string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, failure)
}

func (r *trial) noted() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.failures)
}

func (r *trial) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *trial) Error(args ...any)                 { r.note(fmt.Sprint(args...)) }
func (r *trial) Errorf(format string, args ...any) { r.note(fmt.Sprintf(format, args...)) }

func (r *trial) Fatal(args ...any) {
	r.note(fmt.Sprint(args...))
	runtime.Goexit()
}

func (r *trial) Fatalf(format string, args ...any) {
	r.note(fmt.Sprintf(format, args...))
	runtime.Goexit()
}
