package reactor

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// batch sends b by Batch, or by Write where that is refused, as it is without a
// ring.
func (p *tap) batch(b string) {
	if !p.conn.Batch([]byte(b)) {
		p.conn.Write([]byte(b))
	}
}

// TestBatch sends to more connections than a ring takes at once, some of which
// read nothing and some of which are gone, with writes in between.
func TestBatch(t *testing.T) {
	for _, how := range []IOURing{IOURingAuto, IOURingOff} {
		t.Run(string(how), func(t *testing.T) {
			w := run(t, Config{IOURing: how})
			const n = 3*ringSize + 5
			var clients []*client
			var taps []*tap
			for range n {
				c, p := w.open()
				clients, taps = append(clients, c), append(taps, p)
			}
			gone, full := taps[7], taps[n-1]
			large := noise(24 << 20)
			w.loops[0].do(t, func() {
				_ = unix.Shutdown(int(gone.conn.gc.Fd()), unix.SHUT_RDWR)
				for i, p := range taps {
					if p == full {
						p.batch(large)
					} else {
						p.batch("first ")
					}
					if i%3 == 0 {
						p.conn.Write([]byte("second "))
					}
				}
				w.loops[0].waker.Submit()
				for _, p := range taps {
					p.batch("third")
				}
				w.loops[0].waker.Submit()
				w.loops[0].waker.Submit() // nothing
				if full.conn.Queued() == 0 || w.Reactor.loops[0].ring != nil && full.behind == 0 {
					t.Errorf("%d bytes are queued, heard of it %d times", full.conn.Queued(), full.behind)
				}
				taps[0].batch("last")
				taps[0].conn.Finish()
			})
			for i, c := range clients {
				switch {
				case taps[i] == gone:
					await(t, gone.closedC, "a Receiver has not heard of the end")
				case taps[i] == full:
					c.expect(large + "third")
				case i == 0:
					c.expect("first second thirdlast")
					c.expectEnd()
				case i%3 == 0:
					c.expect("first second third")
				default:
					c.expect("first third")
				}
			}
		})
	}
}

// TestBatchEnds has connections end while something is batched for them: it is sent
// and nothing after it.
func TestBatchEnds(t *testing.T) {
	large := noise(24 << 20)
	for _, tc := range []struct {
		name  string
		batch string
		end   func(*tap)
		want  string
	}{
		{"finished", "batched", func(p *tap) { p.conn.Finish() }, "batched"},
		{"closed", "batched", func(p *tap) { p.conn.abort() }, "batched"},
		{"finished as it is behind, by a write", large, func(p *tap) { p.conn.Write([]byte("late")) }, large},
		{"finished as it is behind, twice", large, func(p *tap) { p.conn.Finish() }, large},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := run(t, Config{IOURing: IOURingAuto})
			c, p := w.open()
			w.loops[0].do(t, func() {
				p.fall = p.conn.Finish
				if !p.conn.Batch([]byte(tc.batch)) { // there is no ring
					p.conn.Write([]byte(tc.batch))
					p.conn.Finish()
				}
				tc.end(p)
				w.loops[0].waker.Submit()
				w.lingerLong()
				if n := len(w.Reactor.loops[0].lingering); n > 1 {
					t.Errorf("it lingers %d times", n)
				}
			})
			c.expect(tc.want)
			c.expectEnd()
		})
	}
}

// TestRingRefused has a kernel that refuses the second ring.
func TestRingRefused(t *testing.T) {
	for _, tc := range []struct {
		how  IOURing
		fail bool
	}{{IOURingAuto, false}, {IOURingOn, true}, {IOURingOff, false}} {
		w := prepare(t, Config{Loops: 2, IOURing: IOURingOff})
		w.cfg.IOURing = tc.how
		made := 0
		err := w.openRings(func() (*ring, error) {
			if made++; made == 2 {
				return nil, unix.EPERM
			}
			return newRing()
		})
		if (err != nil) != tc.fail || tc.fail && made == 2 && !errors.Is(err, unix.EPERM) {
			t.Errorf("%s: got %v", tc.how, err)
		}
		for i, l := range w.Reactor.loops {
			if l.ring != nil {
				t.Errorf("%s: loop %d has a ring", tc.how, i)
			}
		}
		w.Release()
	}
}
