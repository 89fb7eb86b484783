package session

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// holdBack returns a publisher to a loop that is behind, so that what it says waits,
// and what ends that.
func holdBack(t *testing.T, limits Limits) (a *alone, w *wire, release func()) {
	a = newAlone(t, limits)
	listener := a.open(identify(t, a.Keys(), "listener", "", all, 86400))
	listener.deaf = true
	listener.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"c"}`)))
	w = a.open(identify(t, a.Keys(), "publisher", "", all, 86400))
	a.loop.inbound.Add(maxInbound + 1)
	w.publish()
	if w.session.Ready() {
		t.Fatal("the publisher is not held")
	}
	return a, w, func() { a.loop.inbound.Add(-maxInbound - 1) }
}

// publish feeds one message to the channel of holdBack.
func (w *wire) publish() { w.feed(clientFrame(1, []byte(`{"type":"publish","channel":"c","data":1}`))) }

// TestRateOfHeldClient: what a client says while the server holds it counts as if it
// had been taken as it came.
func TestRateOfHeldClient(t *testing.T) {
	const rate, burst, seconds = 100, 20, 5
	for _, tc := range []struct {
		name  string
		every time.Duration
		held  int // times that the server holds it
		want  int // close code
	}{
		{"within its rate", 11 * time.Millisecond, 1, 0},
		{"within its rate, again and again", 11 * time.Millisecond, 20, 0},
		{"beyond its rate", 9 * time.Millisecond, 1, 4011},
		{"beyond its rate, again and again", 5 * time.Millisecond, 20, 4011},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits := testLimits()
				limits.MessageRate, limits.MessageBurst = rate, burst
				a, w, release := holdBack(t, limits)
				for i := range tc.held {
					if i > 0 {
						a.loop.inbound.Add(maxInbound + 1)
					}
					for end := time.Now().Add(seconds * time.Second / time.Duration(tc.held)); time.Now().Before(end); {
						a.pass(tc.every)
						w.publish()
					}
					release()
					a.pass(2 * maxCrowded * time.Millisecond)
				}
				if got := w.closeCode(); got != tc.want {
					t.Errorf("closed with %d, want %d", got, tc.want)
				}
			})
		})
	}
}

// TestRateOfPausedClient: of what a client says while the server holds it, most is
// left in the socket and comes once it is let go. That counts as if it had been taken
// as it came, for as long as it may have waited and no longer.
func TestRateOfPausedClient(t *testing.T) {
	const rate, burst, held = 100, 20, 5 * time.Second
	frame := clientFrame(1, fmt.Appendf(nil, `{"type":"publish","channel":"c","data":"%s"}`, strings.Repeat("x", 500)))
	for _, tc := range []struct {
		name  string
		every time.Duration // that it says something
		after time.Duration // from its release until the rest comes
		want  int           // close code
	}{
		{"within its rate", 11 * time.Millisecond, 0, 0},
		{"within its rate, over a long way", 11 * time.Millisecond, held / 2, 0},
		{"beyond its rate", 9 * time.Millisecond, 0, 4011},
		{"long after", 11 * time.Millisecond, 2 * held, 4011},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits := testLimits()
				limits.MessageRate, limits.MessageBurst = rate, burst
				a, w, release := holdBack(t, limits)
				w.more = true
				var socket [][]byte
				for end := time.Now().Add(held); time.Now().Before(end); {
					a.pass(tc.every)
					if len(w.unread) < 64<<10 {
						w.feed(frame)
					} else {
						socket = append(socket, frame)
					}
				}
				if len(socket) <= burst {
					t.Fatal("nothing is left in the socket")
				}
				release()
				a.pass(2*maxCrowded*time.Millisecond + tc.after)
				for _, b := range socket {
					w.feed(b)
				}
				if got := w.closeCode(); got != tc.want {
					t.Errorf("closed with %d, want %d", got, tc.want)
				}
			})
		})
	}
}

// TestHeldClientWithoutBounds: a rate and a burst that are as good as none stay that.
func TestHeldClientWithoutBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits()
		limits.MessageRate, limits.MessageBurst = 1000, math.MaxInt
		a, w, release := holdBack(t, limits)
		a.pass(time.Second)
		for range 10 {
			w.publish()
		}
		release()
		a.pass(time.Second)
		if got := w.closeCode(); got != 0 {
			t.Errorf("closed with %d", got)
		}
	})
}

// TestBurstAfterHold: having been held is worth nothing later.
func TestBurstAfterHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits()
		limits.MessageRate, limits.MessageBurst = 100, 20
		a, w, release := holdBack(t, limits)
		a.pass(10 * time.Second)
		w.publish()
		release()
		a.pass(time.Second)
		for i := range limits.MessageBurst + 1 {
			if w.over {
				t.Fatalf("closed after %d messages", i)
			}
			w.publish()
		}
		if got := w.closeCode(); got != 4011 {
			t.Errorf("closed with %d, want 4011", got)
		}
		if w.session.under().since != 0 {
			t.Error("input still waits")
		}
	})
}

// TestHeldClientIsThere: a client's signs of life wait with the rest of its input
// while the server holds it; nobody is taken for silent for that.
func TestHeldClientIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits()
		limits.PingInterval = time.Second
		a, w, release := holdBack(t, limits)
		a.pass(10 * time.Second)
		release()
		a.pass(maxCrowded * time.Millisecond)
		if got := w.closeCode(); got != 0 {
			t.Errorf("closed with %d when it was let go", got)
		}
		a.pass(3 * time.Second)
		if got := w.closeCode(); got != 4000 {
			t.Errorf("closed with %d after it was silent, want 4000", got)
		}
	})
}
