package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"signalbox/engine"
)

func TestContractDefaultLimits(t *testing.T) {
	runChecks(t, nil, []check{
		{"100 subscriptions", nil, checkSubscriptionLimit},
		{"subscription limit comes after authorisation", withRoomKey, checkSubscriptionLimitOrder},
		{"burst of 200 frames", nil, checkDefaultBurst},
		{"64 KiB of data", nil, func(t *testing.T, w *world) { checkSizes(t, w, 65536) }},
	})
	l := engine.DefaultConfig().Limits
	if l.PingInterval != 30*time.Second || l.HandshakeTimeout != 10*time.Second || l.MaxBacklog != 1<<20 ||
		l.MessageRate != 100 || l.MessageBurst != 200 || l.ConnectRate != 0 || l.SnapshotDelay != 5*time.Millisecond {
		t.Errorf("default limits: got %+v", l)
	}
}

func checkSubscriptionLimit(t *testing.T, w *world) {
	c := w.peer(t, "alice")
	for i := range 98 {
		c.subscribe(fmt.Sprintf("c%d", i))
	}
	c.subscribe("glob/*", "last") // a wildcard subscription counts like any
	c.refused("channel_limit_exceeded", `{"type":"subscribe","channel":"one-more"}`)
	c.refused("channel_limit_exceeded", `{"type":"subscribe","channel":"more/*"}`)
	c.subscribe("c0", "glob/*") // idempotent: no new subscription
	c.unsubscribe("c1")
	c.subscribe("one-more")
	c.refused("channel_limit_exceeded", `{"type":"subscribe","channel":"c1"}`)
	other := w.peer(t, "alice").subscribe("c1", "one-more") // of a connection, not of a peer
	other.publish("one-more", "1")
	c.expectMessage("one-more", "alice", "", "1")
}

func checkSubscriptionLimitOrder(t *testing.T, w *world) {
	c := w.enter(t, "token="+w.app.Keys[2].sign(claims{"sub": "a", "exp": in(time.Hour), "permissions": []string{"subscribe"}}))
	for i := range 100 {
		c.subscribe(fmt.Sprintf("room-%d", i))
	}
	c.refused("channel_not_authorized", `{"type":"subscribe","channel":"lobby"}`)
	c.refused("channel_limit_exceeded", `{"type":"subscribe","channel":"room-x"}`)
}

func checkDefaultBurst(t *testing.T, w *world) {
	c := w.peer(t, "alice")
	c.write(strings.Repeat(text(`{"type":"ping"}`), 200))
	for range 200 {
		c.recv("pong")
	}
	bob, carol := w.peer(t, "bob"), w.peer(t, "carol")
	bob.writeSome(strings.Repeat(text(`{"type":"ping"}`), 2000))
	if n := pongsUntilClose(t, bob, closeMessageRate); n < 200 {
		t.Errorf("pongs before the close: got %d, want at least the burst of 200", n)
	}
	carol.fence() // others are not disturbed
}

// pongsUntilClose counts pongs until the server closes with the code.
func pongsUntilClose(t *testing.T, c *client, code ws.StatusCode) int {
	t.Helper()
	for n := 0; ; n++ {
		op, payload, err := c.read()
		if err != nil {
			t.Fatalf("after %d pongs: %v, want close %d", n, err, code)
		}
		if op == ws.OpClose {
			if got, _ := closeBody(t, payload); got != code {
				t.Fatalf("close code: got %d, want %d", got, code)
			}
			return n
		}
	}
}

func TestContractMessageRate(t *testing.T) {
	slow := func(cfg *engine.Config) { cfg.Limits.MessageRate, cfg.Limits.MessageBurst = 5, 3 }
	runChecks(t, slow, []check{
		{"burst, then the sustained rate", nil, func(t *testing.T, w *world) {
			c := w.peer(t, "alice")
			for range 3 { // each silence earns a frame or more
				for range 3 {
					c.fence()
				}
				c.quietFor(700 * time.Millisecond)
			}
			c.writeSome(strings.Repeat(text(`{"type":"ping"}`), 100))
			if n := pongsUntilClose(t, c, closeMessageRate); n < 3 || n > 50 {
				t.Errorf("pongs of 100 pings: got %d, want about 3", n)
			}
		}},
		{"refused frames count", nil, func(t *testing.T, w *world) {
			c := w.peer(t, "alice")
			c.writeSome(strings.Repeat(text(`nonsense`), 100))
			pongsUntilClose(t, c, closeMessageRate)
		}},
	})
	t.Run("off", func(t *testing.T) {
		runChecks(t, withoutRates, []check{{"no limit", nil, func(t *testing.T, w *world) {
			c := w.peer(t, "alice")
			c.write(strings.Repeat(text(`{"type":"ping"}`), 3000))
			for range 3000 {
				c.recv("pong")
			}
		}}})
	})
}

func TestContractMessageSize(t *testing.T) {
	small := func(cfg *engine.Config) { cfg.Limits.MaxMessageSize = 1000 }
	runChecks(t, small, []check{
		{"exact bounds", nil, func(t *testing.T, w *world) { checkSizes(t, w, 1000) }},
		{"refused before it is sent", nil, checkAnnouncedSize},
		{"by REST", nil, func(t *testing.T, w *world) {
			for _, path := range []string{"/v1/channels/room/publish", "/v1/peers/bob/send"} {
				w.rest(t, "POST", path, `{"data":`+jsonString(1000)+`}`).want(t, http.StatusOK, "")
				w.rest(t, "POST", path, `{"data":`+jsonString(1001)+`}`).want(t, http.StatusRequestEntityTooLarge, "invalid_request")
			}
		}},
		{"frame of other types", nil, func(t *testing.T, w *world) {
			c := w.peer(t, "alice")
			c.send(padded(`{"type":"ping"}`, 2024))
			c.recv("pong")
			c.send(padded(`{"type":"ping"}`, 2025))
			c.expectClose(ws.StatusMessageTooBig)
		}},
	})
}

// padded lengthens a message to n bytes with white space inside the object.
func padded(message string, n int) string {
	return "{" + strings.Repeat(" ", n-len(message)) + message[1:]
}

// jsonString returns a JSON string of n bytes, its quotes included.
func jsonString(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }

// checkSizes tries the two bounds, of data and of the frame, to the byte: whole, in fragments, by publish and by send.
func checkSizes(t *testing.T, w *world, limit int) {
	bob := w.peer(t, "bob").subscribe("room")
	for _, format := range []string{`{"type":"publish","channel":"room","data":%s}`, `{"type":"send","to":"bob","data":%s}`} {
		exact := fmt.Sprintf(format, jsonString(limit))
		over := fmt.Sprintf(format, jsonString(limit+1))
		c := w.peer(t, "alice")
		if got := c.welcome.number("maxMessageSize"); got != int64(limit) {
			t.Errorf("maxMessageSize: got %d, want %d", got, limit)
		}
		c.send(exact, padded(exact, limit+1024))
		c.write(fragmented(padded(exact, limit+1024), 100))
		for range 3 {
			f, err := bob.next()
			if err != nil || string(f["data"]) != jsonString(limit) {
				t.Fatalf("data of %d bytes: got %s, %v", limit, f, err)
			}
		}
		c.send(over)
		c.expectClose(ws.StatusMessageTooBig)
		c = w.peer(t, "alice")
		c.writeSome(text(padded(exact, limit+1025)))
		c.expectClose(ws.StatusMessageTooBig)
		c = w.peer(t, "alice")
		c.writeSome(fragmented(padded(exact, limit+1025), 100))
		c.expectClose(ws.StatusMessageTooBig)
		// White space around the value is not data.
		c = w.peer(t, "alice")
		c.send(fmt.Sprintf(format, "  "+jsonString(limit)+"\n"))
		if f, err := bob.next(); err != nil || string(f["data"]) != jsonString(limit) {
			t.Fatalf("data in white space: got %s, %v", f, err)
		}
	}
	bob.fence()
}

// fragmented returns the message as a text frame and continuations of at most n bytes.
func fragmented(message string, n int) string {
	var b strings.Builder
	op := ws.OpText
	for len(message) > n {
		b.WriteString(masked(ws.NewFrame(op, false, []byte(message[:n]))))
		op, message = ws.OpContinuation, message[n:]
	}
	return b.String() + masked(ws.NewFrame(op, true, []byte(message)))
}

// checkAnnouncedSize sends no more than headers: the size they announce is enough.
func checkAnnouncedSize(t *testing.T, w *world) {
	for _, n := range []int64{2025, 1 << 20, 1 << 32, 1<<63 - 1} {
		c := w.peer(t, "alice")
		c.write(header(ws.Header{Fin: true, OpCode: ws.OpText, Masked: true, Length: n}))
		c.expectClose(ws.StatusMessageTooBig)
	}
	c := w.peer(t, "alice")
	c.write(masked(ws.NewFrame(ws.OpText, false, bytes.Repeat([]byte("x"), 1500))))
	c.write(header(ws.Header{Fin: true, OpCode: ws.OpContinuation, Masked: true, Length: 525}))
	c.expectClose(ws.StatusMessageTooBig)
}

// header returns the bytes of a frame header.
func header(h ws.Header) string {
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, h); err != nil {
		panic(err) // a test's own header
	}
	return b.String()
}

func TestContractSubscriptionFlag(t *testing.T) {
	runChecks(t, func(cfg *engine.Config) { cfg.Limits.MaxSubscriptions = 2 }, []check{
		{"two", nil, func(t *testing.T, w *world) {
			c := w.peer(t, "alice").subscribe("a", "b", "a")
			c.refused("channel_limit_exceeded", `{"type":"subscribe","channel":"c"}`)
		}},
	})
}

func TestContractHandshakeTimeout(t *testing.T) {
	runChecks(t, func(cfg *engine.Config) { cfg.Limits.HandshakeTimeout = time.Second }, []check{
		{"slow heads", nil, func(t *testing.T, w *world) {
			undisturbed(t, func(t testing.TB, _ int) { slowHeads(t, w) })
		}},
	})
}

func slowHeads(t testing.TB, w *world) {
	heads := []string{"", "G", "GET /v1?key=" + w.app.pk.ID, strings.TrimSuffix(upgradeHead("/v1?key="+w.app.pk.ID), "\r\n")}
	var slow []*client
	for _, h := range heads {
		c := dial(t, w.addr, "")
		c.write(h)
		slow = append(slow, c)
	}
	alice := w.peer(t, "alice")
	for i, c := range slow {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 4096)
		_, err := c.conn.Read(b)
		for err == nil { // an answer may come before the end
			_, err = c.conn.Read(b)
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("head %q is still waited for", heads[i])
		}
	}
	alice.quietFor(1500 * time.Millisecond) // a session is past it
	alice.fence()
}

// pingInterval is short: a machine that stands still for twice as long makes clients look inactive.
const pingInterval = time.Second

func TestContractInactivity(t *testing.T) {
	runChecks(t, func(cfg *engine.Config) { cfg.Limits.PingInterval = pingInterval }, []check{
		{"silent", nil, func(t *testing.T, w *world) {
			undisturbed(t, func(t testing.TB, n int) { endsSilent(t, w, fmt.Sprintf("room%d", n)) })
		}},
		{"answering with pongs", nil, func(t *testing.T, w *world) {
			undisturbed(t, func(t testing.TB, _ int) {
				staysAlive(t, w, func(c *client, payload []byte) { c.write(masked(ws.NewPongFrame(payload))) })
			})
		}},
		{"answering with frames", nil, func(t *testing.T, w *world) {
			undisturbed(t, func(t testing.TB, _ int) {
				staysAlive(t, w, func(c *client, _ []byte) { c.send(`{"type":"unsubscribe","channel":"x"}`) })
			})
		}},
		{"pings are spread", nil, func(t *testing.T, w *world) {
			undisturbed(t, func(t testing.TB, _ int) { checkPingSpread(t, w) })
		}},
	})
}

// endsSilent has a peer that does not answer pings leave the channel.
func endsSilent(t testing.TB, w *world, channel string) {
	watcher := w.watcher(t, "watcher")
	watcher.join(channel)
	c := w.peer(t, "silent").subscribe(channel)
	watcher.expectPresence(channel, named("silent"), nil)
	goneC := make(chan fields, 1)
	go func() { // answers pings meanwhile
		f, err := watcher.next()
		if err != nil {
			t.Errorf("watcher: %v", err)
		}
		goneC <- f
	}()
	c.pings = true
	pinged := 0
	for {
		op, payload, err := c.read()
		if err != nil {
			t.Fatalf("after %d pings: %v", pinged, err)
		}
		if op == ws.OpPing {
			pinged++
			continue
		}
		if code, _ := closeBody(t, payload); op != ws.OpClose || code != closeInactive {
			t.Fatalf("got %v %d, want close 4000", op, code)
		}
		break
	}
	if pinged == 0 {
		t.Error("closed without a ping")
	}
	samePeers(t, "left", (<-goneC).peers("left"), named("silent"))
}

// staysAlive answers four pings in its way: longer than two intervals, so the answers must have counted as activity.
// The first ping comes after half an interval, those behind it an interval apart, less a tenth.
func staysAlive(t testing.TB, w *world, answer func(*client, []byte)) {
	t.Helper()
	begun := time.Now()
	c := w.peer(t, "alice")
	c.pings = true
	for i := range 4 {
		op, payload, err := c.read()
		if err != nil || op != ws.OpPing {
			t.Fatalf("ping %d: got %v %q, %v after %v", i, op, payload, err, time.Since(begun))
		}
		if got, want := time.Since(begun), pingInterval/2+time.Duration(i)*pingInterval*9/10; got < want {
			t.Errorf("ping %d: got it after %v, want it %v after the welcome or later", i, got, want)
		}
		answer(c, payload)
	}
}

// checkPingSpread sees the first pings of connections made together arrive apart.
func checkPingSpread(t testing.TB, w *world) {
	const conns = 16
	atC := make(chan time.Time, conns)
	for i := range conns {
		c := w.peer(t, fmt.Sprintf("p%d", i))
		c.pings = true
		go func() {
			_, _, _ = c.read()
			atC <- time.Now()
		}()
	}
	first, last := <-atC, time.Time{}
	for range conns - 1 {
		last = <-atC
	}
	if spread := last.Sub(first); spread < 50*time.Millisecond {
		t.Errorf("first pings of %d connections within %v, want them spread", conns, spread)
	}
}
