package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the time that all threads of the process, ended ones too, have run in
// user space and in the kernel.
func (p *Process) CPU() (time.Duration, error) {
	sum, err := cpuClock(p.PID, schedClock)
	for _, other := range p.with {
		more, fault := other.CPU()
		sum, err = sum+more, errors.Join(err, fault)
	}
	return sum, err
}

// OwnCPU is the time that all threads of this process have run.
func OwnCPU() (time.Duration, error) { return cpuClock(os.Getpid(), schedClock) }

// Busy is the time for which cores were not idle: whoever had them, interrupts and
// the hypervisor's other guests (steal) included. The kernel counts it in ticks.
func Busy(cores []int) (time.Duration, error) {
	if len(cores) == 0 {
		return 0, nil
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return readBusy(text, cores)
}

// userTick is the unit of /proc/stat: USER_HZ is 100 on every architecture that
// the server is built for.
const userTick = 10 * time.Millisecond

// busyFields are the fields of a core's line in /proc/stat that count as busy: user,
// nice, system, irq, softirq, steal, from 1 on. Guests (9, 10) are in user and nice,
// idle and iowait (4, 5) are neither (proc_stat(5)).
var busyFields = []int{1, 2, 3, 6, 7, 8}

func readBusy(text []byte, cores []int) (sum time.Duration, err error) {
	found := 0
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 {
			continue
		}
		name, ok := strings.CutPrefix(fields[0], "cpu") // the first line, of all cores, has no number
		core, err := strconv.Atoi(name)
		if !ok || err != nil || !slices.Contains(cores, core) {
			continue
		}
		found++
		for _, i := range busyFields {
			if i >= len(fields) {
				return 0, fmt.Errorf("target: /proc/stat has %q", line)
			}
			ticks, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("target: /proc/stat has %q", line)
			}
			sum += time.Duration(ticks) * userTick
		}
	}
	if found != len(cores) {
		return 0, fmt.Errorf("target: /proc/stat has %d of the cores %v", found, cores)
	}
	return sum, nil
}

// Kinds of CPU clocks, the low bits of a clock id (clock_getcpuclockid(3)).
const (
	schedClock  = 2
	threadClock = 4 | schedClock
)

func cpuClock(id, kind int) (time.Duration, error) {
	// A clock id has 29 bits for the process; ids have 22 (PID_MAX_LIMIT).
	if id <= 0 || id > math.MaxInt32>>3 {
		return 0, os.NewSyscallError("clock_gettime", unix.ESRCH)
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^id<<3|kind), &ts); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(ts.Nano()), nil
}

// ThreadCPU is the time that a thread of this process has run.
func ThreadCPU(tid int) (time.Duration, error) { return cpuClock(tid, threadClock) }

// ErrRestless tells that a process has not come to rest in the time it was given.
var ErrRestless = errors.New("target: not at rest")

// Settle waits until the process has been all but idle for a while. After limit it
// returns ErrRestless.
func (p *Process) Settle(ctx context.Context, limit time.Duration) error {
	const (
		step  = 50 * time.Millisecond
		steps = 5
	)
	quiet := step / 20 * time.Duration(1+len(p.with)) // of a core: idle runtimes have their ticks
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	last, err := p.CPU()
	if err != nil {
		return err
	}
	for deadline, calm := time.Now().Add(limit), 0; calm < steps; {
		if !time.Now().Before(deadline) {
			return ErrRestless
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		now, err := p.CPU()
		if err != nil {
			return err
		}
		if calm++; now-last > quiet {
			calm = 0
		}
		last = now
	}
	return nil
}

// Rest waits until the process has come to rest: until what it holds has hardly
// changed for longer than runtimes wait before they return what they have no more
// use for. After limit it returns ErrRestless.
func (p *Process) Rest(ctx context.Context, limit time.Duration) error {
	const (
		step   = 500 * time.Millisecond
		steps  = 16
		change = 64 << 10 // bytes
	)
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	last, err := p.Memory()
	if err != nil {
		return err
	}
	for deadline, calm := time.Now().Add(limit), 0; calm < steps; calm++ {
		if !time.Now().Before(deadline) {
			return ErrRestless
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		now, err := p.Memory()
		if err != nil {
			return err
		}
		if d := now.Anon - last.Anon; d > change || d < -change {
			calm, last = 0, now
		}
	}
	return nil
}

// Memory is what a process holds, in bytes.
type Memory struct {
	PSS  int64
	Anon int64 // private to it and backed by no file: heap and stacks
}

// Memory reads what the process holds in user space.
func (p *Process) Memory() (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
	if err != nil {
		return Memory{}, err
	}
	m := Memory{PSS: kiloField(text, "Pss:"), Anon: kiloField(text, "Anonymous:")}
	for _, other := range p.with {
		more, err := other.Memory()
		if err != nil {
			return Memory{}, err
		}
		m.PSS, m.Anon = m.PSS+more.PSS, m.Anon+more.Anon
	}
	return m, nil
}

// Descriptors is the number of open descriptors of the process.
func (p *Process) Descriptors() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
	return len(entries), err
}

// kiloField returns a field such as "Rss: 12 kB" in bytes, 0 if it is missing.
func kiloField(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) >= 2 && fields[0] == name {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}
