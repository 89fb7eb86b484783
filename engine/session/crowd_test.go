package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"signalbox/engine/cluster"
	"signalbox/engine/registry"
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// TestLongMessagesTakeTurns: messages of 60 KB to a thousand subscribers are written
// some subscribers a turn, whoever they come from; who publishes faster than that
// waits, and who publishes elsewhere does not.
func TestLongMessagesTakeTurns(t *testing.T) {
	const subscribers, messages = 1000, 24
	long := strings.Repeat("x", 60<<10)
	text := func(i int) []byte { return fmt.Appendf(nil, `"%d %s"`, i, long) }
	for _, tc := range []struct {
		name string
		from func(t *testing.T, c *crew) (publish func(i int), waits func() bool)
	}{
		{"from a client of the loop", func(t *testing.T, c *crew) (func(int), func() bool) {
			return byClient(c.open(t, 0, "publisher", ""), text)
		}},
		{"from a client of another loop", func(t *testing.T, c *crew) (func(int), func() bool) {
			return byClient(c.open(t, 1, "publisher", ""), text)
		}},
		{"by REST", func(t *testing.T, c *crew) (func(int), func() bool) {
			nextC, under := make(chan int, messages), new(atomic.Int32)
			go func() {
				for i := range nextC {
					if _, err := c.Publish(context.Background(), "app_one", "large", "system", nil, text(i)); err != nil {
						t.Error(err)
					}
					under.Add(-1)
				}
			}()
			t.Cleanup(func() { close(nextC) })
			return func(i int) { under.Add(1); nextC <- i }, func() bool { return under.Load() > 0 }
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits := testLimits()
				limits.MaxMessageSize, limits.MaxBacklogTotal = 64<<10, 0
				c := newCrew(t, 2, limits)
				var first, last *wire
				for i := range subscribers {
					last = c.open(t, 0, fmt.Sprint("s", i%10), "")
					if first == nil {
						first = last
					}
					last.deaf = true
					last.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"large"}`)))
				}
				other := c.open(t, 0, "other", "")
				other.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"small"}`)))
				c.pass(time.Second)
				publish, waits := tc.from(t, c)
				first.deaf, last.deaf = false, false

				l := c.loops[0]
				held := false
				for i := range messages {
					if !c.bounded(func() { publish(i) }) {
						t.Fatalf("message %d is written in one go", i)
					}
					if waits() && !held {
						held = true
						if other.publishIn("small"); !other.session.Ready() {
							t.Error("who publishes to another channel waits")
						}
					}
					if pending := l.pending("large"); pending > 2*l.budget.flush {
						t.Fatalf("%d bytes are pending", pending)
					}
				}
				if !held {
					t.Error("the publisher never waits")
				}
				for n := 0; waits() || l.pending("large") > 0; n++ {
					if n == 10_000 {
						t.Fatal("it never ends")
					}
					time.Sleep(100 * time.Microsecond)
					if !c.bounded(func() {}) {
						t.Fatal("a turn writes to all")
					}
				}
				c.turns()
				if l.full.Load() != nil {
					t.Errorf("at rest %d channels are full", len(l.fullChannels()))
				}
				for _, w := range []*wire{first, last} {
					n := 0
					for _, s := range w.take() {
						if strings.HasPrefix(string(s.payload), `{"type":"message"`) {
							if want := fmt.Sprintf(`"data":"%d x`, n); !strings.Contains(string(s.payload), want) {
								t.Fatalf("message %d is %.100s", n, s.payload)
							}
							n++
						}
					}
					if n != messages {
						t.Errorf("got %d messages, want %d", n, messages)
					}
				}
			})
		})
	}
}

// byClient publishes from w, which waits when the session is held.
func byClient(w *wire, text func(i int) []byte) (publish func(i int), waits func() bool) {
	return func(i int) {
		w.feed(clientFrame(1, fmt.Appendf(nil, `{"type":"publish","channel":"large","data":%s}`, text(i))))
	}, func() bool { return !w.session.Ready() }
}

func (w *wire) publishIn(channel string) {
	w.feed(clientFrame(1, fmt.Appendf(nil, `{"type":"publish","channel":%q,"data":1}`, channel)))
}

// pending is how many bytes wait in the loop for a channel's subscribers.
func (l *Loop) pending(channel string) int {
	return l.hub.App("app_one").Space.Find(channel).Part(l.index).Bytes()
}

// bounded does something and gives every loop that wants one a turn, and reports
// whether no step has written more than a turn may.
func (c *crew) bounded(do func()) bool {
	l := c.loops[0]
	most := uint64(l.budget.writes*writeBytes + 2*l.budget.flush)
	ok := true
	step := func(f func()) {
		before := l.counts.BytesOut
		f()
		ok = ok && l.counts.BytesOut-before <= most
	}
	step(do)
	synctest.Wait()
	for i, l := range c.loops {
		if c.flags[i].up.Swap(false) {
			step(l.Turn)
		}
	}
	return ok
}

// TestLongMessagesFromAfar: other nodes' messages to one channel do not wait, as all
// others would wait with them: what is gathered of them is bounded.
func TestLongMessagesFromAfar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits()
		limits.MaxMessageSize, limits.MaxBacklogTotal = 64<<10, 0
		c := newCrew(t, 1, limits)
		l := c.loops[0]
		w := c.open(t, 0, "s", "")
		w.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"large"}`)))
		c.pass(time.Second)
		w.deaf = true
		const messages = 400
		far := c.Remote()
		data := []byte(`"` + strings.Repeat("x", 60<<10) + `"`)
		p := fromAfar("large", data)
		before := l.counts.BytesOut
		for range messages {
			far.Publish(p, nil)
			l.Begin()
			if n := l.pending("large"); n > mostPending*l.budget.flush {
				t.Fatalf("%d bytes are pending", n)
			}
		}
		c.pass(100 * time.Millisecond)
		if got, want := l.counts.BytesOut-before, uint64(messages*len(p.Frame)); got != want {
			t.Errorf("wrote %d bytes, want %d", got, want)
		}
		if l.full.Load() != nil {
			t.Error("a channel is full at rest")
		}
	})
}

// TestManyFullChannelsFromAfar: what is gathered of other nodes' messages is bounded
// over all channels, too.
func TestManyFullChannelsFromAfar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const channels, messages = 20, 2000
		limits := testLimits()
		limits.MaxMessageSize, limits.MaxBacklogTotal = 64<<10, 0
		c := newCrew(t, 1, limits)
		l := c.loops[0]
		w := c.open(t, 0, "s", "")
		for k := range channels {
			w.feed(clientFrame(1, fmt.Appendf(nil, `{"type":"subscribe","channel":"c%d"}`, k)))
		}
		c.pass(time.Second)
		w.deaf = true
		far := c.Remote()
		data := []byte(`"` + strings.Repeat("x", 60<<10) + `"`)
		before, said := l.counts.BytesOut, new(atomic.Int64)
		go func() {
			for i := range messages {
				name := fmt.Sprint("c", i%channels)
				far.Publish(fromAfar(name, data), nil)
				said.Add(1)
			}
		}()
		for range 2 * messages * len(data) / (maxInbound + 1) {
			synctest.Wait() // it has sent what it may, which is read but not written
			l.Begin()
			time.Sleep(2 * maxCrowded * time.Millisecond)
		}
		pending := 0
		for k := range channels {
			pending += l.pending(fmt.Sprint("c", k))
		}
		if most := 2*maxInbound + channels*l.budget.flush; pending > most || said.Load() == messages {
			t.Errorf("%d bytes are pending, want at most %d", pending, most)
		}
		c.pass(10 * time.Second)
		if got, want := said.Load(), int64(messages); got != want {
			t.Errorf("only %d messages have come, want %d", got, want)
		}
		if got, want := l.counts.BytesOut-before, uint64(messages*len(data)); got < want {
			t.Errorf("wrote %d bytes, want %d or more", got, want)
		}
		if n := l.inbound.Load(); n != 0 {
			t.Errorf("at rest %d bytes wait", n)
		}
	})
}

// TestLeftOverStaysInFront: what a flush leaves over is written before the deltas of
// others, also of a channel that has deltas to tell itself.
func TestLeftOverStaysInFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, testLimits())
		l := c.loops[0]
		l.budget.flush = 100
		w := c.open(t, 0, "s", "")
		w.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"c"}`)))
		c.pass(time.Second)
		part := l.hub.App("app_one").Space.Find("c").Part(0)
		l.soilQuietly(part)
		for range 5 {
			_, _ = c.Publish(canceled(), "app_one", "c", "system", nil, []byte(`"0123456789012345678901234567890123456789"`))
		}
		l.Begin()
		for n := 0; part.Bytes() > 0; n++ {
			if n == 10 {
				t.Fatal("it is never written")
			}
			if l.Turn(); part.Bytes() > 0 && part.Out.Lines&inFrames == 0 {
				t.Errorf("after turn %d it is among those with nothing but deltas", n)
			}
		}
	})
}

// fromAfar is a message of another node.
func fromAfar(channel string, data []byte) cluster.Publication {
	text := protocol.AppendMessage(nil, channel, "afar", nil, data)
	return cluster.Publication{App: "app_one", Channel: channel, From: "afar", Data: data, Frame: frame.AppendFrame(nil, frame.OpText, text)}
}

// TestFullPartIsFollowed: the last subscriber of a full channel on a loop leaves, and
// others come before what was pending is gone: for them the channel is full, too.
func TestFullPartIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, testLimits())
		l := c.loops[0]
		l.budget.flush = 1000
		first, next := c.open(t, 0, "first", ""), c.open(t, 0, "next", "")
		for _, w := range []*wire{c.open(t, 1, "home", ""), first} {
			w.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"c"}`)))
			c.pass(time.Second)
		}
		ch := c.App("app_one").Space.Find("c")
		data := []byte(`"` + strings.Repeat("x", 900) + `"`)
		fill := func() *registry.Part { // without a turn
			for range 4 {
				c.publishHere(fromAfar("c", data), nil)
			}
			l.Begin()
			return ch.Part(0)
		}
		before := fill()
		first.feed(clientFrame(1, []byte(`{"type":"unsubscribe","channel":"c"}`)))
		next.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"c"}`)))
		c.loops[1].Turn()
		l.Begin()
		after := fill()
		if before == after || !before.Out.Full || !after.Out.Full {
			t.Fatal("there are not two full parts")
		}
		l.budget.writes = 1
		for n := 0; after.Bytes() > 0; n++ {
			if n == 10 {
				t.Fatal("it is never written")
			}
			if l.Turn(); after.Bytes() > l.budget.flush && !c.crowded(1, ch) {
				t.Errorf("after turn %d %d bytes are pending and nobody is held", n, after.Bytes())
			}
		}
		c.pass(time.Second)
		if l.full.Load() != nil {
			t.Error("a channel is full at rest")
		}
	})
}

// canceled is a context for calls that are not waited for.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestHeldTakeTurns: of many who publish to a full channel all the time each gets its
// share, and none waits much longer than it takes the others to have theirs.
func TestHeldTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const publishers, long = 20, 250 // ms, several times what a round takes
		limits := testLimits()
		limits.MaxBacklogTotal = 0
		c := newCrew(t, 1, limits)
		l := c.loops[0]
		l.budget.flush, l.budget.writes = 1000, 40
		open := func(peer string) *wire {
			w := c.open(t, 0, peer, "")
			w.deaf = true
			return w
		}
		for range 100 {
			open("s").feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"c"}`)))
		}
		c.pass(time.Second)
		var from []*wire
		for range publishers {
			from = append(from, open("p"))
		}
		text := fmt.Appendf(nil, `{"type":"publish","channel":"c","data":"%s"}`, strings.Repeat("x", 300))
		var waits [publishers]int
		for range 5000 {
			for i, w := range from {
				if waits[i]++; waits[i] > long {
					t.Fatalf("publisher %d has waited for %d ms", i, long)
				}
				if len(w.unread) == 0 {
					w.feed(clientFrame(1, text))
					waits[i] = 0
				}
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if c.flags[0].up.Swap(false) {
				l.Turn()
			}
		}
	})
}

// TestGivesUpWaiting: a call that ends before a loop that is behind has done nothing.
func TestGivesUpWaiting(t *testing.T) {
	for name, call := range map[string]func(h *Hub, ctx context.Context) (int, error){
		"publish": func(h *Hub, ctx context.Context) (int, error) {
			return h.Publish(ctx, "app_one", "c", "system", nil, []byte("1"))
		},
		"send": func(h *Hub, ctx context.Context) (int, error) {
			return h.Send(ctx, "app_one", "s", "system", nil, []byte("1"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t, 1, testLimits())
				w := c.open(t, 0, "s", "")
				w.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"c"}`)))
				c.pass(time.Second)
				w.take()
				l := c.loops[0]
				l.inbound.Add(maxInbound + 1)
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				if n, err := call(c.Hub, ctx); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %d, %v", n, err)
				}
				l.inbound.Add(-maxInbound - 1)
				c.pass(time.Second)
				if got := w.take(); len(got) > 0 {
					t.Errorf("it has come all the same: %s", got[0].payload)
				}
			})
		})
	}
}

// TestFromAfarWaits: what other nodes and REST send to a loop that is behind waits.
func TestFromAfarWaits(t *testing.T) {
	data := []byte("1")
	for _, tc := range []struct {
		name string
		send func(h *Hub)
	}{
		{"a message of a node", func(h *Hub) {
			h.Remote().Publish(cluster.Publication{App: "app_one", Channel: "c", Data: data, Frame: []byte("frame}")}, nil)
		}},
		{"a direct of a node", func(h *Hub) {
			h.Remote().Send(cluster.Direct{App: "app_one", To: "s", Data: data}, nil)
		}},
		{"a message by REST", func(h *Hub) { _, _ = h.Publish(context.Background(), "app_one", "c", "system", nil, data) }},
		{"a direct by REST", func(h *Hub) { _, _ = h.Send(context.Background(), "app_one", "s", "system", nil, data) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t, 1, testLimits())
				w := c.open(t, 0, "s", "")
				w.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"c"}`)))
				c.pass(time.Second)
				l := c.loops[0]
				l.inbound.Add(maxInbound + 1)
				done := false
				go func() {
					tc.send(c.Hub)
					done = true
				}()
				c.pass(time.Second)
				if got := l.inbound.Load(); got != maxInbound+1 || done {
					t.Errorf("done %v while the loop is behind, %d bytes", done, got-maxInbound-1)
				}
				l.inbound.Add(-maxInbound - 1)
				c.pass(time.Second)
				if !done {
					t.Error("it still waits")
				}
			})
		})
	}
}
