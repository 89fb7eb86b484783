package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"signalbox/bench/target"
)

// stallsCmd has on each core a thread that wants to run for an instant again and
// again, and tells for each line of its input for how long at most one was kept
// from it since the last, in ns: by other processes, or with all the core by the
// hypervisor. It is a process of its own because a garbage collection would stop
// its threads as well.
type stallsCmd struct{}

// stallNap is how long the threads sleep between two looks at the clock: they use
// less than a hundredth of a core.
const stallNap = 500 * time.Microsecond

// Run watches until its input ends.
func (stallsCmd) Run(std *stdio) error {
	cores, err := target.Cores()
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(len(cores) + 1) // none of the threads waits for another
	var longest atomic.Int64
	for _, core := range cores {
		go watchCore(core, &longest)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if _, err := fmt.Fprintln(std.out, longest.Swap(0)); err != nil {
			return err
		}
	}
	return lines.Err()
}

// watchCore never ends.
func watchCore(core int, longest *atomic.Int64) {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(core)
	_ = unix.SchedSetaffinity(0, &set) // without it another core is watched twice
	// With the right to it the thread goes before all others, and is late only if the
	// hypervisor or the kernel had the core.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	for last := time.Now(); ; {
		nap := unix.NsecToTimespec(int64(stallNap))
		_ = unix.Nanosleep(&nap, nil) // a signal makes it shorter
		now := time.Now()
		late := int64(now.Sub(last) - stallNap)
		for was := longest.Load(); late > was && !longest.CompareAndSwap(was, late); was = longest.Load() {
		}
		last = now
	}
}

// stalls is the harness's end of a stallsCmd.
type stalls struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// watchStalls starts a stallsCmd.
func watchStalls() (*stalls, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &stalls{cmd: exec.Command(self, "stalls")}
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	return s, s.cmd.Start()
}

// longest returns the longest stall since the last call.
func (s *stalls) longest() (time.Duration, error) {
	if _, err := io.WriteString(s.in, "\n"); err != nil {
		return 0, err
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return time.Duration(ns), err
}

// close ends the watch.
func (s *stalls) close() {
	_ = s.in.Close() // with its input it ends
	_ = s.cmd.Wait()
}
