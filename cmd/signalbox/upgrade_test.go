package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	upgradeKey    = "pk_live_0123456789abcdef0123456789abcdef"
	upgradeBearer = "Bearer sk_id_0123456789abcdef0123456789abcdef:sk_secret_0123456789abcdef0123456789abcdef0123456789abcdef"
	upgradeApps   = `apps:
  - id: app_upgrade
    keys:
      - {id: pk_live_0123456789abcdef0123456789abcdef, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}
      - {id: sk_id_0123456789abcdef0123456789abcdef, secret: sk_secret_0123456789abcdef0123456789abcdef0123456789abcdef, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}
`
)

// dynasty is a server and its successors, one process at a time.
type dynasty struct {
	*process
	dir  string
	proc *os.Process // the one that serves

	addr, api, admin string
}

// found starts the first server of a dynasty from a binary of its own.
func found(t *testing.T, args ...string) *dynasty {
	t.Helper()
	// Successors outlive who has started them: they become children of the tests'.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	d := &dynasty{dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(d.dir, "apps.yaml"), []byte(upgradeApps), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	d.install(t, text)
	// Who comes, and says much, while the machine is busy is let in all the same.
	args = append([]string{"serve", "--message-rate", "0", "--handshake-timeout", patience.String()}, args...)
	d.process = startAs(t, d.path(), d.dir, nil, args...)
	d.proc = d.cmd.Process
	t.Cleanup(func() { _ = d.proc.Kill() }) // it may have ended
	listening := d.await("listening")
	d.addr, _ = listening["addr"].(string)
	d.api, _ = listening["api"].(string)
	d.admin, _ = listening["admin"].(string)
	return d
}

func (d *dynasty) path() string { return filepath.Join(d.dir, "signalbox") }

// install puts a program into the binary's place.
func (d *dynasty) install(t *testing.T, program []byte) {
	t.Helper()
	next := d.path() + ".next"
	if err := os.WriteFile(next, program, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, d.path()); err != nil {
		t.Fatal(err)
	}
}

func (d *dynasty) send(sig syscall.Signal) {
	d.t.Helper()
	if err := d.proc.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
}

// succeed has the server replaced and waits until the old process has ended.
func (d *dynasty) succeed() {
	d.t.Helper()
	d.send(syscall.SIGUSR2)
	pid, _ := d.await("the successor serves")["pid"].(float64)
	next, err := os.FindProcess(int(pid))
	if err != nil {
		d.t.Fatal(err)
	}
	old := d.proc
	d.proc = next
	d.expectExit(old)
	d.await("the process before this one has ended")
}

// expectExit waits for a process to end with status 0.
func (d *dynasty) expectExit(p *os.Process) {
	d.t.Helper()
	endC := make(chan *os.ProcessState, 1)
	go func() {
		state, _ := p.Wait() // nil without
		endC <- state
	}()
	select {
	case state := <-endC:
		if state == nil || state.ExitCode() != 0 {
			d.t.Fatalf("process %d: got %v, want exit status 0; log:\n%s", p.Pid, state, d.logged())
		}
	case <-time.After(patience):
		d.t.Fatalf("process %d did not end:\n%s", p.Pid, d.logged())
	}
}

// usage asks the server on a connection of its own.
func (d *dynasty) usage() (u struct{ MessagesUsed, ConcurrentNow, PeakConcurrent int64 }) {
	d.t.Helper()
	if err := fetch("http://"+d.addr+"/v1/usage", &u); err != nil {
		d.t.Fatal(err)
	}
	return u
}

// fetch asks on a connection of its own. into may be nil.
func fetch(url string, into any) error {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", upgradeBearer)
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", answer.StatusCode, body)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// TestUpgradeUnderLoad replaces the server three times in a row while clients
// connect, subscribe and publish.
func TestUpgradeUnderLoad(t *testing.T) {
	for name, listen := range map[string]string{"IPv4": "127.0.0.1:0", "dual stack": ":0"} {
		t.Run(name, func(t *testing.T) {
			d := found(t, "--listen", listen, "--api-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
				"--data-dir", "data")
			hosts := []string{"127.0.0.1"}
			if strings.HasPrefix(d.addr, ":") {
				hosts = append(hosts, "[::1]")
			}
			d.addr = "127.0.0.1:" + d.addr[strings.LastIndexByte(d.addr, ':')+1:]
			c := newCrowd(t, d.addr, hosts)
			c.settle()
			for _, url := range []string{"http://" + d.api + "/v1/usage", "http://" + d.admin + "/readyz"} {
				c.ask(url)
			}
			for range 3 {
				d.succeed()
				c.settle()
				if got := d.usage().ConcurrentNow; got < crowdSize {
					t.Errorf("connections with the new server: got %d, want %d or more", got, crowdSize)
				}
			}
			c.proveDelivery()
			c.stop()
			if got, want := d.usage().MessagesUsed, c.acked.Load(); got != want {
				t.Errorf("messages used: got %d, want %d, as many as were acked", got, want)
			}
			d.send(syscall.SIGTERM)
			d.expectExit(d.proc)
			t.Logf("%d connects of members, %d visits, %d messages", c.connects.Load(), c.visits.Load(), c.acked.Load())
		})
	}
}

// TestUpgradeFails has programs succeed that cannot; the server stays.
func TestUpgradeFails(t *testing.T) {
	d := found(t, "--listen", "127.0.0.1:0", "--data-dir", "data")
	c := newCrowd(t, d.addr, []string{"127.0.0.1"})
	c.settle()
	before := c.connects.Load()
	for _, program := range []struct{ text, want string }{
		{"#!/bin/sh\nexit 3\n", "exit status 3"},
		{"#!/bin/sh\nkill -9 $$\n", "signal: killed"},
		{"#!/bin/sh\necho nonsense >&3\nexit 4\n", "exit status 4"},
		{"no program", "exec format error"},
	} {
		d.install(t, []byte(program.text))
		d.send(syscall.SIGUSR2)
		got, _ := d.await("not upgraded, this process stays")["error"].(string)
		if !strings.Contains(got, program.want) {
			t.Errorf("%q: logged %q, want %q in it", program.text, got, program.want)
		}
	}
	apps := filepath.Join(d.dir, "apps.yaml")
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	d.install(t, text)
	if err := os.WriteFile(apps, []byte("apps: nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.send(syscall.SIGUSR2)
	d.await("not upgraded, this process stays")
	if err := os.WriteFile(apps, []byte(upgradeApps), 0o600); err != nil {
		t.Fatal(err)
	}
	if after := c.connects.Load(); after != before {
		t.Errorf("%d clients had to connect again", after-before)
	}
	// One that hangs keeps others from being started, and goes with the server.
	d.install(t, []byte("#!/bin/sh\nexec sleep 600\n"))
	d.send(syscall.SIGUSR2)
	d.await("starting the successor")
	d.send(syscall.SIGUSR2)
	if got := d.await("not upgraded, this process stays")["error"]; got != "an upgrade is under way" {
		t.Errorf("second signal: logged %q", got)
	}
	c.proveDelivery()
	c.stop()
	d.send(syscall.SIGTERM)
	d.await("draining")
	if got := d.exit(); got != 0 { // waits until nobody has the log open any more
		t.Errorf("exit status: got %d, want 0; log:\n%s", got, d.logged())
	}
}

// TestUpgradeUnderManager plays the service manager: it hears of the new process
// before the old one ends, and never that the service stops.
func TestUpgradeUnderManager(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	expect := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		if err := manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if n, err := manager.Read(buf); err != nil || string(buf[:n]) != want {
			t.Fatalf("the manager heard %q, %v; want %q", buf[:n], err, want)
		}
	}
	d := found(t, "--listen", "127.0.0.1:0", "--data-dir", "data")
	expect(readyWord(d.proc.Pid))
	d.succeed()
	expect(readyWord(d.proc.Pid))
	d.send(syscall.SIGTERM)
	expect("STOPPING=1")
	d.expectExit(d.proc)
}

func TestUpgradeNeedsFiles(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), nil, "serve", "--dev", "--listen", "127.0.0.1:0")
	p.addr()
	p.signal(syscall.SIGUSR2)
	p.await("not upgraded, this process stays")
	p.signal(syscall.SIGTERM)
	if got := p.exit(); got != 0 {
		t.Errorf("exit status: got %d, want 0", got)
	}
}

// TestUpgradeOfFirstProcess: in a container all would end with the old process.
func TestUpgradeOfFirstProcess(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a PID namespace needs root")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "apps.yaml"), []byte(upgradeApps), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command(t.Context(), dir, []string{"SIGNALBOX_LOG_FORMAT=json"}, "serve", "--listen", "127.0.0.1:0", "--data-dir", "data")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	p := launch(t, cmd)
	p.addr()
	p.signal(syscall.SIGUSR2)
	if got := p.await("not upgraded, this process stays")["error"]; got != "this is the first process of its container, which would end with it" {
		t.Errorf("logged %q", got)
	}
	p.signal(syscall.SIGTERM)
	if got := p.exit(); got != 0 {
		t.Errorf("exit status: got %d, want 0", got)
	}
}

// TestUpgradeOfNode: the address for routes is the successor's once the process
// before has ended, time and again.
func TestUpgradeOfNode(t *testing.T) {
	route := freeAddr(t)
	d := found(t, "--listen", "127.0.0.1:0", "--data-dir", "data", "--nats", "embedded", "--nats-listen", route, "--node", "east")
	other := start(t, d.dir, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", "other",
		"--nats", "embedded", "--nats-listen", "127.0.0.1:0", "--nats-routes", route, "--node", "west")
	other.await("node is there")
	for range 2 {
		d.succeed()
		other.awaitAll("node is there", "node is gone") // the successor, and who was before
		newcomer := start(t, d.dir, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(),
			"--nats", "embedded", "--nats-listen", "127.0.0.1:0", "--nats-routes", route, "--node", "newcomer")
		names := fmt.Sprint(newcomer.await("node is there")["node"], newcomer.await("node is there")["node"])
		if names != "eastwest" && names != "westeast" {
			t.Errorf("a newcomer finds %s, want east and west", names)
		}
		other.await("node is there") // the newcomer
		newcomer.signal(syscall.SIGTERM)
		newcomer.exit()
		other.await("node is gone")
	}
}
