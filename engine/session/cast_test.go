package session

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signalbox/engine/auth"
)

// heardOf returns what came since the last call, each frame by a word: a message
// by its data, a presence frame by who joined and left.
func (w *wire) heardOf() string {
	var words []string
	for _, s := range w.take() {
		var f serverFrame
		if json.Unmarshal(s.payload, &f) != nil {
			continue
		}
		word := f.Type + f.RequestID
		switch f.Type {
		case "message", "direct":
			word = string(f.Data)
		case "presence":
			for _, p := range f.Joined {
				word += "+" + p.PeerID
			}
			for _, p := range f.Left {
				word += "-" + p.PeerID
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// TestCastInTurns has a cast reach one subscriber a turn while other things go on.
// The last of four has not been reached by then.
func TestCastInTurns(t *testing.T) {
	publish := func(from *wire, channel string, n int) {
		textTo(from, `{"type":"publish","channel":%q,"data":%d}`, channel, n)
	}
	for _, tc := range []struct {
		name string
		do   func(a *alone, from, last *wire, all []*wire)
		want string // what the last hears
	}{
		{"nothing else", func(*alone, *wire, *wire, []*wire) {}, "1"},
		{"another, by pattern", func(_ *alone, from, _ *wire, _ []*wire) { publish(from, "w/2", 2) }, "1 2"},
		{"another, by name", func(_ *alone, from, _ *wire, _ []*wire) { publish(from, "c", 2) }, "1 2"},
		{"others between", func(_ *alone, from, _ *wire, _ []*wire) {
			for n, channel := range []string{"c", "w/1", "c", "c", "w/9"} {
				publish(from, channel, 2+n)
			}
		}, "1 2 3 4 5 6"},
		{"a direct", func(_ *alone, from, _ *wire, _ []*wire) {
			textTo(from, `{"type":"send","to":"p3","data":2}`)
		}, "1 2"},
		{"a ping", func(_ *alone, _, last *wire, _ []*wire) { textTo(last, `{"type":"ping"}`) }, "1 pong"},
		{"the sender leaves a channel", func(_ *alone, from, _ *wire, _ []*wire) {
			textTo(from, `{"type":"unsubscribe","channel":"c"}`)
		}, "1 presence-from"},
		{"the sender joins a channel", func(_ *alone, from, _ *wire, _ []*wire) {
			textTo(from, `{"type":"subscribe","channel":"d"}`)
			publish(from, "w/1", 2)
		}, "1 presence+from 2"},
		{"the sender joins a channel and leaves it", func(_ *alone, from, _ *wire, _ []*wire) {
			textTo(from, `{"type":"subscribe","channel":"d"}`)
			publish(from, "w/1", 2)
			textTo(from, `{"type":"unsubscribe","channel":"d"}`)
		}, "1 presence+from 2 presence-from"},
		{"it unsubscribes", func(_ *alone, _, last *wire, _ []*wire) {
			textTo(last, `{"type":"unsubscribe","channel":"w/*","requestId":"u"}`)
		}, "1 acku"},
		{"it subscribes by name", func(_ *alone, from, last *wire, _ []*wire) {
			textTo(last, `{"type":"subscribe","channel":"w/1","requestId":"s"}`)
			publish(from, "w/1", 2)
		}, "1 acks presence 2"},
		{"it subscribes by another pattern", func(_ *alone, from, last *wire, _ []*wire) {
			textTo(last, `{"type":"subscribe","channel":"**","requestId":"s"}`)
			publish(from, "w/1", 2)
		}, "1 acks 2"},
		{"it publishes there", func(_ *alone, from, last *wire, _ []*wire) {
			publish(last, "w/1", 2)
			publish(from, "w/1", 3)
		}, "1 3"},
		{"the first unsubscribes", func(_ *alone, _, _ *wire, all []*wire) {
			textTo(all[0], `{"type":"unsubscribe","channel":"w/*"}`)
		}, "1"},
		{"the first goes", func(_ *alone, _, _ *wire, all []*wire) { all[0].vanish() }, "1 presence-p0 presence-p0"},
		{"the second to last goes", func(_ *alone, _, _ *wire, all []*wire) { all[2].vanish() }, "1 presence-p2 presence-p2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAlone(t, testLimits())
				from := a.open(identify(t, a.Keys(), "from", "", all, 86400))
				var to []*wire
				for i := range 4 {
					w := a.open(identify(t, a.Keys(), fmt.Sprint("p", i), "", all, 86400))
					textTo(w, `{"type":"subscribe","channel":"w/*"}`)
					to = append(to, w)
				}
				last := to[3]
				for _, w := range []*wire{last, to[0], to[1], to[2], from} { // the flush of c comes to the last first
					textTo(w, `{"type":"subscribe","channel":"c"}`)
					if w != from {
						textTo(w, `{"type":"subscribe","channel":"d"}`)
					}
				}
				a.pass(time.Second)
				last.take()
				a.loop.budget.writes = 1
				publish(from, "w/1", 1)
				a.flag.up.Store(false)
				a.loop.Turn()
				if got := last.heardOf(); got != "" || a.loop.casts.len() != 1 {
					t.Fatalf("got %q and %d casts under way, want one that has not reached the last", got, a.loop.casts.len())
				}
				a.loop.budget.writes = 2
				tc.do(a, from, last, to)
				a.pass(time.Second)
				if got := last.heardOf(); got != tc.want {
					t.Errorf("got %q, want %q", got, tc.want)
				}
				if n := a.loop.inbound.Load(); n != 0 || a.loop.casts.len() != 0 {
					t.Errorf("got %d casts under way that weigh %d, want none", a.loop.casts.len(), n)
				}
			})
		})
	}
}

// TestMessageFindsClosedSession has a session close that a flush passes over, and
// then a message come for it whose sender it would have to hear of first.
func TestMessageFindsClosedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAlone(t, testLimits())
		from := a.open(identify(t, a.Keys(), "from", "", all, 86400))
		w := a.open(identify(t, a.Keys(), "w", "", all, 86400))
		for _, name := range []string{"c", "d", "e"} {
			textTo(w, `{"type":"subscribe","channel":%q}`, name)
		}
		a.pass(time.Second)
		a.loop.budget.subs = 0 // it stays in everything
		textTo(from, `{"type":"publish","channel":"c","data":1}`)
		w.vanish()
		a.flag.up.Store(false)
		a.loop.Turn()
		part := w.session.subs[0].part
		a.loop.soil(part)
		textTo(from, `{"type":"subscribe","channel":"d"}`)
		textTo(from, `{"type":"publish","channel":"e","data":2}`)
		a.loop.budget.subs = usualBudget.subs
		a.pass(time.Second)
		if got := len(a.loop.sessions) - len(a.loop.free); got != 1 {
			t.Errorf("got %d sessions, want one", got)
		}
	})
}

// TestCastFromOutside counts the sockets that a publish reaches over many turns:
// by name, by pattern and by both.
func TestCastFromOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, testLimits())
		for i := range 30 {
			w := c.open(t, i%2, fmt.Sprint("p", i), "")
			for k, name := range []string{"c", "*", "**"} {
				if i%7&(1<<k) != 0 {
					textTo(w, `{"type":"subscribe","channel":%q}`, name)
				}
			}
		}
		c.pass(time.Second)
		for _, l := range c.loops {
			l.budget.writes = 2
		}
		want := 0
		for i := range 30 {
			if i%7 != 0 {
				want++
			}
		}
		gotC := make(chan int, 1)
		go func() {
			n, err := c.Publish(t.Context(), "app_one", "c", "system", nil, []byte("1"))
			if err != nil {
				t.Error(err)
			}
			gotC <- n
		}()
		c.pass(10 * time.Millisecond)
		if got := <-gotC; got != want {
			t.Errorf("got %d sockets, want %d", got, want)
		}
	})
}

// TestCastStaysInItsApp: a session that is caught up while a cast is under way
// hears nothing of another app's.
func TestCastStaysInItsApp(t *testing.T) {
	keys, err := auth.Parse("apps.yaml", []byte(testApps+secondApp))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 1, testLimits())
		c.SetKeys(keys)
		from, sub := c.open(t, 0, "ann", ""), c.open(t, 0, "bob", "")
		other := new(wire)
		other.session = c.loops[0].Open(other, identifyBy(t, keys, secondKeyID, "eve", "", []string{"subscribe"}, 86400), nil)
		for _, w := range []*wire{sub, other} {
			textTo(w, `{"type":"subscribe","channel":"*"}`)
			w.take()
		}
		textTo(from, `{"type":"publish","channel":"c","data":1}`)
		textTo(other, `{"type":"ping"}`)
		c.turns()
		if got := other.heardOf(); got != "pong" {
			t.Errorf("the other app: got %q, want pong alone", got)
		}
		if got := sub.heardOf(); got != "1" {
			t.Errorf("the subscriber: got %q, want 1", got)
		}
	})
}

// TestCastMeetsNewSubscriber: a publish on another loop finds nobody by name; before
// it comes here, one who would get it by pattern subscribes by name, too. It comes
// once all the same.
func TestCastMeetsNewSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, 2, testLimits())
		from, sub := c.open(t, 0, "ann", ""), c.open(t, 1, "bob", "")
		textTo(sub, `{"type":"subscribe","channel":"*"}`)
		c.turns()
		c.loops[1].Begin()
		textTo(from, `{"type":"publish","channel":"c","data":1}`)
		sub.session.Receive(clientFrame(1, []byte(`{"type":"subscribe","channel":"c","requestId":"s"}`)))
		c.turns()
		textTo(from, `{"type":"publish","channel":"c","data":2}`)
		c.turns()
		if got, want := sub.heardOf(), "acks presence 1 2"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestMetadataFindsNewSubscriber: a publish on another loop is on its way when
// somebody here asks for the sender's metadata, as the first. Who has the ack of
// that gets it.
func TestMetadataFindsNewSubscriber(t *testing.T) {
	for _, tc := range []struct{ name, before, subscribe string }{
		{"by name", `"d"`, `"channel":"c"`},
		{"by name, anew", `"c"`, `"channel":"c"`},
		{"by pattern", `"d"`, `"channel":"*"`},
		{"by pattern, anew", `"*"`, `"channel":"*"`},
		{"by pattern, too", `"c"`, `"channel":"*"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t, 2, testLimits())
				from, other, sub := c.open(t, 0, "ann", `{"m":1}`), c.open(t, 1, "bob", ""), c.open(t, 1, "eve", "")
				textTo(other, `{"type":"subscribe","channel":"c"}`)
				textTo(sub, `{"type":"subscribe","channel":%s}`, tc.before)
				c.pass(time.Second)
				sub.take()
				c.loops[1].Begin()
				textTo(from, `{"type":"publish","channel":"c","data":1}`)
				sub.session.Receive(clientFrame(1, []byte(`{"type":"subscribe",`+tc.subscribe+`,"includeSenderMetadata":true,"requestId":"s"}`)))
				c.turns()
				got := ""
				for _, s := range sub.take() {
					var f serverFrame
					if err := json.Unmarshal(s.payload, &f); err != nil {
						t.Fatal(err)
					}
					if f.Type == "ack" || f.Type == "message" {
						got += f.Type + string(f.FromMetadata) + " "
					}
				}
				if want := `ack message{"m":1} `; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}

// TestCastsComeRound: as many casts as there are numbers for them pass by a
// session, which then gets the one that is for it.
func TestCastsComeRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits()
		limits.PingInterval = time.Second
		c := newCrew(t, 1, limits)
		from, sub := c.open(t, 0, "ann", ""), c.open(t, 0, "bob", "")
		textTo(sub, `{"type":"subscribe","channel":"w/*"}`)
		sub.take()
		for _, casts := range []uint32{1 << 31, 1<<31 - 1} {
			c.loops[0].lastCast += casts
			c.pass(2 * limits.PingInterval)
			for _, w := range []*wire{from, sub} { // they are alive
				w.feed(clientFrame(10, nil))
			}
		}
		textTo(from, `{"type":"publish","channel":"w/1","data":1}`)
		c.turns()
		if got := sub.heardOf(); got != "1" {
			t.Errorf("got %q, want 1", got)
		}
	})
}
