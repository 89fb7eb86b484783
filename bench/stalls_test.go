package main

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stallPatience is how long the watch may take to go on.
const stallPatience = 30 * time.Second

// TestStalls keeps the watch from running and wants it to say so, once.
func TestStalls(t *testing.T) {
	s, err := watchStalls()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for late := time.Duration(0); late == 0; { // until a thread of it runs
		if late, err = s.longest(); err != nil {
			t.Fatal(err)
		}
	}
	pid := s.cmd.Process.Pid
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the watch has not stopped: %v, %v", status, err)
	}
	const held = 200 * time.Millisecond
	<-time.After(held)
	if err := unix.Kill(pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// Its threads may look at the clock after the first answers.
	for deadline := time.Now().Add(stallPatience); time.Now().Before(deadline); {
		got, err := s.longest()
		if err != nil {
			t.Fatal(err)
		}
		if got >= held-stallNap {
			return
		}
	}
	t.Errorf("a stall of %v was not seen", held)
}
