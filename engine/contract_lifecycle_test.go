package engine_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"signalbox/engine"
)

// TestContractReload changes the apps file under living sockets. Each check has a server of its own.
func TestContractReload(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T, *world, *appSpec){
		"revoked key":      reloadRevokedKey,
		"removed key":      reloadRemovedKey,
		"suspended app":    reloadSuspendedApp,
		"removed app":      reloadRemovedApp,
		"bad file":         reloadBadFile,
		"new app and key":  reloadNewApp,
		"changed patterns": reloadChangedPatterns,
		"changed plan":     reloadChangedPlan,
		"changed file":     reloadChangedFile,
	} {
		for _, loops := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/loops=%d", name, loops), func(t *testing.T) {
				t.Parallel()
				app, other := newApp("app_main"), newApp("app_other")
				app.addSecret()
				s := startServer(t, loops, nil, app, other)
				run(t, &world{server: s, app: app}, other)
			})
		}
	}
}

// reload writes the apps and has the server read them.
func (w *world) reload(t *testing.T, apps ...*appSpec) {
	t.Helper()
	writeApps(t, w.cfg.AppsFile, apps...)
	if err := w.Reload(); err != nil {
		t.Fatalf("Reload: %v", err)
	}
}

// residents are sockets that a reload must or must not touch.
type residents struct{ token, second, publishable, neighbour *client }

// settle connects one socket by each of the app's keys and one to the other app, all but the last in "room".
func (w *world) settle(t *testing.T, other *appSpec) residents {
	t.Helper()
	r := residents{
		token:       w.peer(t, "token"),
		second:      w.enter(t, "token="+w.app.Keys[2].sign(claims{"sub": "second", "exp": in(time.Hour), "permissions": []string{"subscribe", "publish"}})),
		publishable: w.enter(t, "key="+w.app.pk.ID),
		neighbour:   w.twin(other).peer(t, "token"),
	}
	r.token.subscribe("room")
	r.second.subscribe("room")
	r.neighbour.subscribe("room")
	return r
}

func reloadRevokedKey(t *testing.T, w *world, other *appSpec) {
	r := w.settle(t, other)
	w.app.sk.Revoked = true
	w.reload(t, w.app, other)
	r.token.expectClose(closeUnauthorized)
	w.undisturbed(t, r)
	w.open(t, "token="+w.app.sk.sign(claims{"sub": "x", "exp": in(time.Hour)})).expectClose(closeUnauthorized)
	w.restAs(t, w.app.sk, "GET", "/v1/usage", "").want(t, http.StatusUnauthorized, "unauthorized")
	w.app.pk.Revoked = true
	w.reload(t, w.app, other)
	r.publishable.expectClose(closeUnauthorized)
	r.second.fence()
	w.app.sk.Revoked = false // and back
	w.reload(t, w.app, other)
	w.peer(t, "token").fence()
}

// undisturbed expects the second key's socket and the neighbour to go on with their subscriptions.
func (w *world) undisturbed(t *testing.T, r residents) {
	t.Helper()
	w.restAs(t, w.app.Keys[2], "POST", "/v1/channels/room/publish", `{"data":1}`).want(t, http.StatusOK, "")
	r.second.expectMessage("room", "system", "", "1")
	r.neighbour.fence()
}

func reloadRemovedKey(t *testing.T, w *world, other *appSpec) {
	r := w.settle(t, other)
	w.reload(t, w.app.without(w.app.sk), other)
	r.token.expectClose(closeUnauthorized)
	w.undisturbed(t, r)
	r.publishable.fence()
	w.open(t, "token="+w.app.sk.sign(claims{"sub": "x", "exp": in(time.Hour)})).expectClose(closeUnauthorized)
}

func reloadSuspendedApp(t *testing.T, w *world, other *appSpec) {
	r := w.settle(t, other)
	w.app.Suspended = true
	w.reload(t, w.app, other)
	for _, c := range []*client{r.token, r.second, r.publishable} {
		c.expectClose(closeSuspended)
	}
	r.neighbour.fence()
	w.open(t, "key="+w.app.pk.ID).expectClose(closeSuspended)
	w.app.Suspended = false
	w.reload(t, w.app, other)
	w.peer(t, "token").fence()
}

func reloadRemovedApp(t *testing.T, w *world, other *appSpec) {
	r := w.settle(t, other)
	w.reload(t, other)
	for _, c := range []*client{r.token, r.second, r.publishable} {
		c.expectClose(closeSuspended)
	}
	r.neighbour.fence()
	w.open(t, "key="+w.app.pk.ID).expectClose(closeUnauthorized) // an unknown key now
}

func reloadBadFile(t *testing.T, w *world, other *appSpec) {
	r := w.settle(t, other)
	for _, bad := range []string{"apps: [", "", "apps:\n  - id: app_main\n    secrets: 1\n", "apps:\n  - id: a\n  - id: a\n"} {
		writeFile(t, w.cfg.AppsFile, bad)
		if err := w.Reload(); err == nil {
			t.Errorf("Reload of %q: got nil, want an error", bad)
		}
		w.undisturbed(t, r)
		r.token.expectMessage("room", "system", "", "1")
		r.token.fence()
		w.peer(t, "newcomer").fence()
	}
	w.app.sk.Revoked = true // a good file ends the state that was kept
	w.reload(t, w.app, other)
	r.token.expectClose(closeUnauthorized)
}

func reloadNewApp(t *testing.T, w *world, other *appSpec) {
	r := w.settle(t, other)
	third, key := newApp("app_third"), w.app.addSecret("only-*")
	w.open(t, "key="+third.pk.ID).expectClose(closeUnauthorized)
	w.reload(t, w.app, other, third)
	w.twin(third).peer(t, "alice").fence()
	w.enter(t, "token="+key.sign(claims{"sub": "alice", "exp": in(time.Hour)})).refused("channel_not_authorized", `{"type":"subscribe","channel":"room"}`)
	r.token.fence()
	r.publishable.fence()
	w.undisturbed(t, r)
}

func reloadChangedPatterns(t *testing.T, w *world, other *appSpec) {
	old := w.peer(t, "old").subscribe("room")
	w.app.sk.ChannelPatterns, w.app.sk.Actions = []string{"new-*"}, []string{"subscribe"}
	w.reload(t, w.app, other)
	old.subscribe("elsewhere") // holds what it was given
	old.publish("room", "1")
	fresh := w.peer(t, "fresh").subscribe("new-1")
	fresh.refused("channel_not_authorized", `{"type":"subscribe","channel":"room"}`)
	fresh.refused("action_not_permitted", `{"type":"publish","channel":"new-1","data":1}`)
}

func reloadChangedPlan(t *testing.T, w *world, other *appSpec) {
	c := w.peer(t, "alice")
	c.publish("room", "1")
	w.app.Plan.MaxMessagesPerPeriod, w.app.Plan.MaxConcurrentConnections = 1, 1
	w.reload(t, w.app, other)
	c.refused("over_message_quota", `{"type":"publish","channel":"room","data":1}`)
	w.open(t, "key="+w.app.pk.ID).expectClose(closeConnectionLimit)
	w.app.Plan.MaxMessagesPerPeriod, w.app.Plan.MaxConcurrentConnections = 0, 0
	w.reload(t, w.app, other)
	c.publish("room", "1")
	w.peer(t, "bob").fence()
}

// TestContractDrain ends a server with 60 sockets open.
func TestContractDrain(t *testing.T) {
	t.Parallel()
	for _, loops := range []int{1, 3} {
		t.Run(fmt.Sprintf("loops=%d", loops), func(t *testing.T) {
			t.Parallel()
			undisturbed(t, func(t testing.TB, _ int) { // clients have a second to answer their close frames
				app := newApp("app_drain")
				alone := func(cfg *engine.Config) { cfg.Listen = ownHost(loops) + ":0" }
				drain(t, &world{server: startServer(t, loops, alone, app), app: app})
			})
		})
	}
}

// ownHost returns a loopback address of this process alone, the n-th of four: of a port there nobody else listens on, or
// connects from, once it is closed.
func ownHost(n int) string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 128|pid>>14&127, pid>>6&255, pid&63<<2|n)
}

func drain(t testing.TB, w *world) {
	const sockets = 60
	var list []*client
	for i := range sockets {
		list = append(list, w.peer(t, fmt.Sprintf("p%d", i)).subscribe("room"))
	}
	admin := "http://" + w.AdminAddr().String()
	w.call(t, admin+"/healthz", "GET", "", "").want(t, http.StatusOK, "")
	w.call(t, admin+"/readyz", "GET", "", "").want(t, http.StatusOK, "")
	waiting := dial(t, w.addr, "") // in the middle of its head
	head := upgradeHead("/v1?key=" + w.app.pk.ID)
	waiting.write(head[:40])
	w.stop()

	retries := map[int64]bool{}
	for i, c := range list {
		f := c.recv("going_away")
		if ms := f.number("retryAfterMs"); ms < 0 {
			t.Fatalf("retryAfterMs: got %s", f)
		} else {
			retries[ms] = true
		}
		if i == 0 { // the sockets do not answer their close frames yet: the drain is under way
			expectRefusedNew(t, w, waiting, head[40:])
		}
	}
	if len(retries) < sockets/3 {
		t.Errorf("retryAfterMs: got %d values for %d connections, want them to differ", len(retries), sockets)
	}
	for _, c := range list {
		c.expectClose(ws.StatusGoingAway)
	}
	w.finish(t)
	if conn, err := net.DialTimeout("tcp", w.addr, patience); err == nil {
		_ = conn.Close()
		t.Error("the port still accepts connections after Run has returned")
	}
	e, err := engine.New(w.cfg) // everything it held is free
	if err != nil {
		t.Fatalf("a new server on the same directory: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Run(ctx); err != nil {
		t.Errorf("Run with a context that is done: got %v, want nil", err)
	}
}

// expectRefusedNew expects a new connection, and one in the middle of its head, to be refused with 503 and Retry-After.
func expectRefusedNew(t testing.TB, w *world, waiting *client, rest string) {
	t.Helper()
	waiting.write(rest)
	fresh := dial(t, w.addr, "")
	fresh.write(upgradeHead("/v1?key=" + w.app.pk.ID))
	for name, c := range map[string]*client{"waiting": waiting, "fresh": fresh} {
		resp := c.response()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s connect during the drain: got %s, Retry-After %q; want 503 with one", name, resp.Status, resp.Header.Get("Retry-After"))
		}
	}
	if a := w.call(t, "http://"+w.AdminAddr().String()+"/readyz", "GET", "", ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("/readyz during the drain: got %d, want 503", a.status)
	}
}

// TestContractDrainTimeout has sockets that never answer: the drain is over by its timeout all the same.
func TestContractDrainTimeout(t *testing.T) {
	t.Parallel()
	app := newApp("app_stuck")
	w := &world{server: startServer(t, 3, func(cfg *engine.Config) { cfg.DrainTimeout = time.Second }, app), app: app}
	for i := range 20 {
		w.peer(t, fmt.Sprintf("p%d", i))
	}
	dial(t, w.addr, "").write("GET /v1")
	w.finish(t)
}

// TestContractPortInUse wants one line, not half a server.
func TestContractPortInUse(t *testing.T) {
	t.Parallel()
	app := newApp("app_first")
	s := startServer(t, 1, nil, app)
	for name, change := range map[string]func(*engine.Config){
		"public": func(cfg *engine.Config) { cfg.Listen = s.addr },
		"admin":  func(cfg *engine.Config) { cfg.AdminListen = s.AdminAddr().String() },
		"API":    func(cfg *engine.Config) { cfg.APIListen = s.APIAddr().String() },
	} {
		cfg := contractConfig(t, 1)
		writeApps(t, cfg.AppsFile, app)
		change(&cfg)
		if _, err := engine.New(cfg); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s port in use: got %v, want an error of one line", name, err)
		}
		cfg2 := contractConfig(t, 1)
		cfg2.AppsFile, cfg2.DataDir = cfg.AppsFile, cfg.DataDir // what New had opened it has closed
		runServer(t, cfg2)
	}
	w := &world{server: s, app: app}
	w.peer(t, "alice").fence()
}

// reloadChangedFile has nobody tell the server that the file has changed.
func reloadChangedFile(t *testing.T, w *world, other *appSpec) {
	r := w.settle(t, other)
	w.app.sk.Revoked = true
	writeApps(t, w.cfg.AppsFile, w.app, other)
	r.token.expectClose(closeUnauthorized)
	w.undisturbed(t, r)
}
