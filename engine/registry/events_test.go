package registry

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// turns hears peers come and go, each in its turn.
type turns struct {
	t  *testing.T
	mu sync.Mutex
	// Guarded by mu.
	online map[string]bool
	steps  int
}

func (o *turns) Online(peer string)  { o.step(peer, true) }
func (o *turns) Offline(peer string) { o.step(peer, false) }

func (o *turns) step(peer string, online bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.steps++; o.online[peer] == online {
		o.t.Errorf("%s: told twice in turn that online is %v", peer, online)
	}
	o.online[peer] = online
}

func (*turns) Joined(string, string, string, int) {}
func (*turns) Left(string, string, int)           {}

// TestPeersTakeTurns has loops open and close sockets of few peers at once: what
// is told of a peer is in the order in which it happened.
func TestPeersTakeTurns(t *testing.T) {
	const loops, peers = 4, 3
	heard := &turns{t: t, online: map[string]bool{}}
	s := NewSpace(loops)
	s.Events = heard
	var done sync.WaitGroup
	for loop := range loops {
		done.Go(func() {
			random := rand.New(rand.NewPCG(uint64(loop), 5))
			for i := range uint32(5000) {
				peer, r := fmt.Sprint("p", random.IntN(peers)), NewRef(loop, i, 0)
				s.Enter(peer, r)
				s.Exit(peer, r)
			}
		})
	}
	done.Wait()
	for peer, online := range heard.online {
		if online {
			t.Errorf("%s is told to be online", peer)
		}
	}
	if heard.steps < 2*peers {
		t.Errorf("told of %d steps", heard.steps)
	}
}
