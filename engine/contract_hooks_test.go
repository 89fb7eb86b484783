package engine_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signalbox/engine"
)

const hookSecret = "whsec_0123456789abcdef0123456789abcdef"

// backend is the receiver of an app's events.
type backend struct {
	*httptest.Server
	t       testing.TB
	calledC chan struct{} // has one when there was a call

	mu sync.Mutex
	// Guarded by mu.
	down   bool              // answers 503
	seen   map[string]string // event id → event
	events []hookEvent       // each once, in the order they were taken
}

// hookEvent is an event as its receiver sees it.
type hookEvent struct{ kind, channel, peer, meta string }

func (e hookEvent) String() string {
	return strings.Join(strings.Fields(e.kind+" "+e.channel+" "+e.peer+" "+e.meta), " ")
}

// newBackend starts a receiver. before, if not nil, is called before each answer.
func newBackend(t testing.TB, before func()) *backend {
	b := &backend{t: t, calledC: make(chan struct{}, 1), seen: map[string]string{}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the server has ended meanwhile
		}
		if before != nil {
			before()
		}
		w.WriteHeader(b.take(r, body))
		select {
		case b.calledC <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(b.Close)
	return b
}

// webhook is the entry of the file that leads here.
func (b *backend) webhook() webhookSpec {
	return webhookSpec{URL: b.URL + "/hooks?tenant=1", Secret: hookSecret}
}

// take checks a request as the README tells backends to, and notes its events.
func (b *backend) take(r *http.Request, body []byte) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(r.Header.Get("Signalbox-Timestamp") + "." + string(body)))
	if got, want := r.Header.Get("Signalbox-Signature"), "v1="+hex.EncodeToString(mac.Sum(nil)); got != want {
		b.t.Errorf("signature: got %q, want %q", got, want)
	}
	if r.Method != "POST" || r.URL.String() != "/hooks?tenant=1" || !strings.HasPrefix(r.UserAgent(), "signalbox/") {
		b.t.Errorf("got %s %s by %q", r.Method, r.URL, r.UserAgent())
	}
	if b.down {
		return http.StatusServiceUnavailable
	}
	var batch struct {
		ID, App string
		Events  []struct {
			ID, Type, Channel, PeerID string
			Metadata                  json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &batch); err != nil || batch.ID == "" || batch.App == "" || len(batch.Events) == 0 {
		b.t.Errorf("batch: %v in %s", err, body)
	}
	for _, e := range batch.Events {
		event := hookEvent{e.Type, e.Channel, e.PeerID, string(e.Metadata)}
		if was, again := b.seen[e.ID]; !again {
			b.events = append(b.events, event)
		} else if was != event.String() {
			b.t.Errorf("event %s: got %q, then %q", e.ID, was, event)
		}
		b.seen[e.ID] = event.String()
	}
	return http.StatusNoContent
}

func (b *backend) setDown(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// await waits until so many events have come and returns them.
func (b *backend) await(n int) []hookEvent {
	b.t.Helper()
	timeout := time.After(patience)
	for {
		b.mu.Lock()
		events := slices.Clone(b.events)
		b.mu.Unlock()
		if len(events) >= n {
			return events
		}
		select {
		case <-b.calledC:
		case <-timeout:
			b.t.Fatalf("got %d events, want %d", len(events), n)
		}
	}
}

// sameEvents holds the events that fit against those wanted, in their order.
func sameEvents(t testing.TB, what string, events []hookEvent, fits func(hookEvent) bool, want ...string) {
	t.Helper()
	var got []string
	for _, e := range events {
		if fits(e) {
			got = append(got, e.String())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func ofChannel(name string) func(hookEvent) bool {
	return func(e hookEvent) bool { return e.channel == name }
}

// beingOnline takes the events of a peer that are about no channel.
func beingOnline(peer string) func(hookEvent) bool {
	return func(e hookEvent) bool { return e.channel == "" && e.peer == peer }
}

// hooked runs a check on servers of one and three loops whose app has a webhook.
func hooked(t *testing.T, run func(*testing.T, *world, *backend)) {
	t.Parallel()
	for _, loops := range []int{1, 3} {
		t.Run(fmt.Sprintf("loops=%d", loops), func(t *testing.T) {
			t.Parallel()
			b, app := newBackend(t, nil), newApp("app_hooks")
			app.Webhooks = []webhookSpec{b.webhook()}
			run(t, &world{server: startServer(t, loops, nil, app), app: app}, b)
		})
	}
}

// TestContractHooks follows two peers with several sockets through a channel.
func TestContractHooks(t *testing.T) {
	hooked(t, func(t *testing.T, w *world, b *backend) {
		alice := w.watcher(t, "alice", claims{"peerMetadata": claims{"n": 1}})
		alice.subscribe("r*") // occupies nothing
		alice.join("room")
		bob := w.watcher(t, "bob")
		bob.join("room")
		second := w.watcher(t, "bob")
		second.join("room")
		second.join("hall")
		alice.expectPresence("room", named("bob"), nil)
		second.unsubscribe("room")
		w.rest(t, "DELETE", "/v1/peers/bob", "").want(t, http.StatusOK, "")
		alice.expectPresence("room", nil, named("bob"))
		w.awaitSockets(t, 1)
		alice.unsubscribe("room")
		alice.join("room")
		alice.leave()

		events := b.await(18)
		sameEvents(t, "room", events, ofChannel("room"),
			"channel.occupied room", `channel.joined room alice {"n":1}`, "channel.joined room bob", "channel.left room bob",
			"channel.left room alice", "channel.vacated room",
			"channel.occupied room", `channel.joined room alice {"n":1}`, "channel.left room alice", "channel.vacated room")
		sameEvents(t, "hall", events, ofChannel("hall"),
			"channel.occupied hall", "channel.joined hall bob", "channel.left hall bob", "channel.vacated hall")
		sameEvents(t, "alice", events, beingOnline("alice"), "peer.online alice", "peer.offline alice")
		sameEvents(t, "bob", events, beingOnline("bob"), "peer.online bob", "peer.offline bob")
		if len(events) != 18 {
			t.Errorf("got %d events, want 18: %v", len(events), events)
		}
	})
}

// TestContractHooksOverRestart has the receiver fail over a graceful end: the
// next process delivers all, who went offline last included.
func TestContractHooksOverRestart(t *testing.T) {
	hooked(t, func(t *testing.T, w *world, b *backend) {
		b.setDown(true)
		const peers = 40
		for i := range peers {
			w.peer(t, fmt.Sprintf("p%d", i)).subscribe("room", fmt.Sprintf("own%d", i))
		}
		w.finish(t)
		b.setDown(false)
		next := &world{server: runServer(t, w.cfg), app: w.app}
		events := b.await(2*peers + 2*peers + 4*peers + 2)
		if n := len(events); n != 8*peers+2 {
			t.Errorf("got %d events, want %d", n, 8*peers+2)
		}
		var room []string
		for _, e := range events {
			if e.channel == "room" {
				room = append(room, e.kind)
			}
		}
		if n := len(room); n != 2*peers+2 || room[0] != "channel.occupied" || room[n-1] != "channel.vacated" {
			t.Errorf("room: got %q", room)
		}
		for i := range peers {
			p, own := fmt.Sprintf("p%d", i), fmt.Sprintf("own%d", i)
			sameEvents(t, p, events, beingOnline(p), "peer.online "+p, "peer.offline "+p)
			sameEvents(t, own, events, ofChannel(own), "channel.occupied "+own, "channel.joined "+own+" "+p, "channel.left "+own+" "+p, "channel.vacated "+own)
		}
		next.peer(t, "late")
		if e := b.await(8*peers + 3)[8*peers+2]; e.String() != "peer.online late" {
			t.Errorf("got %s", e)
		}
	})
}

// TestContractHooksReload corrects a webhook's URL, adds one and takes it away.
func TestContractHooksReload(t *testing.T) {
	hooked(t, func(t *testing.T, w *world, b *backend) {
		b.setDown(true)
		alice := w.peer(t, "alice").subscribe("room")
		select {
		case <-b.calledC:
		case <-time.After(patience):
			t.Fatal("the webhook was not tried")
		}
		corrected, added := newBackend(t, nil), newBackend(t, nil)
		w.app.Webhooks = []webhookSpec{corrected.webhook(), added.webhook()}
		w.app.Webhooks[1].Events, w.app.Webhooks[1].ChannelPatterns = []string{"channel.joined", "peer.offline"}, []string{"h*"}
		w.reload(t, w.app)
		want := []string{"peer.online alice", "channel.occupied room", "channel.joined room alice"}
		all := func(hookEvent) bool { return true }
		sameEvents(t, "corrected", corrected.await(3), all, want...)
		alice.subscribe("house").unsubscribe("house")
		alice.subscribe("hall")
		want = append(want, "channel.occupied house", "channel.joined house alice", "channel.left house alice", "channel.vacated house",
			"channel.occupied hall", "channel.joined hall alice")
		sameEvents(t, "corrected", corrected.await(9), all, want...)
		sameEvents(t, "added", added.await(2), all, "channel.joined house alice", "channel.joined hall alice")
		w.app.Webhooks = nil
		w.reload(t, w.app)
		alice.unsubscribe("hall")
		w.app.Webhooks = []webhookSpec{corrected.webhook()}
		w.reload(t, w.app)
		alice.unsubscribe("room")
		sameEvents(t, "back", corrected.await(11)[9:], all, "channel.left room alice", "channel.vacated room")
	})
}

// TestContractHooksDoNotHold: while the receiver keeps its first request, publishes
// and joins go on.
func TestContractHooksDoNotHold(t *testing.T) {
	t.Parallel()
	releaseC := make(chan struct{})
	requestC := make(chan struct{}, 100)
	b := newBackend(t, func() {
		requestC <- struct{}{}
		<-releaseC
	})
	app := newApp("app_slow")
	app.Webhooks = []webhookSpec{b.webhook()}
	w := &world{server: startServer(t, 2, withoutRates, app), app: app}
	alice, bob := w.peer(t, "alice").subscribe("room"), w.peer(t, "bob").subscribe("room")
	<-requestC
	for i := range 500 {
		alice.publish("room", fmt.Sprint(i))
		bob.expectMessage("room", "alice", "", fmt.Sprint(i))
		bob.subscribe("hall")
		bob.unsubscribe("hall")
	}
	if n := len(b.await(0)); n != 0 {
		t.Errorf("%d events were answered", n)
	}
	close(releaseC)
	sameEvents(t, "bob", b.await(5+4*500), beingOnline("bob"), "peer.online bob")
}

// TestContractHooksSpool wants room for a few batches.
func TestContractHooksSpool(t *testing.T) {
	cfg := contractConfig(t, 1)
	writeApps(t, cfg.AppsFile, newApp("app_a"))
	cfg.HookSpool = engine.MinHookSpool - 1
	if _, err := engine.New(cfg); err == nil {
		t.Error("got no error")
	}
}
