package engine_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signalbox/engine"
)

// patience bounds every wait for the server. It is far above what any answer takes, because machines are noisy, and stop
// for seconds.
const patience = time.Minute

// planSpec is the plan of an app as apps.yaml spells it.
type planSpec struct {
	Name                     string `json:"name"`
	MaxConcurrentConnections int64  `json:"maxConcurrentConnections"`
	MaxMessagesPerPeriod     int64  `json:"maxMessagesPerPeriod"`
	OveragesAllowed          bool   `json:"overagesAllowed"`
	OveragesEnabled          bool   `json:"overagesEnabled"`
}

// turnSpec is the TURN server of an app; TTL in seconds.
type turnSpec struct {
	URLs   []string `json:"urls"`
	Secret string   `json:"secret"`
	TTL    int64    `json:"ttl"`
}

// webhookSpec is one webhook of an app; without events or patterns it is told of all.
type webhookSpec struct {
	URL             string   `json:"url"`
	Secret          string   `json:"secret"`
	Events          []string `json:"events,omitempty"`
	ChannelPatterns []string `json:"channelPatterns,omitempty"`
}

// keySpec is one key, secret when Secret is set, publishable otherwise.
type keySpec struct {
	ID              string   `json:"id"`
	Secret          string   `json:"secret,omitempty"`
	ChannelPatterns []string `json:"channelPatterns"`
	Actions         []string `json:"actions"`
	AllowedOrigins  []string `json:"allowedOrigins,omitempty"`
	InjectTurn      bool     `json:"injectTurn,omitempty"`
	Revoked         bool     `json:"revoked,omitempty"`
}

// appSpec is one app of apps.yaml. sk and pk, the first two keys, may do everything everywhere.
type appSpec struct {
	ID        string     `json:"id"`
	Suspended bool       `json:"suspended"`
	Plan      planSpec   `json:"plan"`
	Turn      *turnSpec  `json:"turn,omitempty"`
	Keys      []*keySpec `json:"keys"`

	Webhooks []webhookSpec `json:"webhooks,omitempty"`

	sk, pk *keySpec
}

// newApp returns an app with a secret and a publishable key that may do everything.
func newApp(id string) *appSpec {
	a := &appSpec{ID: id, Plan: planSpec{Name: "SELF_HOSTED"}}
	a.sk, a.pk = a.addSecret(), a.addPublishable()
	return a
}

// allActions are the four actions a key may hold.
var allActions = []string{"publish", "subscribe", "presence", "send"}

// addSecret gives the app one more secret key for the patterns, all channels without any.
func (a *appSpec) addSecret(patterns ...string) *keySpec {
	k := &keySpec{ID: "sk_id_" + randomHex(16), Secret: "sk_secret_" + randomHex(24)}
	return a.add(k, patterns)
}

// addPublishable gives the app one more publishable key for the patterns, all channels without any.
func (a *appSpec) addPublishable(patterns ...string) *keySpec {
	return a.add(&keySpec{ID: "pk_live_" + randomHex(16)}, patterns)
}

func (a *appSpec) add(k *keySpec, patterns []string) *keySpec {
	k.ChannelPatterns, k.Actions = patterns, allActions
	if len(patterns) == 0 {
		k.ChannelPatterns = []string{"**"}
	}
	a.Keys = append(a.Keys, k)
	return k
}

// without returns the app without one of its keys.
func (a *appSpec) without(gone *keySpec) *appSpec {
	c := *a
	c.Keys = nil
	for _, k := range a.Keys {
		if k != gone {
			c.Keys = append(c.Keys, k)
		}
	}
	return &c
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}

// writeApps puts apps into the file the way an editor does: a new file renamed over the old one.
// JSON is YAML's flow style, which is what apps.yaml uses for its keys.
func writeApps(t testing.TB, path string, apps ...*appSpec) {
	t.Helper()
	var b strings.Builder
	b.WriteString("apps:\n")
	for _, a := range apps {
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatalf("encode app: %v", err)
		}
		fmt.Fprintf(&b, "  - %s\n", text)
	}
	writeFile(t, path, b.String())
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// claims are the claims of a token. A missing sub or exp stays missing; see peer for the usual ones.
type claims map[string]any

// in returns the unix second that lies d from now.
func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

// sign returns a token of the key with the claims.
func (k *keySpec) sign(c claims) string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // a test's own claims
	}
	return k.signRaw(`{"alg":"HS256","typ":"JWT","kid":"`+k.ID+`"}`, string(text))
}

// signRaw returns a token with header and payload as they stand, signed with HMAC-SHA256 and the key's secret.
func (k *keySpec) signRaw(header, payload string) string {
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, []byte(k.Secret))
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil))
}

// server is a running engine with its apps file.
type server struct {
	*engine.Server
	cfg  engine.Config
	addr string
	stop context.CancelFunc // starts the drain
	runC chan error         // holds what Run returned
}

// contractConfig is the default configuration on a free port, with no state of its own yet.
func contractConfig(t testing.TB, loops int) engine.Config {
	cfg := engine.DefaultConfig()
	cfg.Listen, cfg.AdminListen, cfg.APIListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.AppsFile = filepath.Join(t.TempDir(), "apps.yaml")
	cfg.DataDir = t.TempDir()
	cfg.Loops = loops
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

// startServer runs an engine for the apps until the test ends, and fails the test unless it drains cleanly.
func startServer(t testing.TB, loops int, configure func(*engine.Config), apps ...*appSpec) *server {
	t.Helper()
	cfg := contractConfig(t, loops)
	if configure != nil {
		configure(&cfg)
	}
	writeApps(t, cfg.AppsFile, apps...)
	return runServer(t, cfg)
}

// runServer starts an engine with exactly this configuration.
func runServer(t testing.TB, cfg engine.Config) *server {
	t.Helper()
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatalf("engine.New: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{Server: e, cfg: cfg, addr: e.Addr().String(), stop: cancel, runC: make(chan error, 1)}
	go func() { s.runC <- e.Run(ctx) }()
	t.Cleanup(func() { s.finish(t) })
	eventually(t, "ready", func() bool {
		return s.call(t, "http://"+e.AdminAddr().String()+"/readyz", "GET", "", "").status == http.StatusOK
	})
	return s
}

// finish drains the server and expects a nil error from Run; more than one call is fine.
func (s *server) finish(t testing.TB) {
	t.Helper()
	s.stop()
	select {
	case err := <-s.runC:
		s.runC <- nil
		if err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	case <-time.After(s.cfg.DrainTimeout + 2*patience):
		t.Errorf("Run did not return after its context was done")
	}
}

// world is what one check sees: a server it shares with the checks beside it and an app of its own.
type world struct {
	*server
	app *appSpec
}

// check is one statement of the contract. app, when set, changes the app before the server starts.
type check struct {
	name string
	app  func(*appSpec)
	run  func(*testing.T, *world)
}

// runChecks runs the checks on a server of one loop and on one of three, so that sockets meet within a loop and across.
func runChecks(t *testing.T, configure func(*engine.Config), checks []check) {
	t.Parallel()
	for _, loops := range []int{1, 3} {
		t.Run(fmt.Sprintf("loops=%d", loops), func(t *testing.T) {
			t.Parallel()
			apps := make([]*appSpec, len(checks))
			for i, c := range checks {
				apps[i] = newApp(fmt.Sprintf("app_%d", i))
				if c.app != nil {
					c.app(apps[i])
				}
			}
			s := startServer(t, loops, configure, apps...)
			for i, c := range checks {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(t, &world{server: s, app: apps[i]})
				})
			}
		})
	}
}

// peer connects as peerID with every action but presence, so that exactly the frames a check asks for arrive. Claims in
// more are added or override.
func (w *world) peer(t testing.TB, peerID string, more ...claims) *client {
	t.Helper()
	c := claims{"permissions": []string{"publish", "subscribe", "send"}}
	for _, m := range more {
		maps.Copy(c, m)
	}
	return w.watcher(t, peerID, c)
}

// watcher connects as peerID with all the key allows, presence too.
func (w *world) watcher(t testing.TB, peerID string, more ...claims) *client {
	t.Helper()
	c := claims{"sub": peerID, "exp": in(time.Hour)}
	for _, m := range more {
		maps.Copy(c, m)
	}
	return w.enter(t, "token="+w.app.sk.sign(c))
}

// crowd has n peers join the channel at once, without presence; their ids are the prefix and a number.
func (w *world) crowd(t testing.TB, prefix string, n int, channel string, peerMetadata claims) []*client {
	t.Helper()
	list := make([]*client, n)
	for i := range list {
		c := claims{"sub": fmt.Sprintf("%s%d", prefix, i), "exp": in(time.Hour), "permissions": []string{"publish", "subscribe", "send"}}
		if peerMetadata != nil {
			c["peerMetadata"] = peerMetadata
		}
		list[i] = dial(t, w.addr, "")
		list[i].write(upgradeHead("/v1?token="+w.app.sk.sign(c)) + text(fmt.Sprintf(`{"type":"subscribe","channel":%q,"requestId":"s"}`, channel)))
	}
	for _, c := range list {
		c.expectSwitch()
		c.welcome = c.recv("welcome")
		c.expectAck("s")
	}
	return list
}

// enter connects with the query and expects a welcome.
func (w *world) enter(t testing.TB, query string) *client {
	t.Helper()
	c := w.open(t, query)
	c.welcome = c.recv("welcome")
	return c
}

// open upgrades with the query, whatever comes after the 101.
func (s *server) open(t testing.TB, query string, headers ...string) *client {
	t.Helper()
	c := dial(t, s.addr, "")
	c.write(upgradeHead("/v1?"+query, headers...))
	c.expectSwitch()
	return c
}

// answer is what a REST call brought.
type answer struct {
	status int
	header http.Header
	body   []byte
	fields fields
}

// rest calls the public port with the app's secret key; an empty body sends none.
func (w *world) rest(t testing.TB, method, path, body string) answer {
	t.Helper()
	return w.restAs(t, w.app.sk, method, path, body)
}

// restAs calls the public port with the key's credential.
func (s *server) restAs(t testing.TB, k *keySpec, method, path, body string) answer {
	t.Helper()
	return s.call(t, "http://"+s.addr+path, method, "Bearer "+k.ID+":"+k.Secret, body)
}

// call makes one HTTP request on a connection of its own.
func (s *server) call(t testing.TB, url, method, authorization, body string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	httpClient := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext}}
	resp, err := httpClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, req.URL.Path, err)
	}
	return readAnswer(t, resp)
}

// readAnswer takes the body of resp; fields are set when it is a JSON object.
func readAnswer(t testing.TB, resp *http.Response) answer {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: body}
	_ = json.Unmarshal(body, &a.fields) // a plain-text answer has no fields
	return a
}

// want fails the test unless the answer has the status and, for an error, the code with a message.
func (a answer) want(t testing.TB, status int, code string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status: got %d %s, want %d %s", a.status, a.body, status, code)
	}
	if code == "" {
		return
	}
	if got := a.fields.text("error"); got != code {
		t.Fatalf("error: got %q in %s, want %q", got, a.body, code)
	}
	if a.fields.text("message") == "" {
		t.Fatalf("error answer without a message: %s", a.body)
	}
}
