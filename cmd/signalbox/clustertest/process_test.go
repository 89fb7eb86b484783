package clustertest

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program that runs until the test ends.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	endC chan struct{} // closed once it has ended and its log is read

	mu       sync.Mutex
	log      strings.Builder
	entries  []entry // those of the log's lines that are JSON
	changedC chan struct{}
}

// entry is a line of a JSON log.
type entry map[string]any

// start runs a program, in a network namespace if there is one.
func start(t testing.TB, in *namespace, dir, path string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SIGNALBOX_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, endC: make(chan struct{}), changedC: make(chan struct{})}
	in.do(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	go p.read(stderr)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s:\n%s", strings.Join(args, " "), p.tail())
		}
	})
	return p
}

// read keeps the log until the process has ended.
func (p *process) read(stderr io.Reader) {
	defer close(p.endC)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e entry
		_ = json.Unmarshal(lines.Bytes(), &e) // nil if it is something else, a panic's text say
		p.mu.Lock()
		p.log.WriteString(lines.Text() + "\n")
		if e != nil {
			p.entries = append(p.entries, e)
		}
		close(p.changedC)
		p.changedC = make(chan struct{})
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // its status is the test's business
}

// tail is the end of the log, for error texts.
func (p *process) tail() string {
	const most = 6000
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.log.String()
	return text[max(0, len(text)-most):]
}

// logged are the entries so far for which match is true.
func (p *process) logged(match func(entry) bool) []entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []entry
	for _, e := range p.entries {
		if match(e) {
			found = append(found, e)
		}
	}
	return found
}

// await returns the first log entry for which match is true.
func (p *process) await(what string, match func(entry) bool) entry {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		changedC := p.changedC
		p.mu.Unlock()
		if found := p.logged(match); len(found) > 0 {
			return found[0]
		}
		select {
		case <-changedC:
		case <-p.endC:
			if found := p.logged(match); len(found) > 0 {
				return found[0]
			}
			p.t.Fatalf("the process ended before it logged %s:\n%s", what, p.tail())
		case <-deadline:
			p.t.Fatalf("the process did not log %s:\n%s", what, p.tail())
		}
	}
}

func message(text string) func(entry) bool {
	return func(e entry) bool { return e["msg"] == text }
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.endC:
		return false
	default:
		return true
	}
}

// kill is kill -9; it returns once the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.endC
}

func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// terminate asks the process to end and wants status 0.
func (p *process) terminate() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	if got := p.exit(); got != 0 {
		p.t.Errorf("exit status: got %d, want 0:\n%s", got, p.tail())
	}
}

// exit waits for the end and returns the exit status.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.endC:
	case <-time.After(patience):
		p.t.Fatalf("the process does not end:\n%s", p.tail())
	}
	return p.cmd.ProcessState.ExitCode()
}

// resident is the memory that the process has, in bytes.
func (p *process) resident() int64 {
	p.t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/statm")
	if err != nil {
		p.t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
