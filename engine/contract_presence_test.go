package engine_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"signalbox/engine"
)

func TestContractPresence(t *testing.T) {
	runChecks(t, withoutRates, []check{
		{"empty snapshot", nil, checkEmptySnapshot},
		{"snapshot and deltas", nil, checkSnapshot},
		{"repeated subscribe", nil, checkRepeatedSnapshot},
		{"several sockets", nil, checkSeveralSockets},
		{"metadata of the newest socket", nil, checkNewestMetadata},
		{"without the permission", nil, checkWithoutPresence},
		{"every way to leave", nil, checkLeaving},
		{"one channel only", nil, checkPresencePerChannel},
		{"causal under random operations", nil, checkCausalStorm},
	})
}

func checkEmptySnapshot(t *testing.T, w *world) {
	alice := w.watcher(t, "alice")
	for _, channel := range []string{"room", "room/ä", " "} {
		if got := alice.join(channel); len(got) != 0 {
			t.Errorf("snapshot of %q: got %v, want nobody", channel, got)
		}
	}
	// Without a requestId there is no ack, the snapshot comes all the same.
	alice.send(`{"type":"subscribe","channel":"quiet"}`)
	if got := alice.snapshot("quiet"); len(got) != 0 {
		t.Errorf("snapshot: got %v, want nobody", got)
	}
	alice.fence()
}

func checkSnapshot(t *testing.T, w *world) {
	alice := w.watcher(t, "alice", claims{"peerMetadata": claims{"n": 1}})
	bob := w.watcher(t, "bob")
	carol := w.watcher(t, "carol", claims{"metadata": claims{"private": true}, "peerMetadata": claims{"n": 3}})
	samePeers(t, "alice's snapshot", alice.join("room"), nil)
	samePeers(t, "bob's snapshot", bob.join("room"), []rosterPeer{{"alice", `{"n":1}`}})
	alice.expectPresence("room", named("bob"), nil)
	samePeers(t, "carol's snapshot", carol.join("room"), []rosterPeer{{"alice", `{"n":1}`}, {"bob", ""}})
	alice.expectPresence("room", []rosterPeer{{"carol", `{"n":3}`}}, nil)
	bob.expectPresence("room", []rosterPeer{{"carol", `{"n":3}`}}, nil)
	bob.unsubscribe("room")
	alice.expectPresence("room", nil, named("bob"))
	carol.expectPresence("room", nil, named("bob"))
	bob.fence() // told nothing of its own leave
	bob.unsubscribe("room")
	carol.unsubscribe("room")
	alice.expectPresence("room", nil, named("carol"))
	bob.fence()
	for _, c := range []*client{alice, bob, carol} {
		c.fence()
	}
	a := w.rest(t, "GET", "/v1/channels/room/peers", "")
	samePeers(t, "roster", a.fields.peers("peers"), []rosterPeer{{"alice", `{"n":1}`}})
}

func checkRepeatedSnapshot(t *testing.T, w *world) {
	alice, bob := w.watcher(t, "alice"), w.watcher(t, "bob")
	alice.join("room")
	bob.join("room")
	alice.expectPresence("room", named("bob"), nil)
	for range 3 {
		samePeers(t, "snapshot again", alice.join("room"), named("bob"))
	}
	bob.fence() // alice did not join anew
	bob.unsubscribe("room")
	alice.expectPresence("room", nil, named("bob"))
	samePeers(t, "snapshot again", alice.join("room"), nil)
}

func checkSeveralSockets(t *testing.T, w *world) {
	watcher := w.watcher(t, "watcher")
	watcher.join("room")
	var socket [4]*client
	for i := range socket {
		socket[i] = w.watcher(t, "alice")
	}
	watcher.fence() // connecting is not joining
	samePeers(t, "first socket's snapshot", socket[0].join("room"), named("watcher"))
	watcher.expectPresence("room", named("alice"), nil)
	for _, c := range socket[1:] {
		samePeers(t, "another socket's snapshot", c.join("room"), named("watcher"))
		watcher.fence()
		socket[0].fence()
	}
	socket[0].unsubscribe("room")
	watcher.fence()
	socket[1].leave()
	w.awaitSockets(t, 4)
	watcher.fence()
	socket[2].vanish()
	w.awaitSockets(t, 3)
	watcher.fence()
	samePeers(t, "snapshot while one is left", watcher.join("room"), named("alice"))
	socket[3].unsubscribe("room")
	watcher.expectPresence("room", nil, named("alice"))
	socket[0].join("room")
	watcher.expectPresence("room", named("alice"), nil)
}

// awaitSockets waits until the app has n connections.
func (w *world) awaitSockets(t *testing.T, n int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d connections", n), func() bool {
		return w.rest(t, "GET", "/v1/usage", "").fields.number("concurrentNow") == n
	})
}

func checkNewestMetadata(t *testing.T, w *world) {
	watcher := w.watcher(t, "watcher")
	watcher.join("room")
	first := w.peer(t, "alice", claims{"peerMetadata": claims{"v": 1}}).subscribe("room")
	watcher.expectPresence("room", []rosterPeer{{"alice", `{"v":1}`}}, nil)
	second := w.peer(t, "alice", claims{"peerMetadata": claims{"v": 2}})
	rosterIs(t, w, `{"v":1}`) // connected, not subscribed
	second.subscribe("room")
	rosterIs(t, w, `{"v":2}`)
	samePeers(t, "snapshot", watcher.join("room"), []rosterPeer{{"alice", `{"v":2}`}})
	third := w.peer(t, "alice").subscribe("room") // the newest has none
	rosterIs(t, w, "")
	third.unsubscribe("room")
	rosterIs(t, w, `{"v":2}`)
	second.unsubscribe("room")
	rosterIs(t, w, `{"v":1}`)
	watcher.fence()
	first.unsubscribe("room")
	watcher.expectPresence("room", nil, named("alice"))
}

// rosterIs expects the REST roster of "room" to be the watcher and alice with the metadata.
func rosterIs(t *testing.T, w *world, meta string) {
	t.Helper()
	a := w.rest(t, "GET", "/v1/channels/room/peers", "")
	a.want(t, http.StatusOK, "")
	samePeers(t, "roster", a.fields.peers("peers"), []rosterPeer{{"watcher", ""}, {"alice", meta}})
}

func checkWithoutPresence(t *testing.T, w *world) {
	watcher, quiet := w.watcher(t, "watcher"), w.peer(t, "quiet")
	quiet.subscribe("room")
	quiet.fence() // no snapshot
	samePeers(t, "snapshot", watcher.join("room"), named("quiet"))
	quiet.fence() // no delta
	quiet.unsubscribe("room")
	watcher.expectPresence("room", nil, named("quiet"))
	quiet.subscribe("room")
	watcher.expectPresence("room", named("quiet"), nil)
	watcher.unsubscribe("room")
	quiet.fence()
}

func checkLeaving(t *testing.T, w *world) {
	watcher := w.watcher(t, "watcher")
	watcher.join("room")
	ways := map[string]func(*client){
		"unsubscribe": func(c *client) { c.unsubscribe("room") },
		"close":       (*client).leave,
		"reset":       (*client).vanish,
		"end":         func(c *client) { _ = c.conn.Close() },
		"fault": func(c *client) {
			c.write("\xff\xff\xff\xff")
			c.expectClose(ws.StatusProtocolError)
		},
		"kick": func(c *client) {
			w.rest(t, "DELETE", "/v1/peers/"+c.welcome.text("peerId"), "").want(t, http.StatusOK, "")
			c.expectClose(closeKicked)
		},
	}
	for way, leave := range ways {
		id := "by " + way
		c := w.peer(t, id).subscribe("room", "other")
		watcher.expectPresence("room", named(id), nil)
		leave(c)
		watcher.expectPresence("room", nil, named(id))
	}
	watcher.fence()
}

func checkPresencePerChannel(t *testing.T, w *world) {
	alice, bob := w.watcher(t, "alice"), w.watcher(t, "bob")
	alice.join("a")
	bob.join("b")
	alice.fence()
	bob.join("a")
	alice.expectPresence("a", named("bob"), nil)
	samePeers(t, "snapshot of b", alice.join("b"), named("bob"))
	bob.expectPresence("b", named("alice"), nil)
	bob.leave()
	var gone []string
	for range 2 {
		f := alice.recv("presence")
		samePeers(t, "left", f.peers("left"), named("bob"))
		gone = append(gone, f.text("channel"))
	}
	if gone[0] == gone[1] || !strings.Contains("a b", gone[0]) || !strings.Contains("a b", gone[1]) {
		t.Errorf("channels left: got %q, want a and b", gone)
	}
	alice.fence()
}

// rosterView is the roster as a client builds it from presence frames.
type rosterView map[string]bool

// apply applies one presence frame and returns what is wrong with it.
func (r rosterView) apply(f fields) error {
	joined, left := map[string]bool{}, f.peers("left")
	for _, p := range f.peers("joined") {
		if joined[p.id] || r[p.id] {
			return fmt.Errorf("%s joins twice: %s", p.id, f)
		}
		joined[p.id], r[p.id] = true, true
	}
	for _, p := range left {
		if joined[p.id] {
			return fmt.Errorf("%s is in both lists: %s", p.id, f)
		}
		if !r[p.id] {
			return fmt.Errorf("%s leaves without having joined: %s", p.id, f)
		}
		delete(r, p.id)
	}
	return nil
}

// checkCausalStorm has peers join, speak, leave and speak on, again and again, while watchers hold every message against
// the roster they have been told.
func checkCausalStorm(t *testing.T, w *world) {
	const peers, rounds, watchers = 8, 25, 3
	errC := make(chan error, peers+watchers)
	for i := range watchers {
		c := w.watcher(t, fmt.Sprintf("watcher%d", i), claims{"permissions": []string{"subscribe", "presence"}})
		c.join("room")
		go func() { errC <- watchStorm(c, peers*rounds) }()
	}
	for i := range peers {
		c := w.peer(t, fmt.Sprintf("p%d", i))
		go func() { errC <- stormRounds(c, rounds) }()
	}
	for range peers + watchers {
		if err := <-errC; err != nil {
			t.Error(err)
		}
	}
}

// stormRounds joins, speaks, leaves and speaks again, each step in a segment of its own or all four in one.
func stormRounds(c *client, rounds int) error {
	steps := []string{
		text(`{"type":"subscribe","channel":"room"}`), text(`{"type":"publish","channel":"room","data":"in"}`),
		text(`{"type":"unsubscribe","channel":"room"}`), text(`{"type":"publish","channel":"room","data":"out"}`),
		text(`{"type":"ping"}`),
	}
	for i := range rounds {
		segments := steps
		if i%2 == 0 {
			segments = []string{strings.Join(steps, "")}
		}
		for _, s := range segments {
			if err := c.writeErr(s); err != nil {
				return err
			}
		}
		for f := (fields{}); f.text("type") != "pong"; {
			var err error
			if f, err = c.next(); err != nil {
				return err
			}
		}
	}
	return nil
}

// watchStorm reads until every peer has said "out" in every round.
func watchStorm(c *client, outs int) error {
	view := rosterView{}
	me := c.welcome.text("peerId")
	for outs > 0 {
		f, err := c.next()
		if err != nil {
			return fmt.Errorf("%s, %d messages to come: %w", me, outs, err)
		}
		from := f.text("from")
		switch f.text("type") {
		case "presence":
			if err := view.apply(f); err != nil {
				return fmt.Errorf("%s: %w", me, err)
			}
		case "message":
			if in := string(f["data"]) == `"in"`; in != view[from] {
				return fmt.Errorf("%s: message %s of %s while its presence is %v", me, f["data"], from, view[from])
			} else if !in {
				outs--
			}
		default:
			return fmt.Errorf("%s: got %s", me, f)
		}
	}
	return nil
}

// withHeldPresence holds snapshots and deltas back for an hour: whatever arrives was forced out by the rule under test.
func withHeldPresence(cfg *engine.Config) {
	withoutRates(cfg)
	cfg.Limits.SnapshotDelay, cfg.Limits.PresenceWindow = time.Hour, time.Hour
}

func TestContractHeldPresence(t *testing.T) {
	runChecks(t, withHeldPresence, []check{
		{"a ping fetches the snapshot", nil, checkPingFetchesSnapshot},
		{"a message fetches the snapshot", nil, checkMessageFetchesSnapshot},
		{"a snapshot is of the moment it is sent", nil, checkSnapshotMoment},
		{"a ping fetches deltas", nil, checkPingFetchesDeltas},
		{"nothing overtakes a join", nil, checkJoinFirst},
		{"nothing overtakes a leave", nil, checkLeaveFirst},
		{"left then joined", nil, checkLeftThenJoined},
		{"joined then left", nil, checkJoinedThenLeft},
		{"who saw only one of join and leave", nil, checkHalfSeen},
		{"a storm of joins", nil, checkJoinStorm},
	})
}

func checkPingFetchesSnapshot(t *testing.T, w *world) {
	bob := w.peer(t, "bob").subscribe("room")
	bob.fence()
	alice := w.watcher(t, "alice").subscribe("room")
	frames := alice.untilPong()
	if len(frames) != 1 || frames[0].text("type") != "presence" {
		t.Fatalf("before the pong: got %v, want the snapshot", frames)
	}
	samePeers(t, "snapshot", frames[0].peers("joined"), named("bob"))
	alice.fence()
}

func checkMessageFetchesSnapshot(t *testing.T, w *world) {
	bob := w.peer(t, "bob").subscribe("room")
	alice := w.watcher(t, "alice").subscribe("room")
	bob.publish("room", "1")
	samePeers(t, "snapshot", alice.snapshot("room"), named("bob"))
	alice.expectMessage("room", "bob", "", "1")

	carol := w.watcher(t, "carol").subscribe("room")
	bob.direct("carol", "2")
	samePeers(t, "snapshot", carol.snapshot("room"), named("alice", "bob"))
	carol.expectDirect("bob", "", "2")
}

func checkSnapshotMoment(t *testing.T, w *world) {
	alice := w.watcher(t, "alice").subscribe("room")
	bob, carol := w.peer(t, "bob"), w.peer(t, "carol").subscribe("room")
	bob.subscribe("room")
	carol.unsubscribe("room")
	frames := alice.untilPong()
	if len(frames) != 1 {
		t.Fatalf("before the pong: got %v, want one snapshot and no delta", frames)
	}
	samePeers(t, "joined", frames[0].peers("joined"), named("bob"))
	samePeers(t, "left", frames[0].peers("left"), nil)
	alice.fence()
}

func checkPingFetchesDeltas(t *testing.T, w *world) {
	alice := w.watcher(t, "alice").subscribe("a", "b")
	alice.untilPong()
	bob := w.peer(t, "bob").subscribe("a", "b")
	carol := w.peer(t, "carol").subscribe("a")
	bob.unsubscribe("b")
	carol.fence()
	views := map[string]rosterView{"a": {}, "b": {}}
	for _, f := range alice.untilPong() {
		if err := views[f.text("channel")].apply(f); err != nil {
			t.Error(err)
		}
	}
	if !views["a"]["bob"] || !views["a"]["carol"] || len(views["a"]) != 2 || len(views["b"]) != 0 {
		t.Errorf("rosters after the pong: got %v", views)
	}
}

func checkJoinFirst(t *testing.T, w *world) {
	alice := w.watcher(t, "alice").subscribe("room")
	alice.untilPong()
	bob := w.peer(t, "bob", claims{"peerMetadata": claims{"n": 1}})
	bob.send(`{"type":"subscribe","channel":"room"}`, `{"type":"publish","channel":"room","data":1}`)
	alice.expectPresence("room", []rosterPeer{{"bob", `{"n":1}`}}, nil)
	alice.expectMessage("room", "bob", "", "1")

	carol := w.peer(t, "carol")
	carol.send(`{"type":"subscribe","channel":"room"}`, `{"type":"send","to":"alice","data":2}`)
	alice.expectPresence("room", named("carol"), nil)
	alice.expectDirect("carol", "", "2")

	// In another channel, too: nothing from a peer.
	alice.subscribe("other")
	alice.untilPong()
	dave := w.peer(t, "dave")
	dave.send(`{"type":"subscribe","channel":"room"}`, `{"type":"publish","channel":"other","data":3}`)
	alice.expectPresence("room", named("dave"), nil)
	alice.expectMessage("other", "dave", "", "3")
}

func checkLeaveFirst(t *testing.T, w *world) {
	bob, carol := w.peer(t, "bob").subscribe("room"), w.peer(t, "carol").subscribe("room")
	alice := w.watcher(t, "alice").subscribe("room")
	alice.untilPong()
	bob.send(`{"type":"unsubscribe","channel":"room"}`, `{"type":"publish","channel":"room","data":1}`)
	alice.expectPresence("room", nil, named("bob"))
	alice.expectMessage("room", "bob", "", "1")
	carol.send(`{"type":"unsubscribe","channel":"room"}`, `{"type":"send","to":"alice","data":2}`)
	alice.expectPresence("room", nil, named("carol"))
	alice.expectDirect("carol", "", "2")
}

func checkLeftThenJoined(t *testing.T, w *world) {
	bob := w.peer(t, "bob").subscribe("room")
	alice := w.watcher(t, "alice").subscribe("room")
	view := rosterView{}
	for range 4 {
		for _, f := range alice.untilPong() {
			if err := view.apply(f); err != nil {
				t.Fatal(err)
			}
		}
		if !view["bob"] {
			t.Fatalf("roster: got %v, want bob", view)
		}
		bob.unsubscribe("room")
		bob.subscribe("room")
	}
}

func checkJoinedThenLeft(t *testing.T, w *world) {
	alice := w.watcher(t, "alice").subscribe("room")
	alice.untilPong()
	bob := w.peer(t, "bob")
	view := rosterView{}
	for range 4 {
		bob.subscribe("room")
		bob.unsubscribe("room")
		for _, f := range alice.untilPong() {
			if err := view.apply(f); err != nil {
				t.Fatal(err)
			}
		}
		if len(view) != 0 {
			t.Fatalf("roster: got %v, want nobody", view)
		}
	}
}

func checkHalfSeen(t *testing.T, w *world) {
	bob := w.peer(t, "bob")
	before := w.watcher(t, "before").subscribe("room")
	before.untilPong()
	bob.subscribe("room")
	middle := w.watcher(t, "middle").subscribe("room")
	if frames := middle.untilPong(); len(frames) != 1 {
		t.Fatalf("snapshot: got %v", frames)
	}
	bob.unsubscribe("room")
	frames := middle.untilPong()
	if len(frames) != 1 {
		t.Fatalf("after the leave: got %v, want it told to who saw the join", frames)
	}
	samePeers(t, "left", frames[0].peers("left"), named("bob"))
	view := rosterView{}
	for _, f := range before.untilPong() {
		if err := view.apply(f); err != nil {
			t.Error(err)
		}
	}
	if view["bob"] || !view["middle"] {
		t.Errorf("roster: got %v, want middle", view)
	}
}

func checkJoinStorm(t *testing.T, w *world) {
	const joins = 100
	alice := w.watcher(t, "alice").subscribe("room")
	alice.untilPong()
	crowd := w.crowd(t, "p", joins, "lobby", nil)
	for _, c := range crowd {
		c.send(`{"type":"subscribe","channel":"room","requestId":"r"}`)
	}
	for _, c := range crowd {
		c.expectAck("r")
	}
	frames, view := alice.untilPong(), rosterView{}
	for _, f := range frames {
		if err := view.apply(f); err != nil {
			t.Error(err)
		}
	}
	if len(frames) > joins/2 || len(view) != joins {
		t.Errorf("got %d frames and %d peers, want %d peers in far fewer frames", len(frames), len(view), joins)
	}
}

// TestContractSnapshotDelay sees the ack alone in what one read brings, and the snapshot behind it.
func TestContractSnapshotDelay(t *testing.T) {
	runChecks(t, func(cfg *engine.Config) { cfg.Limits.SnapshotDelay = 300 * time.Millisecond }, []check{
		{"in a later write than the ack", nil, func(t *testing.T, w *world) {
			undisturbed(t, func(t testing.TB, n int) { readsAckAlone(t, w, fmt.Sprintf("room%d", n)) })
		}},
	})
}

func readsAckAlone(t testing.TB, w *world, channel string) {
	alice := w.watcher(t, "alice")
	alice.request(`{"type":"subscribe","channel":%q}`, channel)
	b := make([]byte, 4096)
	_ = alice.conn.SetReadDeadline(time.Now().Add(patience))
	n, err := alice.conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b[:n]); !strings.Contains(got, `"ack"`) || strings.Contains(got, `"presence"`) {
		t.Errorf("first read: got %q, want the ack alone", got)
	}
	alice.snapshot(channel)
}
