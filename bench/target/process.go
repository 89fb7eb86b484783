package target

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
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
	// Limit is how long that may take, 0: startTimeout.
	Limit time.Duration
}

// Process is a server on this machine. Its methods may be called from any
// goroutine.
type Process struct {
	PID   int
	with  []*Process    // whose cost counts with its own
	cmd   *exec.Cmd     // nil if somebody else has started it
	doneC chan struct{} // closed when it has ended
	err   error         // of Wait, once doneC is closed

	mu    sync.Mutex
	lines []string // the last that it has printed
	dump  int      // goroutines in the dump of a Go process that got SIGQUIT
}

const (
	// startTimeout is how long a server may take to tell its address.
	startTimeout = time.Minute
	// stopTimeout is how long it may take to end once told to: several times what it
	// closes its connections over.
	stopTimeout = time.Minute
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

	limit := cmp.Or(c.Limit, startTimeout)
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	select {
	case addr := <-addrC:
		return p, addr, nil
	case <-p.doneC:
		err = fmt.Errorf("%s ended before it told its address: %s", c.Args[0], p.said())
	case <-timeout.C:
		err = fmt.Errorf("%s has not told its address within %s", c.Args[0], limit)
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.Kill()
	return nil, "", err
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
