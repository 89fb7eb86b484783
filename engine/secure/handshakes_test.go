package secure

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hello returns the first flight of a client.
func hello(t *testing.T, cfg *tls.Config) []byte {
	t.Helper()
	a, b := net.Pipe()
	var client sync.WaitGroup
	client.Go(func() {
		_ = tls.Client(a, cfg).Handshake() // fails when b is closed
		_ = a.Close()
	})
	defer client.Wait()
	defer b.Close()
	buf := make([]byte, 64<<10)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// crowd begins n handshakes whose clients never answer, and returns them with
// how many have ended.
type crowd struct {
	members []*Handshake
	mu      sync.Mutex
	news    map[int]bool
}

func (c *crowd) join(s *Handshakes, hello []byte, n int) {
	for range n {
		i := len(c.members)
		c.members = append(c.members, s.Begin(hello, func() {
			c.mu.Lock()
			c.news[i] = true
			c.mu.Unlock()
		}))
	}
}

// ended counts those that were dropped, and finds the last of them.
func (c *crowd) ended(t *testing.T) (n, last int) {
	t.Helper()
	last = -1
	for i, h := range c.members {
		if _, ended, err := h.Take(nil); ended {
			if n, last = n+1, i; !errors.Is(err, ErrDropped) {
				t.Errorf("got %v, want %v", err, ErrDropped)
			}
		}
	}
	return n, last
}

// TestHalfOpen fills the server with handshakes that go nowhere: a good one waits
// no longer than they are suffered, and the oldest go first.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		first := hello(t, s.client(0))
		c := &crowd{news: make(map[int]bool)}
		c.join(s.handshakes, first, 200)
		time.Sleep(maxParked / 10) // the bubble's clock
		c.join(s.handshakes, first, maxRunning-200)
		synctest.Wait()
		if n, _ := c.ended(t); n != 0 {
			t.Fatalf("%d were dropped though there is room", n)
		}
		time.Sleep(maxParked / 2)
		c.join(s.handshakes, first, 100)
		begun := time.Now()
		nc, _ := s.connect(t, 64<<10, nil)
		sweepC := make(chan struct{})
		go func() {
			for {
				select {
				case now := <-time.After(200 * time.Millisecond):
					s.handshakes.Sweep(now)
				case <-sweepC:
					return
				}
			}
		}()
		good := tls.Client(nc, s.client(0))
		if err := good.Handshake(); err != nil {
			t.Fatal(err)
		}
		exchange(t, good, []byte("hello"))
		close(sweepC)
		if took := time.Since(begun); took > maxParked {
			t.Errorf("a good handshake took %s", took)
		}
		n, last := c.ended(t)
		if n != 101 || last >= 200 {
			t.Errorf("%d were dropped, the last is number %d; want 101 of the first 200", n, last)
		}
		_ = nc.Close()
		for _, h := range c.members {
			h.Abandon()
		}
		s.handshakes.Close()
	})
}

// TestWaitingBound drops those that have waited longest when too many wait.
func TestWaitingBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		first := hello(t, s.client(0))
		c := &crowd{news: make(map[int]bool)}
		c.join(s.handshakes, first, maxRunning+maxWaiting+3)
		synctest.Wait()
		for i, h := range c.members {
			_, ended, err := h.Take(nil)
			dropped := i >= maxRunning && i < maxRunning+3
			if ended != dropped || dropped && !(errors.Is(err, ErrDropped) && c.news[i]) {
				t.Errorf("number %d: got ended %v, %v, told %v; want %v", i, ended, err, c.news[i], dropped)
			}
		}
		s.handshakes.Close()
	})
}

// TestAbandon ends a handshake at each of its stages.
func TestAbandon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		first := hello(t, s.client(0))
		for _, parked := range []bool{false, true} {
			h := s.handshakes.Begin(first, func() {})
			if parked {
				synctest.Wait()
			}
			h.Abandon()
			synctest.Wait()
			if _, ended, err := h.Take(nil); !ended || !errors.Is(err, errAbandoned) {
				t.Errorf("parked %v: got ended %v, %v", parked, ended, err)
			}
		}
		s.handshakes.Close()
		h := s.handshakes.Begin(first, func() {})
		if _, ended, err := h.Take(nil); !ended || err == nil {
			t.Errorf("after Close: got ended %v, %v", ended, err)
		}
	})
}

// TestEarly bounds what is sent behind an unfinished handshake.
func TestEarly(t *testing.T) {
	s := newServer(t)
	h := s.handshakes.Begin(hello(t, s.client(0)), func() {})
	defer h.Abandon()
	noise := make([]byte, 16<<10)
	noise[0] = recordHandshake
	noise[1], noise[2], noise[3] = 3, 3, 0x40 // a record of 16 KiB that never ends
	var err error
	n := 0
	for ; n < 100 && err == nil; n++ {
		err = h.Feed(noise)
	}
	if !errors.Is(err, ErrEarly) {
		t.Errorf("after %d pieces: got %v, want %v", n, err, ErrEarly)
	}
}
