package target

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command says how to start a server.
type Command struct {
	Args  []string
	Env   []string // added to ours
	Dir   string
	Cores []int // to pin it to, any if empty
	// Ready looks at a line that the server has printed, on either stream, and
	// returns its address once that is told.
	Ready func(line string) (addr string, ok bool)
}

// Process is a server on this machine. Its methods may be called from any
// goroutine.
type Process struct {
	PID   int
	cmd   *exec.Cmd     // nil if somebody else has started it
	doneC chan struct{} // closed when it has ended
	err   error         // of Wait, once doneC is closed

	mu    sync.Mutex
	lines []string // the last that it has printed
	dump  int      // goroutines in the dump of a Go process that got SIGQUIT
}

const (
	// startTimeout is how long a server may take to tell its address.
	startTimeout = 30 * time.Second
	// stopTimeout is how long it may take to end once told to.
	stopTimeout = 15 * time.Second
	// keepLines is how many of its last lines are kept, to tell with an error.
	keepLines = 5
)

// Attach returns the process of a running server.
func Attach(pid int) (*Process, error) {
	p := &Process{PID: pid}
	if _, err := p.CPU(); err != nil {
		return nil, fmt.Errorf("no process %d to measure: %w", pid, err)
	}
	return p, nil
}

// Start starts a server and waits until it tells its address.
func Start(ctx context.Context, c Command) (*Process, string, error) {
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = c.Dir
	// A group of its own: the terminal's Ctrl-C is for us, we stop it in order.
	// And should we be killed, it must not live on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	cmd.Stdout, cmd.Stderr = in, in
	err = startOn(cmd, c.Cores)
	_ = in.Close()
	if err != nil {
		_ = out.Close()
		return nil, "", fmt.Errorf("cannot start %s: %w", c.Args[0], err)
	}
	p := &Process{PID: cmd.Process.Pid, cmd: cmd, doneC: make(chan struct{})}
	addrC := make(chan string, 1)
	go p.read(out, c.Ready, addrC)

	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case addr := <-addrC:
		return p, addr, nil
	case <-p.doneC:
		err = fmt.Errorf("%s ended before it told its address: %s", c.Args[0], p.said())
	case <-timeout.C:
		err = fmt.Errorf("%s has not told its address within %s", c.Args[0], startTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.Kill()
	return nil, "", err
}

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

// read follows what the server prints until it ends.
func (p *Process) read(out *os.File, ready func(string) (string, bool), addrC chan<- string) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if ready != nil {
			if addr, ok := ready(line); ok {
				addrC <- addr
				ready = nil
			}
		}
		p.mu.Lock()
		if goroutineLine.MatchString(line) {
			p.dump++
		}
		p.lines = append(p.lines, line)
		p.lines = p.lines[max(0, len(p.lines)-keepLines):]
		p.mu.Unlock()
	}
	_ = out.Close()
	p.err = p.cmd.Wait()
	close(p.doneC)
}

// said is the last that the server has printed, on one line.
func (p *Process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) == 0 {
		return "it printed nothing"
	}
	return strings.Join(p.lines, " | ")
}

// Done is closed when the process has ended; nil if it is not ours.
func (p *Process) Done() <-chan struct{} { return p.doneC }

// Stop ends the process in order and waits for it. It does nothing to a process
// that is not ours.
func (p *Process) Stop() error {
	if p.cmd == nil || p.quit() {
		return nil
	}
	_ = p.cmd.Process.Signal(unix.SIGTERM)
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-p.doneC:
	case <-timeout.C:
		p.Kill()
		return fmt.Errorf("the server did not end within %s", stopTimeout)
	}
	if p.err != nil && !p.terminated() {
		return fmt.Errorf("the server ended with %w: %s", p.err, p.said())
	}
	return nil
}

// quit reports whether Goroutines has ended it.
func (p *Process) quit() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dump > 0
}

// terminated reports whether it died of SIGTERM: a server without a handler.
func (p *Process) terminated() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == unix.SIGTERM
}

// goroutineLine begins a goroutine's part of a dump.
var goroutineLine = regexp.MustCompile(`^goroutine \d+ .*\[.*\]:$`)

// Goroutines ends a process of ours, which must be a Go program, and returns how
// many goroutines it had, those of the runtime included.
func (p *Process) Goroutines(ctx context.Context) (int, error) {
	if p.cmd == nil {
		return 0, errors.New("target: the process is not ours")
	}
	if err := p.cmd.Process.Signal(unix.SIGQUIT); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	select {
	case <-p.doneC:
	case <-ctx.Done():
		return 0, fmt.Errorf("the server did not end on SIGQUIT: %w", ctx.Err())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dump, nil
}

// Kill ends the process at once and waits for it.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.doneC
}

// CPU is the time that all threads of the process, ended ones too, have run in
// user space and in the kernel.
func (p *Process) CPU() (time.Duration, error) {
	return cpuClock(p.PID, schedClock)
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
	return sum, nil
}

// Kinds of CPU clocks, the low bits of a clock id (clock_getcpuclockid(3)).
const (
	schedClock  = 2
	threadClock = 4 | schedClock
)

func cpuClock(id, kind int) (time.Duration, error) {
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
		quiet = step / 20 // of a core: idle runtimes have their ticks
		steps = 5
	)
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
	return Memory{RSS: kiloField(text, "Rss:"), PSS: kiloField(text, "Pss:"), Anon: kiloField(text, "Anonymous:")}, nil
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
