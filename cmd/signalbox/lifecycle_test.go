package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// lifecycleChild is the environment variable that makes the test binary a
// process whose drain never ends.
const lifecycleChild = "LIFECYCLE_CHILD"

// abortStatus is the status that the child's abort exits with.
const abortStatus = 3

// runLifecycleChild says each step on stdout and drains for ever.
func runLifecycleChild() {
	life := newLifecycle(func() { os.Exit(abortStatus) })
	fmt.Println("ready")
	<-life.ctx.Done()
	fmt.Println("draining")
	select {}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	for name, signals := range map[string][2]syscall.Signal{
		"terminate twice":          {syscall.SIGTERM, syscall.SIGTERM},
		"interrupt twice":          {syscall.SIGINT, syscall.SIGINT},
		"terminate then interrupt": {syscall.SIGTERM, syscall.SIGINT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), lifecycleChild+"=1")
			stdout, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = child.Process.Kill() }) // it has ended, unless the test failed
			lines := bufio.NewScanner(stdout)
			for i, want := range []string{"ready", "draining"} {
				if !lines.Scan() || lines.Text() != want {
					t.Fatalf("child said %q, want %q", lines.Text(), want)
				}
				if err := child.Process.Signal(signals[i]); err != nil {
					t.Fatal(err)
				}
			}
			_ = child.Wait() // the status says it
			if got := child.ProcessState.ExitCode(); got != abortStatus {
				t.Errorf("exit status: got %d, want %d", got, abortStatus)
			}
		})
	}
}
