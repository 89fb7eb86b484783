package engine_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"signalbox/engine"
)

func TestContractBacklog(t *testing.T) {
	runChecks(t, withoutRates, []check{
		{"a reader that stops", nil, inTime(checkSlowReader)},
		{"a reader that stops with direct messages", nil, inTime(checkSlowDirect)},
	})
	t.Run("total", func(t *testing.T) {
		total := func(cfg *engine.Config) {
			withoutRates(cfg)
			cfg.Limits.MaxBacklog, cfg.Limits.MaxBacklogTotal = 1<<30, 1<<20
		}
		runChecks(t, total, []check{{"the slowest is closed", nil, inTime(checkSlowestReader)}})
	})
	t.Run("small", func(t *testing.T) {
		tiny := func(cfg *engine.Config) { withoutRates(cfg); cfg.Limits.MaxBacklog = 1 }
		runChecks(t, tiny, []check{
			{"never less than two largest messages", nil, checkTwoLargest},
			{"a snapshot does not count", nil, checkSnapshotOverBacklog},
		})
	})
}

// inTime has the check read what was queued for a reader that is closed within the 3 s that there are for that. Its
// channels end in what it gets.
func inTime(run func(testing.TB, *world, string)) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		undisturbed(t, func(t testing.TB, n int) { run(t, w, fmt.Sprint(n)) })
	}
}

const (
	// floodMessages of floodBytes are more than kernel buffers and a backlog of 1 MiB hold together.
	floodMessages = 400
	floodBytes    = 60_000
	// afterFlood messages go to the others once the slow reader is gone.
	afterFlood = 20
	// sluggishBuffer is the receive buffer of a slow reader: a few loopback segments of 64 KiB, below which TCP crawls.
	sluggishBuffer = 256 << 10
)

// sluggish connects a peer whose kernel takes little for it.
func (w *world) sluggish(t testing.TB) *client {
	t.Helper()
	c := w.peer(t, "slow")
	if err := c.conn.SetReadBuffer(sluggishBuffer); err != nil {
		t.Fatal(err)
	}
	return c
}

func checkSlowReader(t testing.TB, w *world, n string) {
	room, roster := "room"+n, "roster"+n
	slow, healthy := w.sluggish(t).subscribe(room), w.peer(t, "healthy").subscribe(room)
	watcher := w.watcher(t, "watcher", claims{"permissions": []string{"subscribe", "presence"}})
	watcher.join(roster)
	slow.subscribe(roster)
	watcher.expectPresence(roster, named("slow"), nil)

	alice := w.peer(t, "alice")
	data := jsonString(floodBytes)
	one := func() {
		alice.publish(room, data) // acked, whoever does not read
		if f := healthy.recv("message"); len(f["data"]) != floodBytes {
			t.Fatalf("message: got %d bytes, want %d", len(f["data"]), floodBytes)
		}
	}
	for n := 1; ; n++ {
		if one(); len(watcher.untilPong()) > 0 {
			break
		}
		if n == floodMessages {
			t.Fatal("the slow peer is still there")
		}
	}
	expectBacklogClose(t, slow)
	for range afterFlood {
		one()
	}
	healthy.fence()
	alice.fence()
}

// checkSlowestReader has one reader stop with all messages and one with every fourth.
func checkSlowestReader(t testing.TB, w *world, n string) {
	all, some, roster := "all"+n, "some"+n, "roster"+n
	worst := w.sluggish(t).subscribe(all, roster)
	better, watcher := w.peer(t, "better"), w.watcher(t, "watcher")
	if err := better.conn.SetReadBuffer(sluggishBuffer); err != nil {
		t.Fatal(err)
	}
	better.subscribe(some)
	watcher.join(roster)
	alice := w.peer(t, "alice")
	data, sent := jsonString(floodBytes), 0
	for n := 1; len(watcher.untilPong()) == 0; n++ {
		if alice.publish(all, data); n%4 == 0 {
			alice.publish(some, data)
			sent++
		}
		if n == floodMessages {
			t.Fatal("the slowest peer is still there")
		}
	}
	expectBacklogClose(t, worst)
	for range sent {
		better.recv("message")
	}
	better.fence()
	alice.fence()
}

func checkSlowDirect(t testing.TB, w *world, _ string) {
	slow, alice, bob := w.sluggish(t), w.peer(t, "alice"), w.peer(t, "bob")
	data := jsonString(floodBytes)
	for n := 1; ; n++ {
		id := alice.request(`{"type":"send","to":"slow","data":%s}`, data)
		f, err := alice.next()
		if err != nil || f.text("requestId") != id {
			t.Fatalf("got %s, %v", f, err)
		}
		if f.text("code") == "peer_not_found" {
			break
		}
		alice.direct("bob", "1")
		bob.expectDirect("alice", "", "1")
		if n == floodMessages {
			t.Fatal("the slow peer is still there")
		}
	}
	expectBacklogClose(t, slow)
}

// expectBacklogClose reads what was queued for a slow reader, whole frames all of them, and then close 1008.
func expectBacklogClose(t testing.TB, c *client) {
	t.Helper()
	for n := 0; ; n++ {
		op, payload, err := c.read()
		if err != nil {
			t.Fatalf("after %d messages: %v, want close 1008", n, err)
		}
		switch op {
		case ws.OpText:
			if payload[0] != '{' || payload[len(payload)-1] != '}' {
				t.Fatalf("message %d is torn", n)
			}
		case ws.OpClose:
			if code, _ := closeBody(t, payload); code != ws.StatusPolicyViolation {
				t.Fatalf("close code: got %d, want 1008", code)
			}
			return
		default:
			t.Fatalf("got %v", op)
		}
	}
}

// checkTwoLargest sends two largest messages at once to a reader that reads them: no backlog flag may forbid that.
func checkTwoLargest(t *testing.T, w *world) {
	bob, alice := w.peer(t, "bob").subscribe("room"), w.peer(t, "alice")
	data := jsonString(65536)
	for i := range 20 {
		m := fmt.Sprintf(`{"type":"publish","channel":"room","data":%s}`, data)
		alice.send(m, m)
		for range 2 {
			if f := bob.recv("message"); len(f["data"]) != len(data) {
				t.Fatalf("message %d: got %d bytes", i, len(f["data"]))
			}
		}
	}
	bob.fence()
}

// checkSnapshotOverBacklog has a reader take its time over a snapshot ten times as long as its backlog may be.
func checkSnapshotOverBacklog(t *testing.T, w *world) {
	const peers = 300
	w.crowd(t, "p", peers, "room", claims{"x": strings.Repeat("m", 4050)})
	late := w.watcher(t, "late")
	if err := late.conn.SetReadBuffer(sluggishBuffer); err != nil {
		t.Fatal(err)
	}
	late.send(`{"type":"subscribe","channel":"room"}`)
	for range 50 { // nothing is read meanwhile
		w.rest(t, "GET", "/v1/usage", "").want(t, http.StatusOK, "")
	}
	expectParts(t, "snapshot", late, peers)
}
