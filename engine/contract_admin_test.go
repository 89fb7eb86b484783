package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"signalbox/engine"
)

// admin calls the admin address.
func (s *server) admin(t testing.TB, path string) answer {
	t.Helper()
	return s.call(t, "http://"+s.AdminAddr().String()+path, http.MethodGet, "", "")
}

// metrics returns what /metrics tells, by name with labels as they stand there.
func (s *server) metrics(t testing.TB) map[string]float64 {
	t.Helper()
	a := s.admin(t, "/metrics")
	a.want(t, http.StatusOK, "")
	values := map[string]float64{}
	for line := range strings.Lines(string(a.body)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		values[line[:at]] = v
	}
	return values
}

func TestMetricsTellWhatHappened(t *testing.T) {
	t.Parallel()
	for _, loops := range []int{1, 3} {
		t.Run(fmt.Sprintf("loops=%d", loops), func(t *testing.T) {
			t.Parallel()
			app := newApp("app_a")
			w := &world{server: startServer(t, loops, nil, app), app: app}
			alice, bob := w.peer(t, "alice").subscribe("c"), w.peer(t, "bob").subscribe("c")
			carol := w.peer(t, "carol").subscribe("c*")
			alice.publish("c", "1")
			bob.expectMessage("c", "alice", "", "1")
			carol.expectMessage("c", "alice", "", "1")
			w.rest(t, "POST", "/v1/channels/c/publish", `{"data":2}`).want(t, 200, "")
			for _, c := range []*client{alice, bob, carol} {
				c.expectMessage("c", "system", "", "2")
			}
			alice.direct("bob", "3")
			bob.expectDirect("alice", "", "3")
			alice.refused("invalid_channel", `{"type":"publish","channel":"c*","data":1}`)
			watcher := w.watcher(t, "dora")
			watcher.join("c")
			w.rest(t, "DELETE", "/v1/peers/carol", "").want(t, 200, "")
			carol.expectClose(4020)
			w.open(t, "key=pk_live_none").expectClose(4001)
			refused := dial(t, w.addr, "")
			refused.write(upgradeHead("/v1"))
			refused.answer().want(t, http.StatusUnauthorized, "")
			bob.vanish()
			var got map[string]float64
			eventually(t, "the end of bob in the metrics", func() bool {
				got = w.metrics(t)
				gone := got[`signalbox_closes_total{by="network",code="1006",reason="connection lost"}`]
				return gone == 1 && got["signalbox_connections"] == 2
			})
			for name, want := range map[string]float64{
				"signalbox_connections":                          2,
				"signalbox_connects_total":                       4,
				"signalbox_publishes_total":                      2,
				"signalbox_deliveries_total":                     5,
				"signalbox_directs_total":                        1,
				"signalbox_frames_received_total":                6 + 1, // and dora's subscribe
				"signalbox_ready":                                1,
				`signalbox_app_connections{app="app_a"}`:         2,
				`signalbox_app_messages_total{app="app_a"}`:      3,
				`signalbox_app_deliveries_total{app="app_a"}`:    5,
				`signalbox_errors_total{code="invalid_channel"}`: 1,
				`signalbox_closes_total{by="server",code="4020",reason="disconnected by admin"}`: 1,
				`signalbox_upgrades_refused_total{code="4001",status="101"}`:                     1,
				`signalbox_upgrades_refused_total{code="invalid_token",status="401"}`:            1,
			} {
				if v, ok := got[name]; !ok || v != want {
					t.Errorf("%s = %v (%t), want %v", name, v, ok, want)
				}
			}
			for _, name := range []string{
				"signalbox_flush_seconds_count", "signalbox_turn_seconds_count", "signalbox_handshake_seconds_count",
				"signalbox_writes_total", "signalbox_sent_bytes_total", "signalbox_received_bytes_total", "signalbox_frames_sent_total",
				"signalbox_sockets_max", "process_open_fds", "process_max_fds",
			} {
				if got[name] == 0 {
					t.Errorf("%s is 0", name)
				}
			}
		})
	}
}

func TestConsoleTellsWhoIsThere(t *testing.T) {
	t.Parallel()
	app := newApp("app_a")
	w := &world{server: startServer(t, 2, nil, app), app: app}
	alice := w.peer(t, "alice").subscribe("room/1", "room/*")
	w.watcher(t, "alice").join("room/2")
	var peer struct {
		Total   int
		Sockets []struct {
			Conn, Address, KeyID string
			Subscriptions        int
			Channels             []string
		}
	}
	if err := json.Unmarshal(w.admin(t, "/console/api/peer?app=app_a&peer=alice").body, &peer); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, s := range peer.Sockets {
		total += len(s.Channels)
		if s.Address != "127.0.0.1" || s.KeyID != app.sk.ID || s.Subscriptions != len(s.Channels) {
			t.Errorf("socket %+v", s)
		}
	}
	if peer.Total != 2 || len(peer.Sockets) != 2 || total != 3 {
		t.Errorf("peer %+v, want two sockets with three subscriptions", peer)
	}
	alice.leave()
	var ends struct {
		Recent []struct{ PeerID, Address, By string }
	}
	eventually(t, "alice's end", func() bool {
		if err := json.Unmarshal(w.admin(t, "/console/api/disconnects").body, &ends); err != nil {
			t.Fatal(err)
		}
		return len(ends.Recent) > 0
	})
	if e := ends.Recent[0]; e.PeerID != "alice" || e.Address != "127.0.0.1" || e.By != "client" {
		t.Errorf("end %+v", e)
	}
	eventually(t, "a second in the overview", func() bool {
		var o struct {
			Connections int
			Series      struct{ Connections []int }
		}
		if err := json.Unmarshal(w.admin(t, "/console/api/overview").body, &o); err != nil {
			t.Fatal(err)
		}
		return o.Connections == 1 && len(o.Series.Connections) > 0
	})
}

func TestAdminAddressOffLoopbackNeedsToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listen, token string
		ok            bool
	}{
		"loopback":                {"127.0.0.1:0", "", true},
		"loopback 6 with a token": {"127.0.0.1:0", "0123456789abcdef", true},
		"every address":           {":0", "", false},
		"every IPv4 address":      {"0.0.0.0:0", "", false},
		"every address, a token":  {":0", "0123456789abcdef", true},
		"short token":             {"127.0.0.1:0", "0123456789abcde", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := contractConfig(t, 1)
			cfg.AdminListen, cfg.AdminToken = c.listen, c.token
			writeApps(t, cfg.AppsFile, newApp("app_a"))
			e, err := engine.New(cfg)
			if (err == nil) != c.ok {
				t.Errorf("New: %v, want success %t", err, c.ok)
			}
			if err != nil && !strings.Contains(err.Error(), "token") {
				t.Errorf("the error %q does not name the token", err)
			}
			if e != nil {
				runAndStop(t, e)
			}
		})
	}
}

// runAndStop releases what a server holds.
func runAndStop(t testing.TB, e *engine.Server) {
	t.Helper()
	s := &server{Server: e, cfg: engine.DefaultConfig(), runC: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.runC <- e.Run(ctx) }()
	<-e.Ready()
	s.finish(t)
}

// sharedLog is a log that several goroutines write.
type sharedLog struct {
	mu  sync.Mutex
	buf bytes.Buffer // Guarded by mu.
}

func (l *sharedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *sharedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	var log sharedLog
	const adminToken = "an admin token of some length"
	app := newApp("app_a")
	w := &world{app: app, server: startServer(t, 2, func(cfg *engine.Config) {
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg.AdminToken = adminToken
	}, app)}
	good := app.sk.sign(claims{"sub": "alice", "exp": in(time.Hour), "metadata": claims{"private": "bag-of-alice"}})
	expired := app.sk.sign(claims{"sub": "alice", "exp": 1})
	tampered := good[:len(good)-4] + "AAAA"
	alice := w.enter(t, "token="+good)
	alice.join("room")
	w.open(t, "token="+expired).expectClose(4002)
	w.open(t, "token="+tampered).expectClose(4001)
	w.enter(t, "key="+app.pk.ID).leave()
	w.rest(t, "POST", "/v1/tokens", `{"peerId":"bob"}`).want(t, 200, "")
	w.rest(t, "POST", "/v1/channels/room/publish", `{"data":"payload-of-message"}`).want(t, 200, "")
	alice.recv("message")
	w.restAs(t, &keySpec{ID: app.sk.ID, Secret: "sk_secret_wrong"}, "GET", "/v1/usage", "").want(t, 401, "")
	for _, authorization := range []string{"Bearer " + adminToken, "Bearer wrong-admin-token", ""} {
		w.call(t, "http://"+w.AdminAddr().String()+"/metrics", "GET", authorization, "")
	}
	w.rest(t, "DELETE", "/v1/peers/alice", "").want(t, 200, "")
	alice.expectClose(4020)
	eventually(t, "the session's end in the log", func() bool { return strings.Contains(log.String(), `"code":4020`) })
	text := log.String()
	for what, secret := range map[string]string{
		"secret": app.sk.Secret, "token": good, "expired token": expired, "tampered token": tampered, "publishable key": app.pk.ID,
		"wrong secret": "sk_secret_wrong", "admin token": adminToken, "wrong admin token": "wrong-admin-token",
		"metadata": "bag-of-alice", "payload": "payload-of-message", "signature": good[strings.LastIndexByte(good, '.')+1:],
		"claims": strings.Split(good, ".")[1],
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds the %s", what)
		}
	}
	for _, want := range []string{`"msg":"session opened","conn":"`, `"msg":"session closed","conn":"`, `"msg":"credential refused"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %s", want)
		}
	}
}
