package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a process. It is far above what any of them
// takes, because machines are noisy.
const patience = time.Minute

// binary is the command under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(lifecycleChild) != "" {
		runLifecycleChild()
		return
	}
	os.Exit(buildAndRun(m))
}

// buildAndRun builds the command, with the race detector if the tests have it.
func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "signalbox-cli-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "signalbox")
	build := exec.Command("go", "build", "-buildvcs=false", fmt.Sprintf("-race=%t", raceDetector()), "-o", binary, ".")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the command:", err)
		return 1
	}
	return m.Run()
}

func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// command returns the binary with args, in dir and with env and no other
// SIGNALBOX_ variable.
func command(ctx context.Context, dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	cmd.WaitDelay = patience
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "SIGNALBOX_") })
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// result is what a finished command left.
type result struct {
	status         int
	stdout, stderr string
}

// invocation is one run of the command: args as a line of words, and what
// surrounds it.
type invocation struct {
	dir   string // "" for a fresh one
	env   []string
	stdin string
}

// run executes the command until it ends.
func (i invocation) run(t testing.TB, args ...string) result {
	t.Helper()
	if i.dir == "" {
		i.dir = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := command(ctx, i.dir, i.env, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(i.stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %q: %v", args, err)
	}
	return result{status: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// ok runs the command and wants it to succeed without a word on stderr.
func (i invocation) ok(t testing.TB, args ...string) string {
	t.Helper()
	got := i.run(t, args...)
	if got.status != 0 || got.stderr != "" {
		t.Fatalf("%q: got status %d and stderr %q, want 0 and none", args, got.status, got.stderr)
	}
	return got.stdout
}

// fails runs the command and wants exit status 1 and one line on stderr, which
// holds each of want.
func (i invocation) fails(t testing.TB, args []string, want ...string) result {
	t.Helper()
	got := i.run(t, args...)
	if got.status != 1 {
		t.Errorf("%q: got status %d, want 1", args, got.status)
	}
	if lines := strings.Count(got.stderr, "\n"); lines != 1 || !strings.HasPrefix(got.stderr, "signalbox: error: ") {
		t.Errorf("%q: got stderr %q, want one line that begins with \"signalbox: error: \"", args, got.stderr)
	}
	for _, w := range want {
		if !strings.Contains(got.stderr, w) {
			t.Errorf("%q: got stderr %q, want it to hold %q", args, got.stderr, w)
		}
	}
	return got
}

// process is a server command that runs.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdout io.Reader
	logC   chan entry // every line of stderr, closed at its end

	mu  sync.Mutex
	log strings.Builder // Guarded by mu.
}

// entry is a line of the JSON log.
type entry map[string]any

// logBacklog is more lines than any test makes a server log.
const logBacklog = 4096

// start runs a server command with a JSON log until the test ends.
func start(t testing.TB, dir string, env []string, args ...string) *process {
	t.Helper()
	return startAs(t, binary, dir, env, args...)
}

// startAs is start with a binary that is elsewhere.
func startAs(t testing.TB, path, dir string, env []string, args ...string) *process {
	t.Helper()
	cmd := command(context.Background(), dir, append([]string{"SIGNALBOX_LOG_FORMAT=json"}, env...), args...)
	cmd.Path, cmd.Args[0] = path, path
	return launch(t, cmd)
}

// launch is start with a command that is made.
func launch(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, logC: make(chan entry, logBacklog)}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stderr)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		for range p.logC {
		}
		_ = cmd.Wait() // its status is the test's business
	})
	return p
}

// read passes the log on, line by line.
func (p *process) read(stderr io.Reader) {
	defer close(p.logC)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		p.mu.Lock()
		p.log.WriteString(lines.Text() + "\n")
		p.mu.Unlock()
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			p.logC <- e
		}
	}
}

// logged is the log so far.
func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// await returns the next log entry with this message.
func (p *process) await(message string) entry {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e, ok := <-p.logC:
			if !ok {
				p.t.Fatalf("the server ended before it logged %q:\n%s", message, p.logged())
			}
			if e["msg"] == message {
				return e
			}
		case <-deadline:
			p.t.Fatalf("the server did not log %q:\n%s", message, p.logged())
		}
	}
}

// awaitAll returns once there is an entry for each of these messages, whatever their
// order.
func (p *process) awaitAll(messages ...string) {
	p.t.Helper()
	deadline := time.After(patience)
	for len(messages) > 0 {
		select {
		case e, ok := <-p.logC:
			if !ok {
				p.t.Fatalf("the server ended before it logged %q:\n%s", messages, p.logged())
			}
			if i := slices.Index(messages, fmt.Sprint(e["msg"])); i >= 0 {
				messages = slices.Delete(messages, i, i+1)
			}
		case <-deadline:
			p.t.Fatalf("the server did not log %q:\n%s", messages, p.logged())
		}
	}
}

// addr waits until the server listens and returns its public address.
func (p *process) addr() string {
	p.t.Helper()
	addr, ok := p.await("listening")["addr"].(string)
	if !ok {
		p.t.Fatalf("no addr in the log:\n%s", p.logged())
	}
	return addr
}

// signal sends sig.
func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end and returns the exit status.
func (p *process) exit() int {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-p.logC:
			if ok {
				continue
			}
			_ = p.cmd.Wait() // the status says it
			return p.cmd.ProcessState.ExitCode()
		case <-deadline:
			p.t.Fatalf("the process did not end:\n%s", p.logged())
		}
	}
}
