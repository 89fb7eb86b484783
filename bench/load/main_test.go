package load

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"signalbox/bench/client"
	"signalbox/bench/floor"
	"signalbox/bench/target"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testLimit is far more than any test takes.
const testLimit = time.Minute

// testContext ends with the test, and before the test's time is up.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	return ctx
}

// newFleet starts client loops for a test.
func newFleet(t *testing.T, loops int) *client.Fleet {
	t.Helper()
	f, err := client.NewFleet(loops)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// newFloor runs a bare hub for a test.
func newFloor(t *testing.T) *target.Target {
	t.Helper()
	s, err := floor.New()
	if err != nil {
		t.Fatal(err)
	}
	doneC := make(chan error, 1)
	go func() { doneC <- s.Run() }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-doneC; err != nil {
			t.Errorf("the floor ended with %v", err)
		}
	})
	return &target.Target{Name: "floor", Addr: s.Addr(), Dialect: &target.Hub{Host: s.Addr().String()}}
}
