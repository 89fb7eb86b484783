package session

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signalbox/engine/registry"
	"signalbox/protocol"
)

// crew is a hub of several loops, driven by the test.
type crew struct {
	*Hub
	flags []flag
}

func newCrew(t *testing.T, loops int, limits Limits) *crew {
	c := &crew{Hub: testHub(t, loops, limits), flags: make([]flag, loops)}
	for i, l := range c.loops {
		l.Bind(&c.flags[i])
		l.Start()
		t.Cleanup(func() { l.timers.alarm.Stop() })
	}
	return c
}

// turns has every loop do all it has to do now.
func (c *crew) turns() {
	for busy := true; busy; {
		busy = false
		synctest.Wait()
		for i, l := range c.loops {
			if c.flags[i].up.Swap(false) {
				l.Turn()
				busy = true
			}
		}
	}
}

// pass lets time pass.
func (c *crew) pass(d time.Duration) {
	for c.turns(); d > 0; d -= time.Millisecond {
		time.Sleep(time.Millisecond)
		c.turns()
	}
}

func (c *crew) open(t *testing.T, loop int, peer, meta string) *wire {
	w := new(wire)
	w.session = c.loops[loop].Open(w, identify(t, c.Keys(), peer, meta, all, 86400), nil)
	w.take()
	return w
}

// stall has the client read nothing any more.
func (w *wire) stall() { w.slow = true }

// read has the client read all but some of what waits for it.
func (w *wire) read(rest int) { w.queued = min(rest, w.queued) }

// push has so many bytes wait for a client that has stalled.
func (c *crew) push(w *wire, size int) {
	w.session.put(make([]byte, size))
	c.turns()
}

// textTo feeds the session of w text frames.
func textTo(w *wire, format string, args ...any) {
	w.feed(clientFrame(1, fmt.Appendf(nil, format, args...)))
}

// checkTotal holds the total against what waits for the wires.
func (c *crew) checkTotal(t *testing.T, when string, wires ...*wire) {
	t.Helper()
	var want int64
	for _, w := range wires {
		if !w.over {
			want += int64(w.queued)
		}
	}
	listed := 0
	for _, l := range c.loops {
		listed += len(l.slow.list)
	}
	if got := c.backlog.Load(); got != want || (want == 0) != (listed == 0) {
		t.Errorf("%s: got a total of %d and %d listed, want %d", when, got, listed, want)
	}
}

func totalLimits(total int64) Limits {
	limits := testLimits()
	limits.MaxBacklog, limits.MaxBacklogTotal = 1<<20, total
	return limits
}

// TestSlowestIsClosed has slow readers of three loops wait for more and more.
func TestSlowestIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 3, totalLimits(200_000))
		var wires []*wire
		for i := range 4 {
			wires = append(wires, c.open(t, i%3, fmt.Sprint("p", i), ""))
			wires[i].stall()
		}
		expect := func(when string, over ...bool) {
			t.Helper()
			for i, w := range wires {
				if w.over != over[i] {
					t.Fatalf("%s: reader %d: closed %v, want %v", when, i, w.over, over[i])
				}
			}
		}
		for i, size := range []int{40_000, 60_000, 30_000, 50_000} {
			c.push(wires[i], size)
		}
		expect("below the limit", false, false, false, false)

		wires[0].read(0)
		wires[3].read(1000)
		c.push(wires[2], 60_000)
		c.pass(20 * time.Millisecond)
		expect("below it, for some have read", false, false, false, false)
		c.checkTotal(t, "after a look", wires...)

		c.push(wires[1], 60_000) // 0, 120 000, 90 000, 1 000
		c.pass(20 * time.Millisecond)
		expect("beyond it", false, true, false, false)
		if got := wires[1].closeCode(); got != int(protocol.ClosePolicy) {
			t.Errorf("got %d, want 1008", got)
		}
		c.checkTotal(t, "after a close", wires...)

		c.push(wires[0], 80_000)
		c.push(wires[3], 99_000) // 80 000, over, 90 000, 100 000
		c.pass(20 * time.Millisecond)
		expect("beyond it again", false, true, false, true)

		wires[0].read(0)
		wires[2].read(0)
		c.pass(2 * sweepEvery * time.Millisecond)
		c.checkTotal(t, "after all was read")
		for _, w := range []*wire{wires[0], wires[2]} {
			if w.session.busy != nil {
				t.Error("an idle session has something under way")
			}
		}
	})
}

// TestManySlowReaders has more slow readers than a turn closes, and than it looks
// at: the slowest are closed, as many as need be.
func TestManySlowReaders(t *testing.T) {
	for _, tc := range []struct {
		name           string
		readers, least int // bytes that wait for the first of them, each next one has one more
		total          int64
	}{
		{"many to close", 4 * reliefBatch, 1000, 150_000},
		{"many to look at", 2*weighBatch + 10, 20, 2_000_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t, 1, totalLimits(tc.total))
				id := identify(t, c.Keys(), "p", "", all, 86400)
				var wires []*wire
				for i := range tc.readers {
					w := &wire{slow: true}
					w.session = c.loops[0].Open(w, id, nil)
					w.queued = 0
					w.session.put(make([]byte, tc.least+i))
					wires = append(wires, w)
				}
				c.pass(100 * time.Millisecond)
				var left int64
				closed := false
				for i, w := range wires {
					if !w.over && closed {
						t.Fatalf("reader %d is open, a better one is closed", i)
					}
					if closed = w.over; !closed {
						left += int64(w.queued)
					}
				}
				if most := int64(tc.least + tc.readers); !closed || left > tc.total || left < tc.total-most {
					t.Errorf("got %d bytes left, want just below %d", left, tc.total)
				}
			})
		})
	}
}

// TestTotalOnEveryPath sends a reader that has stalled all there is to send.
func TestTotalOnEveryPath(t *testing.T) {
	long := strings.Repeat("x", 120)
	meta := fmt.Sprintf(`{"m":"%s"}`, strings.Repeat(long, 30))
	for _, tc := range []struct {
		name string
		step func(c *crew, t *testing.T, slow, other *wire, n int)
	}{
		{"publish", func(_ *crew, _ *testing.T, _, other *wire, _ int) {
			textTo(other, `{"type":"publish","channel":"c","data":%q}`, long)
		}},
		{"publish, by pattern", func(_ *crew, _ *testing.T, _, other *wire, _ int) {
			textTo(other, `{"type":"publish","channel":"wild/1","data":%q}`, long)
		}},
		{"direct", func(_ *crew, _ *testing.T, _, other *wire, _ int) {
			textTo(other, `{"type":"send","to":"slow","data":%q}`, long)
		}},
		{"publish from outside", func(c *crew, t *testing.T, _, _ *wire, _ int) {
			go func() { _, _ = c.Publish(context.Background(), "app_one", "c", "system", nil, []byte(`"`+long+`"`)) }()
		}},
		{"direct from outside", func(c *crew, t *testing.T, _, _ *wire, _ int) {
			go func() { _, _ = c.Send(context.Background(), "app_one", "slow", "system", nil, []byte(`"`+long+`"`)) }()
		}},
		{"presence", func(c *crew, t *testing.T, _, other *wire, n int) {
			textTo(other, `{"type":%q,"channel":"c"}`, []string{"subscribe", "unsubscribe"}[n%2])
			c.pass(60 * time.Millisecond)
		}},
		{"snapshots", func(c *crew, _ *testing.T, slow, _ *wire, _ int) {
			textTo(slow, `{"type":"subscribe","channel":"c"}`)
			c.pass(10 * time.Millisecond)
		}},
		{"acks", func(_ *crew, _ *testing.T, slow, _ *wire, _ int) {
			textTo(slow, `{"type":"subscribe","channel":"wild/*","requestId":%q}`, long)
		}},
		{"errors", func(_ *crew, _ *testing.T, slow, _ *wire, _ int) {
			textTo(slow, `{"type":"publish","requestId":%q}`, long)
		}},
		{"pongs", func(_ *crew, _ *testing.T, slow, _ *wire, _ int) { textTo(slow, `{"type":"ping"}`) }},
		{"pongs of WebSocket", func(_ *crew, _ *testing.T, slow, _ *wire, _ int) {
			slow.feed(clientFrame(9, []byte(long)))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t, 2, totalLimits(30_000))
				slow, other := c.open(t, 0, "slow", ""), c.open(t, 1, "other", meta)
				textTo(slow, `{"type":"subscribe","channel":"wild/*"}`)
				for _, w := range []*wire{slow, other} {
					textTo(w, `{"type":"subscribe","channel":"c"}`)
				}
				c.pass(100 * time.Millisecond)
				slow.take()
				slow.stall()
				n := 0
				for ; !slow.over && n < 5000; n++ {
					tc.step(c, t, slow, other, n)
					c.turns()
					time.Sleep(reliefPause * time.Millisecond / 5)
				}
				if got := slow.closeCode(); got != int(protocol.ClosePolicy) || other.over {
					t.Errorf("after %d times: got %d, want 1008; the other: closed %v", n, got, other.over)
				}
				c.pass(50 * time.Millisecond)
				c.checkTotal(t, "at the end")
			})
		})
	}
}

// TestBacklogBehindSnapshot has a client stall with a snapshot that goes in
// parts, which counts for little, and then ask on and on for another, without a
// request id.
func TestBacklogBehindSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, totalLimits(0))
		meta := fmt.Sprintf(`{"m":"%s"}`, strings.Repeat("x", 3000))
		for i := range 100 {
			textTo(c.open(t, 0, fmt.Sprint("p", i), meta), `{"type":"subscribe","channel":"c"}`)
		}
		c.pass(time.Second)
		w := c.open(t, 0, "slow", "")
		w.stall()
		for range 2 {
			textTo(w, `{"type":"subscribe","channel":"c"}`)
			c.pass(10 * time.Millisecond)
		}
		if got := c.loops[0].slow.sum; w.over || got < partSize || got > partSize+1000 {
			t.Fatalf("closed %v, %d bytes wait, want a part of %d", w.over, got, partSize)
		}
		n, want := 0, c.limits.backlog()/repeatSize
		for ; !w.over && n < 2*want; n++ {
			textTo(w, `{"type":"subscribe","channel":"c"}`)
		}
		if n < want-10 || n > want+10 {
			t.Errorf("closed %v after %d times, want %d", w.over, n, want)
		}
		c.pass(100 * time.Millisecond)
		c.checkTotal(t, "at the end")
	})
}

// TestRepeatsLeaveBacklog has a client ask again and again behind a snapshot that goes
// in parts, and read: what it is told weighs nothing any more, nor what it has given up.
func TestRepeatsLeaveBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, totalLimits(0))
		meta := fmt.Sprintf(`{"m":"%s"}`, strings.Repeat("x", 3000))
		for i := range 100 {
			p := c.open(t, 0, fmt.Sprint("p", i), meta)
			textTo(p, `{"type":"subscribe","channel":"c"}`)
			textTo(p, `{"type":"subscribe","channel":"d"}`)
		}
		c.pass(time.Second)
		w := c.open(t, 0, "slow", "")
		w.stall()
		const repeats = 3
		for range 2 + repeats {
			for _, channel := range []string{"c", "d"} {
				textTo(w, `{"type":"subscribe","channel":%q}`, channel)
			}
			c.pass(10 * time.Millisecond)
		}
		b := w.session.under().stream
		part := func(channel string) *registry.Part {
			return w.session.subs[w.session.find([]byte(channel))].part
		}
		first, second := part("c"), part("d")
		check := func(when string, want int) { // the first of each weighs nothing
			t.Helper()
			if b != w.session.under().stream || b.size != want*repeatSize {
				t.Fatalf("%s: %d bytes wait, want %d", when, b.size, want*repeatSize)
			}
		}
		asked := b.count(first)
		check("when all wait", asked-1+b.count(second)-1)
		for b.count(first) == asked {
			w.read(0)
			c.pass(maxPause * time.Millisecond)
		}
		check("when some are told", b.count(first)-1+b.count(second)-1)
		textTo(w, `{"type":"unsubscribe","channel":"c"}`)
		check("when those of a channel are given up", b.count(second)-1)
	})
}

// TestSnapshotsShareTotal has many who read slowly be told a long roster at once:
// their parts get shorter, and nobody is closed for what they wait for.
func TestSnapshotsShareTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 1 << 20
		c := newCrew(t, 2, totalLimits(total))
		meta := fmt.Sprintf(`{"m":"%s"}`, strings.Repeat("x", 3000))
		for i := range 100 {
			textTo(c.open(t, i%2, fmt.Sprint("p", i), meta), `{"type":"subscribe","channel":"c"}`)
		}
		c.pass(time.Second)
		var slow []*wire
		for i := range 40 {
			w := c.open(t, i%2, fmt.Sprint("q", i), "")
			w.stall()
			textTo(w, `{"type":"subscribe","channel":"c"}`)
			slow = append(slow, w)
		}
		for round := range 200 {
			c.pass(200 * time.Millisecond)
			if got := c.backlog.Load(); got > total {
				t.Fatalf("round %d: %d bytes wait, want at most %d", round, got, total)
			}
			for _, w := range slow {
				w.read(0)
			}
		}
		for i, w := range slow {
			if w.over || w.session.under().stream != nil {
				t.Errorf("reader %d: closed %v, or its snapshot is not told", i, w.over)
			}
		}
	})
}

// TestFramesOfLongSnapshot counts a snapshot that goes in parts as the frames it
// is, like one that does not.
func TestFramesOfLongSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, totalLimits(0))
		meta := fmt.Sprintf(`{"m":"%s"}`, strings.Repeat("x", 3000))
		for i := range 400 {
			textTo(c.open(t, 0, fmt.Sprint("p", i), meta), `{"type":"subscribe","channel":"c"}`)
		}
		c.pass(time.Second)
		for _, s := range c.loops[0].sessions {
			s.conn.(*wire).take()
		}
		w := c.open(t, 0, "late", "")
		before := c.loops[0].counts.FramesOut
		w.feed(clientFrame(1, []byte(`{"type":"subscribe","channel":"c"}`)))
		c.pass(100 * time.Millisecond)
		frames := len(w.take())
		for _, other := range c.loops[0].sessions[:400] { // each hears of the join
			frames += len(other.conn.(*wire).take())
		}
		if got := c.loops[0].counts.FramesOut - before; frames < 2 || got != uint64(frames) {
			t.Errorf("got %d frames counted, want %d", got, frames)
		}
	})
}
