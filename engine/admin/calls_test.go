package admin

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"signalbox/engine/registry"
	"signalbox/engine/session"
	"signalbox/engine/telemetry"
	"signalbox/protocol"
)

func TestReads(t *testing.T) {
	w := newWorld(t, nil)
	w.backend.listed = []registry.Listed{{Name: "a/1", Peers: 2}, {Name: "a/2", Peers: 1}, {Name: `b<"`, Peers: 3}}
	w.backend.peers = []protocol.Peer{{ID: "bob"}, {ID: "alice", Metadata: []byte(`{"n":1e999}`)}}
	w.backend.sockets = []session.Socket{
		{Conn: registry.NewRef(1, 7, 2), Addr: client, Opened: opened, Key: pageKey, Subscriptions: 1, Channels: []string{"a/*"}, Queued: 5},
		{Conn: registry.NewRef(0, 1, 0), Opened: opened.Add(-time.Second), Expires: opened.Add(time.Hour), Key: secretID},
	}
	w.backend.farewells = []session.Farewell{{
		Close: telemetry.Close{Code: telemetry.Gone, By: telemetry.Network}, Conn: registry.NewRef(1, 7, 2),
		App: "app_a", Peer: "alice", Addr: client, Opened: opened, At: opened.Add(time.Minute),
	}}
	tests := []struct {
		name, target string
		status       int
		want         string
	}{
		{"session", "/console/session", 200, `{"token":"` + w.guard.token + `","version":"v1","commit":"abc","publicURL":"ws://localhost:8080/v1","keysWritable":true,"startedAt":ANY}`},
		{"apps", "/console/api/apps", 200, `{"apps":[{"appId":"app_a","suspended":false,"channels":3,"keys":2,"usage":{"periodStartUnix":0,"periodEndUnix":0,"concurrentNow":3,"peakConcurrent":0,"messagesUsed":0,"overageMessages":0,"overageConnections":0},"plan":{ANY]}`},
		{"channels", "/console/api/channels?app=app_a", 200, `{"channels":[{"channel":"a/1","peers":2},{"channel":"a/2","peers":1},{"channel":"b<\"","peers":3}]}`},
		{"first page", "/console/api/channels?app=app_a&limit=1", 200, `{"channels":[{"channel":"a/1","peers":2}],"next":"a/1"}`},
		{"next page", "/console/api/channels?app=app_a&limit=2&after=a/1", 200, `{"channels":[{"channel":"a/2","peers":1},{"channel":"b<\"","peers":3}]}`},
		{"search", "/console/api/channels?app=app_a&search=/2", 200, `{"channels":[{"channel":"a/2","peers":1}]}`},
		{"nothing found", "/console/api/channels?app=app_a&search=none", 200, `{"channels":[]}`},
		{"channels of no app", "/console/api/channels?app=x", 404, `{"error":"not_found","message":"There is no such app."}`},
		{"limit too large", "/console/api/channels?app=app_a&limit=501", 400, `{"error":"invalid_request","message":"limit must be an integer from 1 to 500."}`},
		{"roster", "/console/api/roster?app=app_a&channel=a/1", 200, `{"channel":"a/1","total":2,"peers":[{"peerId":"alice","metadata":{"n":1e999}},{"peerId":"bob"}]}`},
		{"roster cut off", "/console/api/roster?app=app_a&channel=a/1&limit=1", 200, `{"channel":"a/1","total":2,"peers":[{"peerId":"alice","metadata":{"n":1e999}}]}`},
		{"roster of no app", "/console/api/roster?channel=a/1", 404, `{"error":"not_found","message":"There is no such app."}`},
		{"peer", "/console/api/peer?app=app_a&peer=alice", 200, `{"peerId":"alice","total":2,"sockets":[` +
			`{"conn":"0-1-0","loop":0,"address":"","openedAt":1799999999000,"expiresAt":1800003600000,"keyId":"` + secretID + `","subscriptions":0,"channels":[],"queuedBytes":0},` +
			`{"conn":"1-7-2","loop":1,"address":"203.0.113.9","openedAt":1800000000000,"expiresAt":null,"keyId":"` + pageKey + `","subscriptions":1,"channels":["a/*"],"queuedBytes":5}]}`},
		{"disconnects", "/console/api/disconnects", 200, `{"totals":[],"recent":[{"at":1800000060000,"appId":"app_a","peerId":"alice","conn":"1-7-2","address":"203.0.113.9","code":1006,"reason":"connection lost","by":"network","openedAt":1800000000000}]}`},
		{"keys", "/console/api/keys?app=app_a", 200, `{"keys":[` +
			`{"keyId":"` + secretID + `","appId":"app_a","kind":"secret","channelPatterns":["room-*"],"actions":["publish","subscribe"],"allowedOrigins":null,"injectTurn":false,"revoked":false},` +
			`{"keyId":"` + pageKey + `","appId":"app_a","kind":"publishable","channelPatterns":["**"],"actions":["subscribe"],"allowedOrigins":["https://a.example"],"injectTurn":false,"revoked":false}]}`},
		{"keys of no app", "/console/api/keys?app=x", 404, `{"error":"not_found","message":"There is no such app."}`},
		{"bad since", "/console/api/overview?since=now", 400, `{"error":"invalid_request","message":"since must be a time in unix seconds."}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantJSON(t, w.do("GET", tt.target, ""), tt.status, tt.want) })
	}
}

func TestEveryReadIsWithoutSecrets(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{
		"/console/session", "/console/api/overview", "/console/api/apps", "/console/api/keys", "/metrics",
		"/debug/pprof/goroutine?debug=2", "/console/api/disconnects", "/console/api/peer?app=app_a&peer=alice",
	} {
		body, err := io.ReadAll(w.do("GET", path, "").Body)
		if err != nil || strings.Contains(string(body), secret) {
			t.Errorf("%s: the secret is in the answer, or %v", path, err)
		}
	}
}

func TestBackendOutOfReach(t *testing.T) {
	w := newWorld(t, nil)
	w.backend.err = context.DeadlineExceeded
	for _, path := range []string{"roster?app=app_a&channel=a", "peer?app=app_a&peer=a", "disconnects"} {
		wantJSON(t, w.do("GET", "/console/api/"+path, ""), 503, `{"error":"unavailable","message":"The server cannot tell now; try again."}`)
	}
}

func TestKick(t *testing.T) {
	w := newWorld(t, nil)
	wantJSON(t, w.change("/console/api/kick", `{"appId":"app_a","peerId":"alice"}`), 200, `{"peerId":"alice","closed":2}`)
	if got := strings.Join(w.backend.kicked, " "); got != "app_a/alice" {
		t.Errorf("kicked %q, want app_a/alice", got)
	}
	for name, body := range map[string]string{
		"no object":       `[]`,
		"two objects":     `{"appId":"app_a","peerId":"alice"}{}`,
		"unknown member":  `{"appId":"app_a","peerId":"alice","force":true}`,
		"bad peer":        `{"appId":"app_a","peerId":"é"}`,
		"too large":       `{"appId":"` + strings.Repeat("a", maxBody) + `"}`,
		"no such app":     `{"appId":"x","peerId":"alice"}`,
		"truncated":       `{"appId":`,
		"nothing":         ``,
		"peer of a type":  `{"appId":"app_a","peerId":1}`,
		"peer left out":   `{"appId":"app_a"}`,
		"null for object": `null`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := w.change("/console/api/kick", body).StatusCode; got < 400 || got >= 500 {
				t.Errorf("status = %d, want 4xx", got)
			}
		})
	}
	if len(w.backend.kicked) != 1 {
		t.Errorf("kicked %q after bad bodies", w.backend.kicked)
	}
}

func TestKeyChanges(t *testing.T) {
	w := newWorld(t, nil)
	create := func(body string) *http.Response { return w.change("/console/api/keys", body) }
	wantJSON(t, create(`{"appId":"app_a","kind":"publishable","channelPatterns":["a/*"],"actions":["subscribe","send"],"allowedOrigins":["https://b.example"]}`),
		200, `{"keyId":"pk_live_ANY"}`)
	wantJSON(t, create(`{"appId":"app_empty","kind":"secret","channelPatterns":["**"],"actions":["publish"]}`),
		200, `{"keyId":"sk_id_ANY"}`)
	wantJSON(t, w.change("/console/api/keys/revoke", `{"keyId":"`+secretID+`"}`), 200, `{"keyId":"`+secretID+`","revoked":true}`)
	wantJSON(t, w.change("/console/api/keys/revoke", `{"keyId":"sk_id_none"}`), 404, `{"error":"not_found","message":"There is no such key."}`)
	set := w.backend.Keys()
	if got := len(set.App("app_a").Keys); got != 3 {
		t.Errorf("app_a has %d keys, want 3", got)
	}
	if !set.Key(secretID).Revoked || len(set.App("app_empty").Keys) != 1 {
		t.Error("the key is not revoked, or app_empty has none")
	}
	text, err := os.ReadFile(w.AppsFile)
	if err != nil || !strings.HasPrefix(string(text), "# kept\n") {
		t.Errorf("the file's comment is gone: %v\n%s", err, text)
	}
	before := string(text)
	const good = `"appId":"app_a","kind":"secret","channelPatterns":["**"],"actions":["send"]`
	for name, body := range map[string]string{
		"no such app":        `{"appId":"x","kind":"secret","channelPatterns":["**"],"actions":["send"]}`,
		"no such kind":       `{"appId":"app_a","kind":"master","channelPatterns":["**"],"actions":["send"]}`,
		"no patterns":        `{"appId":"app_a","kind":"secret","channelPatterns":[],"actions":["send"]}`,
		"bad pattern":        `{"appId":"app_a","kind":"secret","channelPatterns":["a\nb"],"actions":["send"]}`,
		"no actions":         `{"appId":"app_a","kind":"secret","channelPatterns":["**"],"actions":[]}`,
		"no such action":     `{"appId":"app_a","kind":"secret","channelPatterns":["**"],"actions":["rule"]}`,
		"origins of secrets": `{` + good + `,"allowedOrigins":["https://a.example"]}`,
		"origin with a path": `{"appId":"app_a","kind":"publishable","channelPatterns":["**"],"actions":["send"],"allowedOrigins":["https://a.example/x"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := create(body).StatusCode; got != 400 && got != 404 {
				t.Errorf("status = %d, want 400 or 404", got)
			}
		})
	}
	if text, _ := os.ReadFile(w.AppsFile); string(text) != before {
		t.Error("a bad call has changed the file")
	}
	if strings.Contains(w.logs.String(), "sk_secret_") {
		t.Error("a secret is in the log")
	}
}

func TestWithoutAppsFile(t *testing.T) {
	w := newWorld(t, nil)
	w.AppsFile = ""
	const readOnly = `{"error":"read_only","message":"The server runs without an apps file, so keys cannot be changed."}`
	wantJSON(t, w.change("/console/api/keys", `{"appId":"app_a","kind":"secret","channelPatterns":["**"],"actions":["send"]}`), 409, readOnly)
	wantJSON(t, w.change("/console/api/keys/revoke", `{"keyId":"`+secretID+`"}`), 409, readOnly)
}

func TestMint(t *testing.T) {
	w := newWorld(t, nil)
	mint := func(body string) *http.Response { return w.change("/console/api/tokens", body) }
	wantJSON(t, mint(`{"appId":"app_a","peerId":"alice","channels":["room-1"],"permissions":["publish"],"expiresInSec":60,"peerMetadata":{"name":"A"}}`),
		200, `{"token":"eyJANY"}`)
	wantJSON(t, mint(`{"appId":"app_empty","peerId":"alice"}`), 409, `{"error":"no_key","message":"The app has no usable secret key to sign with."}`)
	for name, body := range map[string]string{
		"no peer":          `{"appId":"app_a"}`,
		"foreign channel":  `{"appId":"app_a","peerId":"alice","channels":["other"]}`,
		"unheld action":    `{"appId":"app_a","peerId":"alice","permissions":["send"]}`,
		"too long a life":  `{"appId":"app_a","peerId":"alice","expiresInSec":86401}`,
		"negative life":    `{"appId":"app_a","peerId":"alice","expiresInSec":-1}`,
		"metadata no dict": `{"appId":"app_a","peerId":"alice","metadata":[1]}`,
		"name in capitals": `{"APPID":"app_a","peerId":"alice"}`,
		"name in both":     `{"appId":"app_a","peerId":"alice","PEERID":"bob"}`,
		"unknown member":   `{"appId":"app_a","peerId":"alice","none":1}`,
		"two objects":      `{"appId":"app_a","peerId":"alice"}{}`,
		"no object":        `null`,
	} {
		t.Run(name, func(t *testing.T) { wantJSON(t, mint(body), 400, `{"error":"invalid_request","message":"ANY"}`) })
	}
}

func TestPage(t *testing.T) {
	w := newWorld(t, nil)
	resp := w.do("GET", "/console/", "")
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/html; charset=utf-8" {
		t.Errorf("page: status %d, type %q", resp.StatusCode, got)
	}
	if got := w.do("GET", "/console/", "", "If-None-Match: "+resp.Header.Get("ETag")).StatusCode; got != http.StatusNotModified {
		t.Errorf("page seen before: status %d, want 304", got)
	}
	for path, want := range map[string]int{
		"/console/app.js": 200, "/console/none.js": 404, "/console/../server.go": 404, "/console/%2e%2e/server.go": 404, "/console//etc/passwd": 404,
	} {
		if got := w.do("GET", path, "").StatusCode; got != want && (want == 200 || got == 200) {
			t.Errorf("GET %s = %d, want %d", path, got, want)
		}
	}
	if got := w.do("GET", "/", "").Header.Get("Location"); got != "/console/" {
		t.Errorf("the root leads to %q", got)
	}
}

// TestSocketOrigin: the console's pages connect to where the public address's
// certificate is right.
func TestSocketOrigin(t *testing.T) {
	for _, test := range []struct {
		name    string
		nameFor func(string) string
		want    string
	}{
		{"plain", nil, "ws://localhost:8080"},
		{"reached by the certificate's name", func(host string) string { return host }, "wss://localhost:8080"},
		{"reached by another", func(string) string { return "Chat.test" }, "wss://chat.test:8080"},
		{"no host name", func(string) string { return "chat.test; script-src *" }, "wss://localhost:8080"},
	} {
		w := newWorld(t, func(o *Options) { o.NameFor = test.nameFor })
		res := w.do("GET", "/console/", "")
		if got := res.Header.Get("Content-Security-Policy"); !strings.Contains(got, "connect-src 'self' "+test.want+";") {
			t.Errorf("%s: got the policy %q, want it to allow %s", test.name, got, test.want)
		}
		body, err := io.ReadAll(w.do("GET", "/console/session", "").Body)
		if err != nil || !strings.Contains(string(body), `"publicURL":"`+test.want+`/v1"`) {
			t.Errorf("%s: got %s, %v; want %s", test.name, body, err, test.want)
		}
	}
}
