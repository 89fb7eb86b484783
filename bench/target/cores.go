package target

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// startOn starts cmd on the given cores. A child inherits the affinity of the
// thread that forks it, and Go's runtime in the child counts its cores by it.
func startOn(cmd *exec.Cmd, cores []int) error {
	if len(cores) == 0 {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	wanted := setOf(cores)
	if err := unix.SchedSetaffinity(0, &wanted); err != nil {
		return err
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// setOf is a set of cores.
func setOf(cores []int) (set unix.CPUSet) {
	for _, core := range cores {
		set.Set(core)
	}
	return set
}

// Cores returns the cores that this process may use.
func Cores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	var cores []int
	for core := 0; len(cores) < set.Count(); core++ {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores, nil
}

// PinSelf moves all threads of this process to the given cores. Threads that
// are started later inherit them.
func PinSelf(cores []int) error {
	set := setOf(cores)
	var done []string
	for {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		fresh := false
		for _, task := range tasks {
			if slices.Contains(done, task.Name()) {
				continue
			}
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
				return os.NewSyscallError("sched_setaffinity", err)
			}
			done, fresh = append(done, task.Name()), true
		}
		if !fresh {
			return nil
		}
	}
}
