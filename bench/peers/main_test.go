package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

// asCommand makes the test binary the command itself.
const asCommand = "PEERS_TEST_COMMAND"

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// names are all hubs, in order.
func names() []string {
	var all []string
	for name := range hubs {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// running is a hub's process.
type running struct {
	t    *testing.T
	name string
	addr string
}

// start runs a hub on one core. It must end in order on SIGTERM once the test is
// over.
func start(t *testing.T, name string) *running {
	t.Helper()
	cmd := exec.Command(os.Args[0], name)
	cmd.Env = append(os.Environ(), asCommand+"=1", "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// A hub that hangs is killed: that ends the wait for its line, too.
	deadline := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the hub ended with %v, want nil", err)
		}
		deadline.Stop()
	})
	var line struct {
		Addr string
		PID  int
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the hub printed no line: %v", lines.Err())
	}
	if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
		t.Fatalf("the hub printed %q: %v", lines.Bytes(), err)
	}
	if line.PID != cmd.Process.Pid {
		t.Fatalf("the hub says pid %d, want %d", line.PID, cmd.Process.Pid)
	}
	return &running{t, name, line.Addr}
}

func TestFanOut(t *testing.T) {
	for _, name := range names() {
		if name == "centrifuge" {
			continue // has a protocol of its own
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := start(t, name)
			room := []*peer{hub.dial("/?channel=a"), hub.dial("/x?channel=a&y=1"), hub.dial("/v1?channel=a")}
			for i, from := range room {
				text := fmt.Sprintf(`{"from":%d,"text":"grüße"}`, i)
				from.text(text)
				for j, to := range room {
					if j != i {
						to.want(text)
					}
				}
			}
			room[0].text("the sender has nothing queued")
			room[1].want("the sender has nothing queued")
			room[1].text("next")
			room[0].want("next")
		})
	}
}

func TestChannelsAreApart(t *testing.T) {
	for _, name := range names() {
		if name == "centrifuge" || name == "floor" {
			continue // a protocol of its own, one channel only
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := start(t, name)
			a1, a2 := hub.dial("/?channel=a"), hub.dial("/?channel=a")
			b1, b2 := hub.dial("/b"), hub.dial("/b")
			a1.text("for a")
			a2.want("for a")
			b1.text("for b")
			b2.want("for b")
			b2.text("for b again")
			b1.want("for b again")
		})
	}
}

func TestAlone(t *testing.T) {
	for _, name := range names() {
		if name == "centrifuge" || name == "floor" {
			continue // a protocol of its own, no pongs
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, name).dial("/?channel=a")
			p.text("to nobody", "")
			p.ping("still there")
		})
	}
}

func TestMembersLeave(t *testing.T) {
	for _, name := range names() {
		if name == "centrifuge" {
			continue // has a protocol of its own
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := start(t, name)
			stays, stays2 := hub.dial("/?channel=a"), hub.dial("/?channel=a")
			for range 20 {
				hub.dial("/?channel=a").close()
			}
			for i := range 20 {
				text := fmt.Sprint("message ", i)
				stays.text(text)
				stays2.want(text)
			}
		})
	}
}

func TestMessagesInFlight(t *testing.T) {
	const inFlight = 64
	for _, name := range names() {
		if name == "centrifuge" {
			continue // has a protocol of its own
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := start(t, name)
			from, to := hub.dial("/?channel=a"), hub.dial("/?channel=a")
			var texts []string
			for i := range inFlight {
				texts = append(texts, fmt.Sprint("message ", i))
			}
			from.text(texts...)
			for _, text := range texts {
				to.want(text)
			}
		})
	}
}

func TestPing(t *testing.T) {
	for _, name := range names() {
		if name == "floor" {
			continue // answers nothing
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, name).dial("/?channel=a")
			p.ping("are you there")
		})
	}
}

func TestCentrifuge(t *testing.T) {
	hub := start(t, "centrifuge")
	subscriber, publisher := hub.dial("/"), hub.dial("/")
	subscriber.text(`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"a"}}`)
	subscriber.wantLine(`{"id":1,"connect":`)
	subscriber.wantLine(`{"id":2,"subscribe":`)
	publisher.text(`{"id":1,"connect":{}}`)
	publisher.wantLine(`{"id":1,"connect":`)
	publisher.text(`{"id":2,"publish":{"channel":"a","data":{"n":1}}}`)
	subscriber.wantLine(`{"push":{"channel":"a","pub":{"data":{"n":1}}}}`)
	publisher.wantLine(`{"id":2,"publish":`)
}
