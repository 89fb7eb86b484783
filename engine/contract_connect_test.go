package engine_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"signalbox/engine"
)

// Close codes of the contract, section 4.
const (
	closeInactive        ws.StatusCode = 4000
	closeUnauthorized    ws.StatusCode = 4001
	closeTokenExpired    ws.StatusCode = 4002
	closeNoChannels      ws.StatusCode = 4003
	closeConnectionLimit ws.StatusCode = 4010
	closeMessageRate     ws.StatusCode = 4011
	closeSuspended       ws.StatusCode = 4012
	closeKicked          ws.StatusCode = 4020
)

func TestContractConnect(t *testing.T) {
	runChecks(t, nil, []check{
		{"welcome of a token", nil, checkWelcome},
		{"welcome of a publishable key", nil, checkWelcomePublishable},
		{"allowed origin", withOrigins, checkOriginAllowed},
		{"other origin", withOrigins, checkOriginRefused},
		{"broken upgrades", nil, checkBrokenUpgrades},
		{"other paths", nil, checkOtherPaths},
		{"refused over HTTP", nil, checkRefusedHTTP},
		{"refused by close code", withRevokedKeys, checkRefusedClose},
		{"unknown and forged read the same", nil, checkForgedLooksUnknown},
		{"claims at their edges", nil, checkClaimsAccepted},
		{"no channel of the key", withRoomKey, checkNoChannels},
		{"suspended", func(a *appSpec) { a.Suspended = true }, checkSuspended},
		{"connection limit", withPlan(planSpec{MaxConcurrentConnections: 1, OveragesAllowed: true}), checkConnectionLimit},
		{"connection overage", withPlan(planSpec{MaxConcurrentConnections: 1, OveragesAllowed: true, OveragesEnabled: true}), checkConnectionOverage},
		{"token runs out", nil, checkTokenRunsOut},
		{"turn credentials", withTurn, checkTurn},
		{"size of the request head", nil, checkHeadSizes},
	})
}

// withPlan gives the app the plan, under the name TEST unless it has one.
func withPlan(p planSpec) func(*appSpec) {
	if p.Name == "" {
		p.Name = "TEST"
	}
	return func(a *appSpec) { a.Plan = p }
}

func checkWelcome(t *testing.T, w *world) {
	exp := in(time.Hour)
	before := time.Now().Unix()
	c := w.watcher(t, "alice", claims{"exp": exp, "iat": before, "nbf": before - 1, "metadata": claims{"plan": "gold", "n": 1}})
	f := c.welcome
	if f.text("peerId") != "alice" || f.number("expiresAt") != exp || f.number("maxMessageSize") != 65536 {
		t.Errorf("welcome: got %s", f)
	}
	if got := f.number("serverTime"); got < before-1 || got > time.Now().Unix()+1 {
		t.Errorf("serverTime: got %d, want about %d", got, before)
	}
	if !equalJSON(f["metadata"], []byte(`{"n":1,"plan":"gold"}`)) {
		t.Errorf("metadata: got %s", f["metadata"])
	}
	if f := w.watcher(t, "bob").welcome; f.has("metadata") {
		t.Errorf("welcome without metadata in the token: got %s", f)
	}
	c.fence()
	token := w.app.sk.sign(claims{"sub": "carol", "exp": exp})
	w.enter(t, "x=1&token="+token+"&y")
	w.enter(t, "token="+strings.ReplaceAll(token, ".", "%2E"))
}

func checkWelcomePublishable(t *testing.T, w *world) {
	seen := map[string]bool{}
	for range 2 {
		f := w.enter(t, "key="+w.app.pk.ID).welcome
		id := f.text("peerId")
		if len(id) != 36 || strings.Count(id, "-") != 4 || seen[id] {
			t.Errorf("peerId: got %q, want a new UUID", id)
		}
		seen[id] = true
		if string(f["expiresAt"]) != "null" || f.has("metadata") {
			t.Errorf("welcome of a pk: got %s, want expiresAt null and no metadata", f)
		}
	}
}

func withOrigins(a *appSpec) {
	a.pk.AllowedOrigins = []string{"https://app.example", "https://two.example"}
}

func checkOriginAllowed(t *testing.T, w *world) {
	for _, origin := range w.app.pk.AllowedOrigins {
		w.open(t, "key="+w.app.pk.ID, "Origin: "+origin).recv("welcome")
	}
	w.watcher(t, "alice") // a token needs no origin
}

func checkOriginRefused(t *testing.T, w *world) {
	for _, origin := range []string{"", " https://evil.example", " http://app.example", " https://app.example.evil.example", " null"} {
		c := dial(t, w.addr, "")
		c.write(upgradeHead("/v1?key="+w.app.pk.ID, "Origin:"+origin))
		c.answer().want(t, http.StatusUnauthorized, "origin_not_allowed")
	}
}

func checkBrokenUpgrades(t *testing.T, w *world) {
	target := "/v1?key=" + w.app.pk.ID
	tests := []struct {
		name, head string
		status     int
	}{
		{"no key", upgradeHead(target, "Sec-WebSocket-Key:"), http.StatusBadRequest},
		{"key too short", upgradeHead(target, "Sec-WebSocket-Key: c2hvcnQ="), http.StatusBadRequest},
		{"key no base64", upgradeHead(target, "Sec-WebSocket-Key: ????????????????????????"), http.StatusBadRequest},
		{"no host", upgradeHead(target, "Host:"), http.StatusBadRequest},
		{"version 8", upgradeHead(target, "Sec-WebSocket-Version: 8"), http.StatusUpgradeRequired},
		{"version 14", upgradeHead(target, "Sec-WebSocket-Version: 14"), http.StatusUpgradeRequired},
	}
	for _, tt := range tests {
		c := dial(t, w.addr, "")
		c.write(tt.head)
		a := c.answer()
		if a.status != tt.status {
			t.Errorf("%s: got %d %s, want %d", tt.name, a.status, a.body, tt.status)
		}
		if a.status == http.StatusUpgradeRequired && a.header.Get("Sec-WebSocket-Version") != "13" {
			t.Errorf("%s: Sec-WebSocket-Version: got %q, want 13", tt.name, a.header.Get("Sec-WebSocket-Version"))
		}
	}
	// Header names and tokens are case-insensitive, lists are lists, unknown extensions are ignored.
	c := dial(t, w.addr, "")
	c.write(upgradeHead(target, "Upgrade: WebSocket", "Connection: keep-alive, upgrade",
		"sec-websocket-extensions: permessage-deflate", "Sec-WebSocket-Protocol: chat"))
	c.expectSwitch()
	c.recv("welcome")
}

func checkOtherPaths(t *testing.T, w *world) {
	for _, path := range []string{"/", "/nope", "/v1", "/v1?key=" + w.app.pk.ID, "/v2", "/v1/nope"} {
		w.rest(t, "GET", path, "").want(t, http.StatusNotFound, "not_found")
	}
	c := dial(t, w.addr, "")
	c.write(upgradeHead("/other?key=" + w.app.pk.ID))
	c.answer().want(t, http.StatusNotFound, "not_found")
}

// unreadable are credentials that fail before any key is looked up: 401 invalid_token.
func unreadable(k *keySpec) map[string]string {
	good := k.sign(claims{"sub": "alice", "exp": in(time.Hour)})
	payload := `{"sub":"alice","exp":` + strconv.FormatInt(in(time.Hour), 10) + `}`
	head, rest, _ := strings.Cut(good, ".")
	return map[string]string{
		"no query":            "",
		"other parameter":     "?tokens=" + good,
		"empty token":         "?token=",
		"empty key":           "?key=",
		"no dots":             "?token=abc",
		"two parts":           "?token=" + good[:strings.LastIndexByte(good, '.')],
		"four parts":          "?token=" + good + ".x",
		"header no base64":    "?token=!" + head + "." + rest,
		"header no JSON":      "?token=" + k.signRaw(`alg`, payload),
		"payload no JSON":     "?token=" + k.signRaw(`{"alg":"HS256","kid":"`+k.ID+`"}`, `alice`),
		"no kid":              "?token=" + k.signRaw(`{"alg":"HS256","typ":"JWT"}`, payload),
		"kid of another case": "?token=" + k.signRaw(`{"alg":"HS256","Kid":"`+k.ID+`"}`, payload),
		"alg none":            "?token=" + k.signRaw(`{"alg":"none","kid":"`+k.ID+`"}`, payload),
		"alg none, unsigned":  "?token=" + strings.TrimRight(k.signRaw(`{"alg":"none","kid":"`+k.ID+`"}`, payload), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
		"alg HS384":           "?token=" + k.signRaw(`{"alg":"HS384","kid":"`+k.ID+`"}`, payload),
		"alg HS512":           "?token=" + k.signRaw(`{"alg":"HS512","kid":"`+k.ID+`"}`, payload),
		"alg RS256":           "?token=" + k.signRaw(`{"alg":"RS256","kid":"`+k.ID+`"}`, payload),
		"alg of another case": "?token=" + k.signRaw(`{"alg":"hs256","kid":"`+k.ID+`"}`, payload),
		"no alg":              "?token=" + k.signRaw(`{"kid":"`+k.ID+`"}`, payload),
		"alg before kid":      "?token=" + k.signRaw(`{"alg":"HS512","kid":"sk_id_unknown"}`, payload),
	}
}

func checkRefusedHTTP(t *testing.T, w *world) {
	for name, query := range unreadable(w.app.sk) {
		t.Run(name, func(t *testing.T) {
			c := dial(t, w.addr, "")
			c.write(upgradeHead("/v1" + query))
			a := c.answer()
			a.want(t, http.StatusUnauthorized, "invalid_token")
			if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
				t.Errorf("Content-Type: got %q", a.header.Get("Content-Type"))
			}
		})
	}
}

func withRevokedKeys(a *appSpec) {
	a.addSecret().Revoked = true
	a.addPublishable().Revoked = true
}

func checkRefusedClose(t *testing.T, w *world) {
	k, revoked, revokedPK := w.app.sk, w.app.Keys[2], w.app.Keys[3]
	exp := in(time.Hour)
	stranger := newApp("stranger")
	as := func(id string, signer *keySpec) string {
		return (&keySpec{ID: id, Secret: signer.Secret}).sign(claims{"sub": "alice", "exp": exp})
	}
	tests := map[string]string{
		"unknown key":               "token=" + stranger.sk.sign(claims{"sub": "alice", "exp": exp}),
		"wrong signature":           "token=" + as(k.ID, stranger.sk),
		"wrong signature, expired":  "token=" + (&keySpec{ID: k.ID, Secret: "sk_secret_0"}).sign(claims{"sub": "alice", "exp": in(-time.Hour)}),
		"revoked key":               "token=" + revoked.sign(claims{"sub": "alice", "exp": exp}),
		"kid of a publishable key":  "token=" + as(w.app.pk.ID, &keySpec{}),
		"kid of a pk, own secret":   "token=" + as(w.app.pk.ID, k),
		"unknown publishable key":   "key=" + stranger.pk.ID,
		"revoked publishable key":   "key=" + revokedPK.ID,
		"secret key as publishable": "key=" + k.ID,
		"no prefix":                 "key=nonsense",
	}
	payloads := map[string]string{
		"nbf in the future":      `{"sub":"alice","exp":%d,"nbf":` + strconv.FormatInt(in(time.Hour/2), 10) + `}`,
		"no sub":                 `{"exp":%d}`,
		"empty sub":              `{"sub":"","exp":%d}`,
		"sub a number":           `{"sub":5,"exp":%d}`,
		"sub of another case":    `{"Sub":"alice","exp":%d}`,
		"sub too long":           `{"sub":"` + strings.Repeat("x", 129) + `","exp":%d}`,
		"sub not ASCII":          `{"sub":"zoë","exp":%d}`,
		"sub with a control":     `{"sub":"a\u0007","exp":%d}`,
		"sub with DEL":           `{"sub":"a\u007f","exp":%d}`,
		"last sub wins, bad":     `{"sub":"alice","sub":"","exp":%d}`,
		"no exp":                 `{"sub":"alice","ex":%d}`,
		"exp a string":           `{"sub":"alice","exp":"%d"}`,
		"exp null":               `{"sub":"alice","x":%d,"exp":null}`,
		"nbf a string":           `{"sub":"alice","exp":%d,"nbf":"1"}`,
		"channels a string":      `{"sub":"alice","exp":%d,"channels":"room-1"}`,
		"channels of numbers":    `{"sub":"alice","exp":%d,"channels":["room-1",7]}`,
		"permissions a string":   `{"sub":"alice","exp":%d,"permissions":"publish"}`,
		"permissions of numbers": `{"sub":"alice","exp":%d,"permissions":[1]}`,
		"metadata an array":      `{"sub":"alice","exp":%d,"metadata":[]}`,
		"metadata a string":      `{"sub":"alice","exp":%d,"metadata":"x"}`,
		"peerMetadata a number":  `{"sub":"alice","exp":%d,"peerMetadata":1}`,
		"metadata over 8 KB":     `{"sub":"alice","exp":%d,"metadata":{"x":"` + strings.Repeat("m", 8200) + `"}}`,
		"peerMetadata over 4 KB": `{"sub":"alice","exp":%d,"peerMetadata":{"x":"` + strings.Repeat("m", 4100) + `"}}`,
	}
	for name, payload := range payloads {
		tests[name] = "token=" + k.signRaw(`{"alg":"HS256","kid":"`+k.ID+`"}`, fmt.Sprintf(payload, exp))
	}
	for name, query := range tests {
		t.Run(name, func(t *testing.T) { w.open(t, query).expectClose(closeUnauthorized) })
	}
}

func checkForgedLooksUnknown(t *testing.T, w *world) {
	stranger := newApp("stranger")
	all := claims{"sub": "alice", "exp": in(time.Hour)}
	var bodies []string
	for _, token := range []string{stranger.sk.sign(all), (&keySpec{ID: w.app.sk.ID, Secret: stranger.sk.Secret}).sign(all)} {
		op, payload, err := w.open(t, "token="+token).read()
		if err != nil || op != ws.OpClose {
			t.Fatalf("got %v %q, %v; want a close frame", op, payload, err)
		}
		bodies = append(bodies, string(payload))
	}
	if bodies[0] != bodies[1] {
		t.Errorf("close of an unknown key %q, of a wrong signature %q: want the same", bodies[0], bodies[1])
	}
}

func checkClaimsAccepted(t *testing.T, w *world) {
	exp := strconv.FormatInt(in(time.Hour), 10)
	long := strings.Repeat("~", 128)
	tests := []struct{ name, payload, peerID string }{
		{"longest sub", `{"sub":"` + long + `","exp":` + exp + `}`, long},
		{"sub with spaces and quotes", `{"sub":" a\"b\\ ","exp":` + exp + `}`, ` a"b\ `},
		{"last sub wins", `{"sub":"","sub":"alice","exp":` + exp + `}`, "alice"},
		{"other case is another member", `{"sub":"alice","SUB":"mallory","Exp":1,"exp":` + exp + `}`, "alice"},
		{"last exp wins", `{"sub":"alice","exp":1,"exp":` + exp + `}`, "alice"},
		{"nbf in the past", `{"sub":"alice","nbf":1,"iat":1,"exp":` + exp + `}`, "alice"},
		{"unknown claims", `{"sub":"alice","aud":["x"],"jti":7,"exp":` + exp + `}`, "alice"},
		{"no channels at all", `{"sub":"alice","channels":[],"exp":` + exp + `}`, "alice"},
		{"no permissions at all", `{"sub":"alice","permissions":[],"exp":` + exp + `}`, "alice"},
		{"both bags near their caps", `{"sub":"alice","metadata":{"x":"` + strings.Repeat("m", 7990) +
			`"},"peerMetadata":{"x":"` + strings.Repeat("p", 3990) + `"},"exp":` + exp + `}`, "alice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := w.enter(t, "token="+w.app.sk.signRaw(`{"typ":"JWT","kid":"`+w.app.sk.ID+`","alg":"HS256"}`, tt.payload))
			if got := c.welcome.text("peerId"); got != tt.peerID {
				t.Errorf("peerId: got %q, want %q", got, tt.peerID)
			}
		})
	}
}

func withRoomKey(a *appSpec) { a.addSecret("room-*", "a*b/x") }

func checkNoChannels(t *testing.T, w *world) {
	tests := []struct {
		channels []string
		fits     bool
	}{
		{[]string{"other"}, false},
		{[]string{"other", "rooms"}, false},
		{[]string{"x/**"}, false},
		{[]string{"room-1/deep"}, false},
		{[]string{"*c/x"}, false},
		{[]string{"ROOM-1"}, false},
		{[]string{"other", "room-1"}, true},
		{[]string{"**"}, true},
		{[]string{"*"}, true},
		{[]string{"*-7"}, true},
		{[]string{"a*cb/*"}, true},
		{[]string{}, true},
	}
	for _, tt := range tests {
		c := w.open(t, "token="+w.app.Keys[2].sign(claims{"sub": "alice", "exp": in(time.Hour), "channels": tt.channels}))
		if tt.fits {
			c.recv("welcome")
		} else if got := c.closing(); got != closeNoChannels {
			t.Errorf("channels %q: got close %d, want 4003", tt.channels, got)
		}
	}
	w.open(t, "token="+w.app.sk.sign(claims{"sub": "alice", "exp": in(-time.Minute)})).expectClose(closeTokenExpired)
}

func checkSuspended(t *testing.T, w *world) {
	w.open(t, "token="+w.app.sk.sign(claims{"sub": "alice", "exp": in(time.Hour)})).expectClose(closeSuspended)
	w.open(t, "key="+w.app.pk.ID).expectClose(closeSuspended)
	// The credential comes first: a forged one learns nothing about the app.
	forged := &keySpec{ID: w.app.sk.ID, Secret: "sk_secret_forged"}
	w.open(t, "token="+forged.sign(claims{"sub": "alice", "exp": in(time.Hour)})).expectClose(closeUnauthorized)
}

func checkConnectionLimit(t *testing.T, w *world) {
	first := w.watcher(t, "alice")
	w.open(t, "token="+w.app.sk.sign(claims{"sub": "bob", "exp": in(time.Hour)})).expectClose(closeConnectionLimit)
	w.open(t, "key="+w.app.pk.ID).expectClose(closeConnectionLimit)
	first.fence()
	first.leave()
	eventually(t, "a free place", func() bool {
		c := w.open(t, "key="+w.app.pk.ID)
		op, _, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		return op == ws.OpText
	})
}

func checkConnectionOverage(t *testing.T, w *world) {
	w.watcher(t, "alice").fence()
	w.watcher(t, "bob").fence()
	a := w.rest(t, "GET", "/v1/usage", "")
	if a.fields.number("concurrentNow") != 2 || a.fields.number("overageConnections") != 1 || a.fields.number("peakConcurrent") != 2 {
		t.Errorf("usage: got %s", a.body)
	}
}

// checkTokenRunsOut lets a token run out: before exp, but not long before.
func checkTokenRunsOut(t *testing.T, w *world) {
	undisturbed(t, func(t testing.TB, _ int) {
		exp := in(2 * time.Second)
		c := w.watcher(t, "alice", claims{"exp": exp})
		c.expectClose(closeTokenExpired)
		if left := time.Until(time.Unix(exp, 0)); left < 0 || left > time.Second {
			t.Errorf("closed %v before exp, want about 250 ms", left)
		}
	})
}

func withTurn(a *appSpec) {
	a.Turn = &turnSpec{URLs: []string{"turn:turn.example:3478", "turns:turn.example:5349"}, Secret: "shared-turn-secret", TTL: 600}
	a.sk.InjectTurn, a.pk.InjectTurn = true, true
	a.addSecret()
}

func checkTurn(t *testing.T, w *world) {
	expectTurn(t, w, w.watcher(t, "alice").welcome)
	expectTurn(t, w, w.enter(t, "key="+w.app.pk.ID).welcome)
	f := w.watcher(t, "alice", claims{"metadata": claims{"plan": "gold"}}).welcome
	expectTurn(t, w, f)
	var m fields
	if err := json.Unmarshal(f["metadata"], &m); err != nil || m.text("plan") != "gold" {
		t.Errorf("metadata beside iceServers: got %s", f["metadata"])
	}
	f = w.watcher(t, "alice", claims{"metadata": claims{"iceServers": "mine"}}).welcome
	if !equalJSON(f["metadata"], []byte(`{"iceServers":"mine"}`)) {
		t.Errorf("a token's own iceServers: got %s", f["metadata"])
	}
	plain := w.enter(t, "token="+w.app.Keys[2].sign(claims{"sub": "alice", "exp": in(time.Hour)}))
	if plain.welcome.has("metadata") {
		t.Errorf("key without injectTurn: got %s", plain.welcome)
	}
}

// expectTurn checks the credential of a welcome against the coturn REST form.
func expectTurn(t *testing.T, w *world, welcome fields) {
	t.Helper()
	var m struct {
		IceServers []struct {
			URLs                 []string
			Username, Credential string
		}
	}
	if err := json.Unmarshal(welcome["metadata"], &m); err != nil || len(m.IceServers) != 1 {
		t.Fatalf("iceServers: got %s, %v", welcome, err)
	}
	ice, turn := m.IceServers[0], w.app.Turn
	if strings.Join(ice.URLs, " ") != strings.Join(turn.URLs, " ") {
		t.Errorf("urls: got %q, want %q", ice.URLs, turn.URLs)
	}
	until, peerID, _ := strings.Cut(ice.Username, ":")
	expiry, err := strconv.ParseInt(until, 10, 64)
	now := welcome.number("serverTime")
	if err != nil || expiry < now+turn.TTL-2 || expiry > now+turn.TTL+2 || peerID != welcome.text("peerId") {
		t.Errorf("username: got %q, want about %d:%s", ice.Username, now+turn.TTL, welcome.text("peerId"))
	}
	mac := hmac.New(sha1.New, []byte(turn.Secret))
	mac.Write([]byte(ice.Username))
	if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); ice.Credential != want {
		t.Errorf("credential: got %q, want %q", ice.Credential, want)
	}
}

func checkHeadSizes(t *testing.T, w *world) {
	target := "/v1?key=" + w.app.pk.ID
	w.open(t, "key="+w.app.pk.ID, "X-Padding: "+strings.Repeat("p", 31<<10)).recv("welcome")

	c := dial(t, w.addr, "")
	c.writeSome(upgradeHead(target, "X-Padding: "+strings.Repeat("p", 33<<10)))
	expectNoSwitch(t, c)

	c = dial(t, w.addr, "") // never ends: the cap must not wait for the end of the head
	c.writeSome("GET " + target + " HTTP/1.1\r\nX-Padding: " + strings.Repeat("p", 40<<10))
	expectNoSwitch(t, c)
}

// expectNoSwitch expects an HTTP error or the end of the connection, before long.
func expectNoSwitch(t *testing.T, c *client) {
	t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience / 2))
	resp, err := http.ReadResponse(c.in, nil)
	if err == nil && resp.StatusCode < 400 {
		t.Errorf("got %s, want a refusal", resp.Status)
	}
	if err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("no answer: %v", err)
	}
}

// TestContractRefuseClose has page code in mind, which cannot see an HTTP status.
func TestContractRefuseClose(t *testing.T) {
	runChecks(t, func(cfg *engine.Config) { cfg.Refuse = "close" }, []check{
		{"unreadable credentials", nil, func(t *testing.T, w *world) {
			for name, query := range unreadable(w.app.sk) {
				t.Run(name, func(t *testing.T) {
					c := dial(t, w.addr, "")
					c.write(upgradeHead("/v1" + query))
					c.expectSwitch()
					c.expectClose(closeUnauthorized)
				})
			}
		}},
		{"other origin", withOrigins, func(t *testing.T, w *world) {
			w.open(t, "key="+w.app.pk.ID, "Origin: https://evil.example").expectClose(closeUnauthorized)
			w.open(t, "key="+w.app.pk.ID).expectClose(closeUnauthorized)
			w.open(t, "key="+w.app.pk.ID, "Origin: https://app.example").recv("welcome")
		}},
		{"broken upgrade stays HTTP", nil, func(t *testing.T, w *world) {
			c := dial(t, w.addr, "")
			c.write(upgradeHead("/v1?key="+w.app.pk.ID, "Sec-WebSocket-Version: 8"))
			if a := c.answer(); a.status != http.StatusUpgradeRequired {
				t.Errorf("got %d, want 426", a.status)
			}
		}},
	})
}

func TestContractConnectRate(t *testing.T) {
	runChecks(t, func(cfg *engine.Config) { cfg.Limits.ConnectRate = 3 }, []check{
		{"over the rate of an address", nil, func(t *testing.T, w *world) {
			target := "/v1?key=" + w.app.pk.ID
			for range 3 {
				c := dial(t, w.addr, "127.0.0.7")
				c.write(upgradeHead(target))
				c.expectSwitch()
				c.recv("welcome")
			}
			c := dial(t, w.addr, "127.0.0.7")
			c.write(upgradeHead(target))
			if a := c.answer(); a.status != http.StatusTooManyRequests {
				t.Errorf("4th connect: got %d, want 429", a.status)
			}
			c = dial(t, w.addr, "127.0.0.8") // another address has its own rate
			c.write(upgradeHead(target))
			c.expectSwitch()
			c.recv("welcome")
		}},
	})
}

// TestContractConfigFaults wants one clear line instead of a server.
func TestContractConfigFaults(t *testing.T) {
	t.Parallel()
	tooMany := newApp("app_many")
	for len(tooMany.Keys) < 51 {
		tooMany.addPublishable()
	}
	tests := map[string]func(t *testing.T, cfg *engine.Config){
		"no such file": func(*testing.T, *engine.Config) {},
		"not YAML":     func(t *testing.T, cfg *engine.Config) { writeFile(t, cfg.AppsFile, "apps: [") },
		"unknown field": func(t *testing.T, cfg *engine.Config) {
			writeFile(t, cfg.AppsFile, "apps:\n  - id: a\n    colour: red\n")
		},
		"51 keys": func(t *testing.T, cfg *engine.Config) { writeApps(t, cfg.AppsFile, tooMany) },
		"same key twice": func(t *testing.T, cfg *engine.Config) {
			a := newApp("a")
			a.Keys = append(a.Keys, a.sk)
			writeApps(t, cfg.AppsFile, a)
		},
		"same app twice": func(t *testing.T, cfg *engine.Config) { writeApps(t, cfg.AppsFile, newApp("a"), newApp("a")) },
		"unknown action": func(t *testing.T, cfg *engine.Config) {
			a := newApp("a")
			a.sk.Actions = []string{"fly"}
			writeApps(t, cfg.AppsFile, a)
		},
		"bad address": func(t *testing.T, cfg *engine.Config) {
			writeApps(t, cfg.AppsFile, newApp("a"))
			cfg.Listen = "127.0.0.1:99999"
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := contractConfig(t, 1)
			spoil(t, &cfg)
			e, err := engine.New(cfg)
			if err == nil {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				_ = e.Run(ctx)
				t.Fatal("engine.New: got a server, want an error")
			}
			if strings.ContainsAny(err.Error(), "\r\n") || strings.Contains(err.Error(), "sk_secret_") {
				t.Errorf("engine.New: got %q, want one line without secrets", err)
			}
		})
	}
	most := *tooMany
	most.Keys = tooMany.Keys[:50]
	s := startServer(t, 1, nil, &most)
	w := &world{server: s, app: &most}
	w.enter(t, "key="+most.Keys[49].ID)
}
