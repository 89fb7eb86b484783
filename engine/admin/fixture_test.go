package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"signalbox/engine/auth"
	"signalbox/engine/cluster"
	"signalbox/engine/quota"
	"signalbox/engine/registry"
	"signalbox/engine/session"
	"signalbox/engine/telemetry"
	"signalbox/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	adminToken = "correct horse battery staple"
	secretID   = "sk_id_0123456789abcdef0123456789abcdef"
	secret     = "sk_secret_0123456789abcdef0123456789abcdef0123456789abcdef"
	pageKey    = "pk_live_0123456789abcdef0123456789abcdef"
	appsText   = `# kept
apps:
  - id: app_a
    keys:
      - {id: ` + secretID + `, secret: ` + secret + `, channelPatterns: ["room-*"], actions: [publish, subscribe]}
      - {id: ` + pageKey + `, channelPatterns: ["**"], actions: [subscribe], allowedOrigins: ["https://a.example"]}
  - id: app_empty
`
)

// fakeBackend answers as told; its keys are those of the apps file.
type fakeBackend struct {
	t         testing.TB
	path      string
	peers     []protocol.Peer
	listed    []registry.Listed
	sockets   []session.Socket
	farewells []session.Farewell
	kicked    []string
	cluster   *cluster.Stats
	err       error
}

func (b *fakeBackend) Keys() *auth.Set {
	set, _, err := auth.Load(b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	return set
}

func (b *fakeBackend) Usage(string) quota.Usage { return quota.Usage{ConcurrentNow: 3} }

func (b *fakeBackend) Cluster() *cluster.Stats { return b.cluster }

func (b *fakeBackend) CountChannels(string) int { return len(b.listed) }

func (b *fakeBackend) FindChannels(_, after string, limit int, wanted func(string) bool) ([]registry.Listed, bool) {
	var list []registry.Listed
	for _, c := range b.listed {
		if c.Name > after && wanted(c.Name) {
			list = append(list, c)
		}
	}
	if len(list) > limit {
		return list[:limit], true
	}
	return list, false
}

func (b *fakeBackend) Peers(context.Context, string, string) ([]protocol.Peer, error) {
	return b.peers, b.err
}

func (b *fakeBackend) Sockets(context.Context, string, string, int) ([]session.Socket, int, error) {
	return b.sockets, len(b.sockets), b.err
}

func (b *fakeBackend) Kick(_ context.Context, app, peer string) (int, error) {
	b.kicked = append(b.kicked, app+"/"+peer)
	return 2, b.err
}

func (b *fakeBackend) Farewells(context.Context) ([]session.Farewell, error) {
	return b.farewells, b.err
}

func (b *fakeBackend) Capacity() (open, capacity int) { return 4, 1000 }

func (b *fakeBackend) Reload() error { return nil }

// world is an admin server with its fakes.
type world struct {
	*Server
	backend *fakeBackend
	logs    *bytes.Buffer
	counts  *telemetry.Loop
}

// newWorld returns a server whose public address is every one.
func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "apps.yaml")
	if err := os.WriteFile(path, []byte(appsText), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{backend: &fakeBackend{t: t, path: path}, logs: new(bytes.Buffer), counts: telemetry.NewLoop()}
	counts := func(context.Context) *telemetry.Loop { return w.counts.Clone() }
	o := Options{
		Backend: w.backend,
		Series:  telemetry.NewSeries(2, counts),
		Registry: telemetry.NewRegistry(telemetry.Source{
			Counts: counts, Apps: func() []telemetry.App { return nil }, Sockets: w.backend.Capacity, Ready: func() bool { return true },
			Hooks: func() telemetry.Hooks { return telemetry.Hooks{} }, Cluster: w.backend.Cluster,
		}),
		Logger:   slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Ready:    func() error { return nil },
		Public:   &net.TCPAddr{IP: net.IPv6unspecified, Port: 8080},
		AppsFile: path,
		Version:  "v1", Commit: "abc",
	}
	if change != nil {
		change(&o)
	}
	w.Server = New(o)
	return w
}

// do makes one request, to localhost, with headers "Name: value".
func (w *world) do(method, target, body string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "localhost:8081"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Set(name, value)
		}
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec.Result()
}

// change posts as the console's page does.
func (w *world) change(path, body string) *http.Response {
	return w.do("POST", path, body, "Content-Type: application/json", "Origin: http://localhost:8081", TokenHeader+": "+w.guard.token)
}

// wantJSON fails the test unless the answer has the status and the body, which
// may hold ANY for a value that differs.
func wantJSON(t testing.TB, resp *http.Response, status int, want string) {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Errorf("status = %d, want %d; body %s", resp.StatusCode, status, body)
	}
	if before, after, ok := strings.Cut(want, "ANY"); ok {
		if !strings.HasPrefix(string(body), before) || !strings.HasSuffix(string(body), after) {
			t.Errorf("body:\n got %s\nwant %s", body, want)
		}
	} else if string(body) != want {
		t.Errorf("body:\n got %s\nwant %s", body, want)
	}
	if !json.Valid(body) {
		t.Errorf("body is no JSON: %s", body)
	}
}

var (
	opened = time.UnixMilli(1_800_000_000_000)
	client = netip.MustParseAddr("203.0.113.9")
)
