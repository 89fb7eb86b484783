package clustertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	// patience bounds every wait that no promise bounds: far above what anything
	// takes, because machines are noisy.
	patience = time.Minute
	// pollEvery is the time between looks at what tells nobody when it changes.
	pollEvery = 10 * time.Millisecond
)

// What is promised. What the race detector slows down promises nothing.
var (
	// leaveWithin is the time in which the peers of a dead node leave everywhere.
	leaveWithin = 5 * time.Second
	// healWithin is the time in which all is right again once it can be.
	healWithin = 15 * time.Second
	// promptly is how long a message takes at most once all nodes are back: far above what
	// it takes, because machines are noisy, and far below the time after which a node is missed.
	promptly = 2 * time.Second
)

// serverBinary and brokerBinary are the programs, built once by TestMain.
var serverBinary, brokerBinary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

// buildAndRun builds the server, with the race detector if the tests have it, and
// nats-server.
func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "signalbox-cluster-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if raceDetector() {
		leaveWithin, healWithin, promptly = patience, patience, patience
	}
	serverBinary, brokerBinary = filepath.Join(dir, "signalbox"), filepath.Join(dir, "nats-server")
	for path, build := range map[string][]string{
		serverBinary: {fmt.Sprintf("-race=%t", raceDetector()), "signalbox/cmd/signalbox"},
		brokerBinary: {"github.com/nats-io/nats-server/v2"},
	} {
		cmd := exec.Command("go", append([]string{"build", "-buildvcs=false", "-o", path}, build...)...)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n", filepath.Base(path), err)
			return 1
		}
	}
	stopC := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() { testClock.run(stopC) })
	status := m.Run()
	close(stopC)
	ticking.Wait()
	if err := goleak.Find(); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// waitFor looks at a condition until it holds, or fails when the deadline passes.
func waitFor(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := now().Add(within)
	for !holds() {
		if till(deadline) < 0 {
			t.Fatalf("not within %v: %s", within, what)
		}
		<-time.After(pollEvery)
	}
}
