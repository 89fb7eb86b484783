package engine_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"signalbox/engine"
)

const (
	// swarmSize is the number of connections; the clients live in a process of their own, because a process may have
	// no more than 20 000 descriptors.
	swarmSize = 10_000
	// swarmWorkers share the connections of the swarm: the race detector holds about 8 000 goroutines.
	swarmWorkers = 2_000
	// swarmPatience bounds each of the swarm's steps.
	swarmPatience = 200 * time.Second
	// swarmGoroutines is how many goroutines more than idle the server may have with the swarm connected.
	swarmGoroutines = 100
	// swarmAddr names the environment variable that makes a process of this test binary the swarm.
	swarmAddr = "SIGNALBOX_TEST_SWARM"
)

// TestMain turns the process into the swarm when the test that started it says so, and else expects the tests to leave
// no goroutine behind.
func TestMain(m *testing.M) {
	if target := os.Getenv(swarmAddr); target != "" {
		addr, query, _ := strings.Cut(target, "?")
		if err := swarm(addr, query); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, // gnet's worker pool belongs to the process, not to an engine
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"))
}

// TestContractSwarm holds 10 000 connections with a subscription each, has one broadcast reach all of them, and drains,
// with a number of goroutines that does not depend on theirs.
func TestContractSwarm(t *testing.T) {
	app := newApp("app_swarm")
	app.pk.Actions = []string{"subscribe"}
	unhurried := func(cfg *engine.Config) { // on one core, beside others, each step may take a minute
		cfg.Limits.PingInterval, cfg.Limits.HandshakeTimeout, cfg.DrainTimeout = time.Hour, swarmPatience, swarmPatience
	}
	w := &world{server: startServer(t, 3, unhurried, app), app: app}
	w.rest(t, "GET", "/v1/usage", "").want(t, http.StatusOK, "")
	idle := runtime.NumGoroutine()

	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), swarmAddr+"="+w.addr+"?key="+app.pk.ID)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lineC := make(chan string, 8)
	go readLines(out, lineC)

	expectLine(t, lineC, "subscribed")
	if a := w.rest(t, "GET", "/v1/usage", ""); a.fields.number("concurrentNow") != swarmSize {
		t.Errorf("usage: got %s, want %d connections", a.body, swarmSize)
	}
	if held := runtime.NumGoroutine(); held > idle+swarmGoroutines {
		t.Errorf("goroutines: got %d with %d connections and %d without", held, swarmSize, idle)
	}
	if a := w.rest(t, "POST", "/v1/channels/all/publish", `{"data":"broadcast"}`); a.fields.number("delivered") != swarmSize {
		t.Errorf("publish: got %s, want %d delivered", a.body, swarmSize)
	}
	expectLine(t, lineC, "received")
	w.stop()
	expectLine(t, lineC, "drained")
	w.finish(t)
	if err := child.Wait(); err != nil {
		t.Errorf("swarm: %v", err)
	}
}

// readLines sends each line of r and closes the channel at the end.
func readLines(r io.Reader, lineC chan<- string) {
	for s := bufio.NewScanner(r); s.Scan(); {
		lineC <- s.Text()
	}
	close(lineC)
}

// expectLine expects the swarm to report the step next.
func expectLine(t *testing.T, lineC <-chan string, step string) {
	t.Helper()
	select {
	case got := <-lineC:
		if got != step {
			t.Fatalf("swarm: got %q, want %q", got, step)
		}
	case <-time.After(swarmPatience):
		t.Fatalf("swarm: not %s after %v", step, swarmPatience)
	}
}

// swarm connects and subscribes, then receives the broadcast, then lives through the drain; it prints each step.
func swarm(addr, query string) error {
	clients := make([]*client, swarmSize)
	steps := []struct {
		name string
		run  func(i int) error
	}{
		{"subscribed", func(i int) (err error) {
			clients[i], err = joinSwarm(addr, query, fmt.Sprintf("127.0.0.%d", 2+i%16))
			return err
		}},
		{"received", func(i int) error {
			f, err := clients[i].next()
			if err == nil && (f.text("type") != "message" || string(f["data"]) != `"broadcast"`) {
				err = fmt.Errorf("got %s, want the broadcast", f)
			}
			return err
		}},
		{"drained", func(i int) error { return leaveSwarm(clients[i]) }},
	}
	for _, s := range steps {
		if err := inParallel(swarmSize, swarmWorkers, s.run); err != nil {
			return fmt.Errorf("not %s: %w", s.name, err)
		}
		fmt.Println(s.name)
	}
	return nil
}

// inParallel runs f for 0 to n-1 on so many goroutines and returns the errors, a few of them at most.
func inParallel(n, workers int, f func(i int) error) error {
	errC := make(chan error, n)
	var wg sync.WaitGroup
	for first := range workers {
		wg.Go(func() {
			for i := first; i < n; i += workers {
				if err := f(i); err != nil {
					errC <- fmt.Errorf("client %d: %w", i, err)
				}
			}
		})
	}
	wg.Wait()
	var errs []error
	for len(errC) > 0 && len(errs) < 5 {
		errs = append(errs, <-errC)
	}
	return errors.Join(errs...)
}

// joinSwarm connects from the address and subscribes to the channel of all.
func joinSwarm(addr, query, from string) (*client, error) {
	d := net.Dialer{Timeout: swarmPatience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn.(*net.TCPConn), in: bufio.NewReaderSize(conn, 512), key: upgradeKey, patience: swarmPatience}
	_ = conn.SetDeadline(time.Now().Add(swarmPatience))
	if _, err := io.WriteString(conn, upgradeHead("/v1?"+query)); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(resp.Status)
	}
	if c.welcome, err = c.next(); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, text(`{"type":"subscribe","channel":"all","requestId":"s"}`)); err != nil {
		return nil, err
	}
	ack, err := c.next()
	if err == nil && ack.text("type") != "ack" {
		err = fmt.Errorf("got %s, want an ack", ack)
	}
	return c, err
}

// leaveSwarm expects going_away, then close 1001, and answers it.
func leaveSwarm(c *client) error {
	f, err := c.next()
	if err != nil {
		return err
	}
	if f.text("type") != "going_away" {
		return fmt.Errorf("got %s, want going_away", f)
	}
	code, err := c.untilClose()
	if err != nil {
		return err
	}
	if code != ws.StatusGoingAway {
		return fmt.Errorf("close code: got %d, want 1001", code)
	}
	_, _ = io.WriteString(c.conn, masked(ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))) // the server may be gone
	return c.conn.Close()
}
