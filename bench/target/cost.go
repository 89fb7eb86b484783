package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
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

// Waited is the time that the threads of the process were ready to run while
// something else had their core. Threads that have ended do not count.
func (p *Process) Waited() (time.Duration, error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.PID))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a thread that has just ended
		} else if err != nil {
			return 0, err
		}
		// "run wait slices", the times in ns.
		fields := strings.Fields(string(text))
		if len(fields) < 2 {
			return 0, fmt.Errorf("target: schedstat is %q", text)
		}
		ns, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	for _, other := range p.with {
		more, err := other.Waited()
		if err != nil {
			return 0, err
		}
		sum += more
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

// Settle waits until the process has been all but idle for a while, at most
// limit.
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
	for deadline, calm := time.Now().Add(limit), 0; calm < steps && time.Now().Before(deadline); {
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

// Rest waits until the process has come to rest, at most limit: until what it
// holds has hardly changed for longer than runtimes wait before they return what
// they have no more use for.
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
	for deadline, calm := time.Now().Add(limit), 0; calm < steps && time.Now().Before(deadline); calm++ {
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
	RSS  int64
	PSS  int64
	Anon int64 // private to it and backed by no file: heap and stacks
}

// Memory reads what the process holds in user space.
func (p *Process) Memory() (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
	if err != nil {
		return Memory{}, err
	}
	m := Memory{RSS: kiloField(text, "Rss:"), PSS: kiloField(text, "Pss:"), Anon: kiloField(text, "Anonymous:")}
	for _, other := range p.with {
		more, err := other.Memory()
		if err != nil {
			return Memory{}, err
		}
		m.RSS, m.PSS, m.Anon = m.RSS+more.RSS, m.PSS+more.PSS, m.Anon+more.Anon
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
