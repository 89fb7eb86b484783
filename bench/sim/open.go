package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/target"
	"signalbox/engine/auth"
)

// role is what a session is for.
type role struct {
	peer        string
	channels    []string
	permissions []string // nil: all
}

// watches reports whether the session gets presence.
func (r role) watches() bool { return r.permissions == nil }

// replies is how many frames the server sends the session when it comes, beside
// the welcome: an ack a subscription, and a snapshot.
func (r role) replies() int {
	if r.watches() {
		return 2 * len(r.channels)
	}
	return len(r.channels)
}

// token signs what the session shows on connecting.
func (w *world) token(r role) (string, error) {
	token, _, err := w.key.Sign(auth.Claims{PeerID: r.peer, Permissions: r.permissions, ExpiresIn: auth.MaxExpiresIn}, time.Now())
	return token, err
}

// connect is the event of an upgrade, and then that of the subscribes.
func (l *loop) connect(w *world, c *conn, r role, token string) {
	l.upper.Begin()
	id, err := w.keys.VerifyToken(token, time.Now())
	if err == nil {
		c.session = l.upper.Open(c, id, nil)
	}
	if c.session == nil {
		l.finished.Add(1)
		return
	}
	l.push(func() {
		var frames []byte
		for _, name := range r.channels {
			frames = target.AppendSubscribe(frames, name, "1")
		}
		l.feed(c, frames)
	})
}

// openWindow is how many replies may be outstanding at a loop while sessions are
// opened.
const openWindow = 256

// open opens sessions until there are n, as roles says.
func (w *world) open(n int, roles func(i int) role, progress func(done int)) error {
	from, total := w.count, 0
	for i := from; i < n; i++ {
		total += roles(i).replies()
	}
	left := newLatch(total)
	windows := make([]chan struct{}, len(w.loops))
	for i := range windows {
		windows[i] = make(chan struct{}, openWindow)
	}
	err := w.each(func(l *loop) { l.hear = openingHear(windows, left) })
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var signers sync.WaitGroup
	defer signers.Wait()
	defer cancel() // before the Wait, if the wait has failed
	for k := range w.loops {
		signers.Go(func() { w.admit(ctx, k, from, n, roles, windows[k]) })
	}
	err = w.wait(left, func(left int) { progress((total - left) * (n - from) / total) })
	if err != nil {
		return err
	}
	w.count = n
	return w.each(func(l *loop) { l.hear = nil })
}

// openingHear counts the replies to sessions that are opened. The window is
// given back with the ack.
func openingHear(windows []chan struct{}, left *latch) func(*conn, client.Kind, int) {
	return func(c *conn, kind client.Kind, _ int) {
		switch kind {
		case client.Ack:
			<-windows[c.loop.index]
			left.done(1)
		case client.Presence:
			left.done(1)
		}
	}
}

// admit signs the tokens of one loop's sessions and has them connect.
func (w *world) admit(ctx context.Context, k, from, n int, roles func(int) role, window chan struct{}) {
	loops := len(w.loops)
	for i := from + (k-from%loops+loops)%loops; i < n; i += loops {
		r := roles(i)
		token, err := w.token(r)
		if err != nil {
			w.loops[k].finished.Add(1)
			return
		}
		for range r.channels {
			select {
			case window <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		c, l := &w.conns[k][i/loops], w.loops[k]
		l.do(func() { l.connect(w, c, r, token) })
	}
}

// hangUp closes all sessions as lost connections do, and checks that the hub
// has forgotten them.
func (w *world) hangUp(progress func(done int)) error {
	left := newLatch(w.count)
	err := w.each(func(l *loop) {
		rest := w.conns[l.index]
		l.source = func() func() {
			for len(rest) > 0 {
				c := &rest[0]
				if rest = rest[1:]; c.session != nil {
					return func() {
						l.hangUp(c)
						left.done(1)
					}
				}
			}
			return nil
		}
	})
	if err != nil {
		return err
	}
	count := w.count
	if err := w.wait(left, func(left int) { progress(count - left) }); err != nil {
		return err
	}
	w.count = 0
	// Twice: the turn that buries the last sessions follows their event.
	for range 2 {
		if err := w.each(func(l *loop) { l.source = nil }); err != nil {
			return err
		}
	}
	if n := w.hub.App(appID).Quota.Usage(time.Now()).ConcurrentNow; n != 0 {
		return fmt.Errorf("sim: %d sessions are still counted after all have closed", n)
	}
	return nil
}
