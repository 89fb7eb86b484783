package reactor

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv tells this program to serve with few descriptors instead of testing.
const childEnv = "SIGNALBOX_REACTOR_CHILD"

const (
	// fewDescriptors is the child's limit: it leaves room for some connections.
	fewDescriptors = 256
	// othersOfChild is what the child keeps for the rest of its process.
	othersOfChild = 64
)

// serveWithFewDescriptors runs a reactor, tells its address and capacity, opens as many
// files as each number of its input says, and stops at the input's end. What its
// sidecar gets it keeps until the client closes.
func serveWithFewDescriptors() int {
	limit := unix.Rlimit{Cur: fewDescriptors, Max: fewDescriptors}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	r, err := New(Config{
		Listen: "127.0.0.1:0", Loops: 2, Others: othersOfChild, HandshakeTimeout: patience, MaxUnread: 1 << 20,
		Gate: &tapGate{}, Logger: slog.New(slog.DiscardHandler),
		Sidecar: func(c net.Conn, _ []byte) {
			go func() {
				_, _ = io.WriteString(c, "kept")
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}()
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		openOthers(os.Stdin)
		r.Stop()
	}()
	err = r.Run([]Loop{&testLoop{}, &testLoop{}}, func() { fmt.Println(r.Addr(), r.Capacity()) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// openOthers opens files, as the rest of a server opens connections, until its input
// ends, and says how many it has got.
func openOthers(in io.Reader) {
	var open []*os.File
	for n := 0; ; {
		if _, err := fmt.Fscan(in, &n); err != nil {
			for _, f := range open {
				_ = f.Close() // nothing was written
			}
			return
		}
		for range n {
			if f, err := os.Open(os.DevNull); err == nil {
				open = append(open, f)
			}
		}
		fmt.Println(len(open))
	}
}

// child is a reactor in another process.
type child struct {
	t        *testing.T
	addr     string
	capacity int
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Reader
}

func startChild(t *testing.T) *child {
	t.Helper()
	ch := &child{t: t, cmd: exec.Command(os.Args[0])}
	ch.cmd.Env = append(os.Environ(), childEnv+"=1")
	ch.cmd.Stderr = os.Stderr
	in, err := ch.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	ch.in = in
	out, err := ch.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ch.cmd.Process.Kill(); _ = ch.cmd.Wait() })
	ch.out = bufio.NewReader(out)
	line, _ := ch.out.ReadString('\n')
	if _, err := fmt.Sscan(line, &ch.addr, &ch.capacity); err != nil || ch.capacity < 20 {
		t.Fatalf("the child says %q", line)
	}
	return ch
}

// openOthers has the child open so many more files, all in all.
func (ch *child) openOthers(n, all int) {
	ch.t.Helper()
	_, _ = fmt.Fprintln(ch.in, n) // an error shows below
	line, _ := ch.out.ReadString('\n')
	if got, err := strconv.Atoi(strings.TrimSpace(line)); err != nil || got != all {
		ch.t.Fatalf("the child has opened %q of %d files", line, all)
	}
}

// finish ends the child and expects it to end well.
func (ch *child) finish() {
	ch.t.Helper()
	_ = ch.in.Close()
	doneC := make(chan error, 1)
	go func() { doneC <- ch.cmd.Wait() }()
	if err := await(ch.t, doneC, "the child does not end"); err != nil {
		ch.t.Errorf("the child: %v", err)
	}
}

// try connects, sends what is given and returns the status, 200 for what the
// sidecar keeps and 0 for a connection closed without a word.
func (ch *child) try(send string) (*client, int) {
	c := dialTo(ch.t, ch.addr)
	_, _ = io.WriteString(c, send) // may be refused already
	if word, _ := c.in.Peek(4); string(word) == "kept" {
		return c, 200
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return c, 0
	}
	return c, resp.StatusCode
}

// TestFullOfConnections uses up the descriptors: the connections beyond are
// refused, the first of them with a word, and room is used again.
func TestFullOfConnections(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	tests := []struct {
		name, send string
		accepted   int
	}{
		{"upgraded", goodHead, 101},
		{"with the sidecar", request, 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ch := startChild(t)
			var open []*client
			for range ch.capacity {
				c, status := ch.try(test.send)
				if status != test.accepted {
					t.Fatalf("connection %d of %d: status %d, want %d", len(open), ch.capacity, status, test.accepted)
				}
				open = append(open, c)
			}
			for i := range 2 * fewDescriptors {
				_, status := ch.try(goodHead)
				if status != 503 && (status != 0 || i < refusing) {
					t.Fatalf("connection %d beyond the capacity: status %d, want 503", i, status)
				}
			}
			_ = open[0].Close()
			ch.untilServed()
			open[1].send("still here")
			if test.accepted == 101 {
				open[1].expect("still here")
			}
			ch.finish()
		})
	}
}

// TestOthersDescriptors has the rest of the process open descriptors, before and after
// clients have taken all that they may: accept still finds one.
func TestOthersDescriptors(t *testing.T) {
	for _, test := range []struct {
		name          string
		before, after int // what others open, before and after the flood of clients
	}{
		{"what was kept for them", 0, othersOfChild},
		{"as much again, but first", 2 * othersOfChild, othersOfChild},
	} {
		t.Run(test.name, func(t *testing.T) {
			ch := startChild(t)
			ch.openOthers(test.before, test.before)
			var open []*client
			flood := func() (served int) {
				for range fewDescriptors {
					c, status := ch.try(goodHead)
					if open = append(open, c); status == 101 {
						served++
					}
				}
				return served
			}
			if served := flood(); served < 1 || test.before == 0 && served != ch.capacity {
				t.Errorf("%d connections are served, want some, and %d when others have none", served, ch.capacity)
			}
			ch.openOthers(test.after, test.before+test.after)
			if served := flood(); served > 0 {
				t.Errorf("%d more connections are served when the server is full", served)
			}
			for _, c := range open {
				_ = c.Close()
			}
			ch.untilServed()
			ch.finish()
		})
	}
}

// untilServed connects until it is let in.
func (ch *child) untilServed() {
	ch.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		c, status := ch.try(goodHead)
		if status == 101 {
			_ = c.Close()
			return
		}
		_ = c.Close()
		if time.Now().After(deadline) {
			ch.t.Fatalf("not served any more: status %d", status)
		}
	}
}

// TestAcceptBursts connects far more often at once than there is room, with
// silent connections, requests and upgrades.
func TestAcceptBursts(t *testing.T) {
	ch := startChild(t)
	for range 3 {
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				nc, err := net.DialTimeout("tcp", ch.addr, patience)
				if err != nil {
					t.Error(err)
					return
				}
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(patience))
				if i%3 == 0 {
					return
				}
				head := goodHead
				if i%3 == 1 {
					head = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
				}
				_, _ = io.WriteString(nc, head) // may be refused already
				_, _ = io.ReadFull(nc, make([]byte, 4))
			})
		}
		wg.Wait()
	}
	ch.untilServed()
	ch.finish()
}

func TestNoDescriptorsLeft(t *testing.T) {
	if err := new(budget).measure(1<<40, 0); err == nil || !strings.Contains(err.Error(), "leaves none") {
		t.Errorf("got error %v", err)
	}
}
