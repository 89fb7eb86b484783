package engine_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"signalbox/engine"
)

// twin is an app that shares nothing with w's but the server; keys, channels and peers may have the same names.
func (w *world) twin(app *appSpec) *world { return &world{server: w.server, app: app} }

func TestContractTenancy(t *testing.T) {
	t.Parallel()
	for _, loops := range []int{1, 3} {
		t.Run(fmt.Sprintf("loops=%d", loops), func(t *testing.T) {
			t.Parallel()
			one, two := newApp("app_one"), newApp("app_two")
			s := startServer(t, loops, nil, one, two)
			w := &world{server: s, app: one}
			v := w.twin(two)
			t.Run("channels, presence and directs", func(t *testing.T) { checkTenants(t, w, v) })
			t.Run("REST", func(t *testing.T) { checkTenantsREST(t, w, v) })
			t.Run("a token of the other app's key", func(t *testing.T) { checkTenantKeys(t, w, v) })
		})
	}
}

// checkTenants has peers of the same names in channels of the same names, in two apps.
func checkTenants(t *testing.T, w, v *world) {
	wa, va := w.watcher(t, "alice"), v.watcher(t, "alice")
	wb, vb := w.peer(t, "bob", claims{"peerMetadata": claims{"app": 1}}), v.peer(t, "bob")
	samePeers(t, "snapshot", wa.join("room"), nil)
	samePeers(t, "snapshot", va.join("room"), nil)
	wa.fence()
	wb.subscribe("room")
	wa.expectPresence("room", []rosterPeer{{"bob", `{"app":1}`}}, nil)
	va.fence()
	vb.subscribe("room", "*", "**")
	va.expectPresence("room", named("bob"), nil)
	wa.fence()

	wb.publish("room", "1")
	wa.expectMessage("room", "bob", "", "1")
	wb.direct("alice", "2")
	expectDirectMeta(t, wa, "bob", `{"app":1}`, "2")
	va.fence()
	vb.fence()
	vb.direct("alice", "3")
	va.expectDirect("bob", "", "3")
	wa.fence()

	only := v.peer(t, "only-here")
	wb.refused("peer_not_found", `{"type":"send","to":"only-here","data":1}`)
	only.fence()
	wb.unsubscribe("room")
	wa.expectPresence("room", nil, named("bob"))
	va.fence()
}

// expectDirectMeta expects a direct message next whose fromMetadata is the same JSON value.
func expectDirectMeta(t *testing.T, c *client, from, meta, data string) {
	t.Helper()
	f := c.recv("direct")
	if f.text("from") != from || !equalJSON(f["fromMetadata"], []byte(meta)) || string(f["data"]) != data {
		t.Fatalf("direct: got %s, want from %s (%s): %s", f, from, meta, data)
	}
}

func checkTenantsREST(t *testing.T, w, v *world) {
	wc, vc := w.peer(t, "carol").subscribe("hall"), v.peer(t, "carol").subscribe("hall", "**")
	if a := w.rest(t, "POST", "/v1/channels/hall/publish", `{"data":1}`); a.fields.number("delivered") != 1 {
		t.Errorf("publish: got %s, want 1 delivered", a.body)
	}
	wc.expectMessage("hall", "system", "", "1")
	if a := w.rest(t, "POST", "/v1/peers/carol/send", `{"data":2}`); a.fields.number("delivered") != 1 {
		t.Errorf("send: got %s, want 1 delivered", a.body)
	}
	wc.expectDirect("system", "", "2")
	vc.fence()
	v.peer(t, "dave").subscribe("cellar")
	a := w.rest(t, "GET", "/v1/channels/cellar/peers", "")
	samePeers(t, "roster of a channel the other app has", a.fields.peers("peers"), nil)
	a = w.rest(t, "GET", "/v1/channels?prefix=cell", "")
	if list := channelCounts(t, a); len(list) != 0 {
		t.Errorf("channels: got %v, want none of the other app's", list)
	}
	used := w.rest(t, "GET", "/v1/usage", "")
	before := v.rest(t, "GET", "/v1/usage", "")
	wc.publish("nowhere", "1")
	after := w.rest(t, "GET", "/v1/usage", "")
	if used.fields.text("appId") != "app_one" || after.fields.number("messagesUsed") != used.fields.number("messagesUsed")+1 {
		t.Errorf("usage: got %s, want one more than %s", after.body, used.body)
	}
	if got := v.rest(t, "GET", "/v1/usage", ""); got.fields.number("messagesUsed") != before.fields.number("messagesUsed") {
		t.Errorf("usage of the other app: got %s, want %s", got.body, before.body)
	}
	if a := w.rest(t, "DELETE", "/v1/peers/carol", ""); a.fields.number("closed") != 1 {
		t.Errorf("kick: got %s, want 1 closed", a.body)
	}
	wc.expectClose(closeKicked)
	vc.fence()
}

func checkTenantKeys(t *testing.T, w, v *world) {
	mixed := &keySpec{ID: w.app.sk.ID, Secret: v.app.sk.Secret}
	w.open(t, "token="+mixed.sign(claims{"sub": "alice", "exp": in(time.Hour)})).expectClose(closeUnauthorized)
	w.restAs(t, mixed, "GET", "/v1/usage", "").want(t, http.StatusUnauthorized, "unauthorized")
}

func TestContractPlans(t *testing.T) {
	runChecks(t, withoutRates, []check{
		{"over the quota", withPlan(planSpec{MaxMessagesPerPeriod: 3}), checkQuota},
		{"allowed is not enabled", withPlan(planSpec{MaxMessagesPerPeriod: 1, OveragesAllowed: true}), checkQuotaNoOverage},
		{"enabled is not allowed", withPlan(planSpec{MaxMessagesPerPeriod: 1, OveragesEnabled: true}), checkQuotaNoOverage},
		{"overages", withPlan(planSpec{MaxMessagesPerPeriod: 1, OveragesAllowed: true, OveragesEnabled: true}), checkOverage},
		{"what counts", withPlan(planSpec{Name: "UNLIMITED"}), checkCounting},
	})
}

func checkQuota(t *testing.T, w *world) {
	alice, bob := w.peer(t, "alice"), w.watcher(t, "bob")
	bob.join("room")
	alice.publish("room", "1")
	alice.direct("bob", "2")
	w.rest(t, "POST", "/v1/channels/room/publish", `{"data":3}`).want(t, http.StatusOK, "")
	bob.expectMessage("room", "alice", "", "1")
	bob.expectDirect("alice", "", "2")
	bob.expectMessage("room", "system", "", "3")

	alice.refused("over_message_quota", `{"type":"publish","channel":"room","data":4}`)
	alice.refused("over_message_quota", `{"type":"send","to":"bob","data":5}`)
	alice.send(`{"type":"publish","channel":"room","data":6}`)
	alice.expectError("", "over_message_quota")
	w.rest(t, "POST", "/v1/channels/room/publish", `{"data":7}`).want(t, http.StatusTooManyRequests, "over_message_quota")
	w.rest(t, "POST", "/v1/peers/bob/send", `{"data":8}`).want(t, http.StatusTooManyRequests, "over_message_quota")
	// Nothing of it arrived; what is no message goes on, to peers and from them.
	bob.fence()
	alice.subscribe("room")
	bob.expectPresence("room", named("alice"), nil)
	w.peer(t, "carol").subscribe("room")
	bob.expectPresence("room", named("carol"), nil)
	a := w.rest(t, "GET", "/v1/usage", "")
	if a.fields.number("messagesUsed") != 8 || a.fields.number("overageMessages") != 0 {
		t.Errorf("usage: got %s, want 8 messages, the dropped ones included, and no overage", a.body)
	}
}

func checkQuotaNoOverage(t *testing.T, w *world) {
	alice := w.peer(t, "alice")
	alice.publish("room", "1")
	alice.refused("over_message_quota", `{"type":"publish","channel":"room","data":2}`)
}

func checkOverage(t *testing.T, w *world) {
	alice, bob := w.peer(t, "alice"), w.peer(t, "bob").subscribe("room")
	for _, data := range []string{"1", "2", "3"} {
		alice.publish("room", data)
		bob.expectMessage("room", "alice", "", data)
	}
	a := w.rest(t, "GET", "/v1/usage", "")
	if a.fields.number("messagesUsed") != 3 || a.fields.number("overageMessages") != 2 {
		t.Errorf("usage: got %s, want 3 messages, 2 over", a.body)
	}
}

func checkCounting(t *testing.T, w *world) {
	used := func() int64 { return w.rest(t, "GET", "/v1/usage", "").fields.number("messagesUsed") }
	alice := w.peer(t, "alice").subscribe("room")
	for range 5 {
		w.peer(t, "reader").subscribe("room")
	}
	alice.fence()
	if got := used(); got != 0 {
		t.Errorf("before any message: got %d used, want 0", got)
	}
	alice.publish("room", "1") // five deliveries, one message
	alice.direct("reader", "2")
	alice.publish("nobody-listens", "3")
	if got := used(); got != 3 {
		t.Errorf("after three messages: got %d used, want 3", got)
	}
	w.rest(t, "POST", "/v1/channels/room/publish", `{"data":4}`).want(t, http.StatusOK, "")
	if got := used(); got != 4 {
		t.Errorf("after a REST publish: got %d used, want 4", got)
	}
}

// TestContractUsageSurvives restarts a server on its data directory.
func TestContractUsageSurvives(t *testing.T) {
	t.Parallel()
	app := newApp("app_kept")
	cfg := contractConfig(t, 1)
	writeApps(t, cfg.AppsFile, app)
	s := runServer(t, cfg)
	w := &world{server: s, app: app}
	alice := w.peer(t, "alice")
	for range 3 {
		alice.publish("room", "1")
	}
	if _, err := engine.New(cfg); err == nil {
		t.Error("a second server on the data directory: got one, want an error")
	}
	s.finish(t)

	w = &world{server: runServer(t, cfg), app: app}
	a := w.rest(t, "GET", "/v1/usage", "")
	if a.fields.number("messagesUsed") != 3 || a.fields.number("peakConcurrent") != 1 || a.fields.number("concurrentNow") != 0 {
		t.Errorf("usage after a restart: got %s, want 3 messages, a peak of 1 and nobody now", a.body)
	}
}

// checkUsage holds the answer of a usage answer against section 6.
func checkUsage(t *testing.T, w *world) {
	w.peer(t, "alice")
	bob := w.peer(t, "bob")
	bob.leave()
	w.awaitSockets(t, 1)
	a := w.rest(t, "GET", "/v1/usage", "")
	a.want(t, http.StatusOK, "")
	now := time.Now().UTC()
	start := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	want := map[string]int64{
		"periodStartUnix": start.Unix(), "periodEndUnix": start.AddDate(0, 1, 0).Unix(), "concurrentNow": 1,
		"peakConcurrent": 2, "messagesUsed": 0, "overageMessages": 0, "overageConnections": 0,
	}
	for name, n := range want {
		if got := a.fields.number(name); got != n {
			t.Errorf("%s: got %d, want %d", name, got, n)
		}
	}
	plan := `{"name":"PRO","maxConcurrentConnections":9,"maxMessagesPerPeriod":8,"overagesAllowed":true,"overagesEnabled":false}`
	if a.fields.text("appId") != w.app.ID || !equalJSON(a.fields["plan"], []byte(plan)) {
		t.Errorf("usage: got %s, want appId %s and plan %s", a.body, w.app.ID, plan)
	}
}
