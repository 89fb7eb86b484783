package secure

import (
	"container/list"
	"crypto/tls"
	"runtime"
	"sync"
	"time"
)

const (
	maxRunning = 1024 // handshakes with a goroutine, nearly all of them parked
	maxWaiting = 8192 // handshakes that have none yet
	// maxParked is how long a handshake may keep others waiting because it waits
	// for its client.
	maxParked = time.Second
)

// Handshakes runs handshakes beside the event loops.
type Handshakes struct {
	// Immutable.
	cfg      *tls.Config
	computeC chan struct{}  // holds a token for each handshake that computes
	workers  sync.WaitGroup // goroutines that run handshakes

	// Guarded by mu.
	mu      sync.Mutex
	running int
	parked  list.List // of *Handshake, those that have waited for their client, in that order
	waiting list.List // of *Handshake, those that have not begun, in order
	closed  bool
}

// NewHandshakes returns what runs handshakes with this configuration.
func NewHandshakes(cfg *tls.Config) *Handshakes {
	return &Handshakes{cfg: cfg, computeC: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// Begin begins a handshake with a connection that has sent hello, which is
// borrowed until it returns. news is called whenever there is something to Take,
// once until it is taken; it must not block, nor call the Handshake.
func (s *Handshakes) Begin(hello []byte, news func()) *Handshake {
	h := &Handshake{all: s, news: news, conn: &Conn{}, moreC: make(chan struct{}, 1), in: append([]byte(nil), hello...)}
	h.conn.wire.hs = h
	h.conn.tls = tls.Server(&h.conn.wire, s.cfg)
	if crowded := s.admit(h); crowded != nil {
		crowded.drop(ErrDropped)
		crowded.end(ErrDropped)
	}
	return h
}

// admit starts h or has it wait. It returns who must go for that.
func (s *Handshakes) admit(h *Handshake) (crowded *Handshake) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running < maxRunning && !s.closed {
		s.running++
		s.workers.Go(func() { s.work(h) })
		return nil
	}
	s.waiting.PushBack(h)
	s.makeRoom(time.Now())
	if s.waiting.Len() > maxWaiting || s.closed {
		return s.waiting.Remove(s.waiting.Front()).(*Handshake)
	}
	return nil
}

// work runs h, and then those that wait.
func (s *Handshakes) work(h *Handshake) {
	for h != nil {
		s.computeC <- struct{}{}
		h.run()
		<-s.computeC
		h = s.next(h)
	}
}

// next returns whom to run after h, nil if nobody waits.
func (s *Handshakes) next(h *Handshake) *Handshake {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.parked != nil {
		s.parked.Remove(h.parked)
	}
	if e := s.waiting.Front(); e != nil {
		return s.waiting.Remove(e).(*Handshake)
	}
	s.running--
	return nil
}

// park notes that h is to wait for its client.
func (s *Handshakes) park(h *Handshake) {
	s.mu.Lock()
	h.waiting = true
	if h.parked == nil {
		h.since, h.parked = time.Now(), s.parked.PushBack(h)
	}
	if s.closed {
		h.drop(errAbandoned)
	}
	s.mu.Unlock()
	<-s.computeC
}

// unpark notes that h goes on.
func (s *Handshakes) unpark(h *Handshake) {
	s.mu.Lock()
	h.waiting = false
	s.mu.Unlock()
	s.computeC <- struct{}{}
}

// Sweep drops handshakes that wait for their clients while others wait for them.
// It is to be called a few times a second.
func (s *Handshakes) Sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoom(now)
}

// makeRoom drops as many parked handshakes as there are that have not begun, the
// oldest first. mu is held.
func (s *Handshakes) makeRoom(now time.Time) {
	wanted := s.waiting.Len()
	for e := s.parked.Front(); e != nil && wanted > 0; e = e.Next() {
		h := e.Value.(*Handshake)
		if now.Sub(h.since) < maxParked {
			return
		}
		if h.waiting {
			h.drop(ErrDropped)
			wanted--
		}
	}
}

// Close ends all handshakes and waits until they have. Begin may still be called,
// to no avail.
func (s *Handshakes) Close() {
	s.mu.Lock()
	s.closed = true
	s.waiting.Init()
	for e := s.parked.Front(); e != nil; e = e.Next() {
		e.Value.(*Handshake).drop(errAbandoned)
	}
	s.mu.Unlock()
	s.workers.Wait()
}
