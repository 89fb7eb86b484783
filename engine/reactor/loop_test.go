package reactor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

func contextOf(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// TestLoopsStart expects each loop to be started once, and to answer, though
// nobody has connected.
func TestLoopsStart(t *testing.T) {
	w := run(t, Config{Loops: 4})
	for i, l := range w.loops {
		l.do(t, func() {})
		if n := l.started.Load(); n != 1 {
			t.Errorf("loop %d was started %d times", i, n)
		}
	}
}

// TestWakeFromAnywhere posts to all loops from many goroutines.
func TestWakeFromAnywhere(t *testing.T) {
	w := run(t, Config{Loops: 3})
	const posters, each = 16, 500
	counts := make([]int, len(w.loops)) // each is its loop's
	var wg sync.WaitGroup
	doneC := make(chan struct{})
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				n := (p + i) % len(w.loops)
				l := w.loops[n]
				l.mu.Lock()
				l.tasks = append(l.tasks, func() { counts[n]++ })
				l.mu.Unlock()
				if i%2 == 0 {
					l.waker.Wake()
				} else {
					l.waker.WakeFair()
				}
			}
		})
	}
	go func() { wg.Wait(); close(doneC) }()
	await(t, doneC, "a waker blocks")
	total := 0
	for i, l := range w.loops {
		l.do(t, func() { total += counts[i] })
	}
	if total != posters*each {
		t.Errorf("%d tasks have run, want %d", total, posters*each)
	}
}

// TestSocketsGetTheirTurn keeps a loop busy with work that asks for itself again.
func TestSocketsGetTheirTurn(t *testing.T) {
	for _, tc := range []struct {
		name string
		wake func(w *Waker)
	}{
		{"Wake", (*Waker).Wake},
		{"WakeFair", (*Waker).WakeFair},
		{"both", func(w *Waker) { w.Wake(); w.WakeFair() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := run(t, Config{})
			c, _ := w.open()
			l := w.loops[0]
			busy := true // the loop's
			l.do(t, func() {
				l.turn = func() {
					if busy {
						tc.wake(l.waker)
					}
				}
			})
			for range 100 {
				c.send("hello")
				c.expect("hello")
			}
			turns := l.turns.Load()
			l.do(t, func() { busy = false })
			if turns < 100 {
				t.Errorf("the loop had %d turns, but asked for more all the time", turns)
			}
		})
	}
}

// TestStop ends reactors at every stage of their start.
func TestStop(t *testing.T) {
	t.Run("never run", func(t *testing.T) {
		w := prepare(t, Config{Listen: ownHost() + ":0"})
		w.Release()
		expectFree(t, w.Addr().(*net.TCPAddr))
	})
	t.Run("at once", func(t *testing.T) {
		for range 20 {
			w := prepare(t, Config{Loops: 2, Listen: ownHost() + ":0"})
			w.start(nil)
			w.stop()
			expectFree(t, w.Addr().(*net.TCPAddr))
		}
	})
	t.Run("by the started hook", func(t *testing.T) {
		w := prepare(t, Config{})
		w.start(w.Stop)
		if err := await(t, w.endC, "Run has not returned"); err != nil {
			t.Error(err)
		}
		w.endC = nil
	})
	t.Run("twice, and with posters", func(t *testing.T) {
		w := run(t, Config{})
		var wg sync.WaitGroup
		wg.Go(w.Reactor.Stop)
		wg.Go(w.Reactor.Stop)
		for range 1000 {
			w.loops[0].waker.Wake()
			w.loops[0].waker.WakeFair()
		}
		wg.Wait()
		w.stop()
		w.loops[0].waker.Wake()
		w.loops[0].waker.WakeFair()
	})
	t.Run("with connections", func(t *testing.T) {
		w := run(t, Config{Loops: 2})
		var taps []*tap
		for range 10 {
			_, p := w.open()
			taps = append(taps, p)
			w.dial()
		}
		w.stop()
		for _, p := range taps {
			await(t, p.closedC, "a Receiver has not heard of the end")
		}
		if n := w.Conns(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// ownHost returns a loopback address of this process alone: of a port there nobody else
// listens on, or connects from, once it is closed.
func ownHost() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 128|pid>>16&127, pid>>8&255, pid&255)
}

// expectFree expects nobody to use an address of ownHost.
func expectFree(t *testing.T, addr *net.TCPAddr) {
	t.Helper()
	ln, err := net.ListenTCP("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
}

// TestLoopsEndByThemselves expects Run to say so, and nobody to wait for ever.
func TestLoopsEndByThemselves(t *testing.T) {
	w := prepare(t, Config{})
	startedC := make(chan struct{})
	go func() { w.endC <- w.Run([]Loop{w.loops[0]}, func() { close(startedC) }) }()
	await(t, startedC, "not started")
	w.halt()
	if err := await(t, w.endC, "Run has not returned"); !errors.Is(err, errEnded) {
		t.Errorf("got error %v, want %v", err, errEnded)
	}
	w.Stop()
}

func TestListen(t *testing.T) {
	taken := run(t, Config{Loops: 2})
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tests := []struct {
		name, listen string
		ok           bool
	}{
		{"port 0", "127.0.0.1:0", true},
		{"all addresses", ":0", true},
		{"all of IPv4", "0.0.0.0:0", true},
		{"a name", "localhost:0", true},
		{"taken by a reactor", taken.Addr().String(), false},
		{"taken by another program", other.Addr().String(), false},
		{"no port", "127.0.0.1", false},
		{"no such port", "127.0.0.1:99999", false},
		{"not our address", "192.0.2.1:0", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !test.ok {
				if r, err := New(Config{Listen: test.listen, Loops: 1}); err == nil {
					r.Release()
					t.Error("got a reactor, want an error")
				}
				return
			}
			w := run(t, Config{Listen: test.listen})
			if w.Addr().(*net.TCPAddr).Port == 0 {
				t.Fatalf("got address %v", w.Addr())
			}
			c, _ := w.openAt(w.Addr().(*net.TCPAddr).Port)
			c.send("hello")
			c.expect("hello")
		})
	}
}

// openAt is open for a reactor that listens on more than one address.
func (w *world) openAt(port int) (*client, *tap) {
	w.t.Helper()
	c := dialTo(w.t, (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String())
	c.send(goodHead)
	c.expectSwitch()
	return c, await(w.t, w.gate.tapC, "no connection was admitted")
}

// TestDescriptorsStay expects a reactor to leave no descriptor open.
func TestDescriptorsStay(t *testing.T) {
	once := func() {
		w := run(t, Config{Loops: 2})
		c, _ := w.open()
		_ = c.Close()
		w.expectNone()
		w.stop()
	}
	once() // what belongs to the process is there now
	before := inUse()
	for range 5 {
		once()
	}
	for deadline := time.Now().Add(patience); inUse() > before; { // the runtime closes some a little later
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors are open, %d before", inUse(), before)
		}
		runtime.Gosched()
	}
}

// TestWriteLeavesAtOnce expects a lone write not to wait for the loop.
func TestWriteLeavesAtOnce(t *testing.T) {
	w := run(t, Config{})
	c, p := w.open()
	w.loops[0].do(t, func() {
		p.conn.Write([]byte("now"))
		c.expect("now") // while the loop is held
	})
}
