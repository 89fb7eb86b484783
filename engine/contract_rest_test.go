package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestContractREST(t *testing.T) {
	runChecks(t, nil, []check{
		{"credentials", withRevokedKeys, checkRESTCredentials},
		{"tokens", nil, checkTokens},
		{"token bodies", withDeafKey, checkTokenFaults},
		{"token grants", withRESTKeys, checkTokenGrants},
		{"peers of a channel", withRESTKeys, checkRESTPeers},
		{"publish", withRESTKeys, checkRESTPublish},
		{"send", withRESTKeys, checkRESTSend},
		{"kick", withRESTKeys, checkRESTKick},
		{"channels", withRESTKeys, checkRESTChannels},
		{"bodies", nil, checkRESTBodies},
		{"usage", func(a *appSpec) {
			a.Plan = planSpec{Name: "PRO", MaxConcurrentConnections: 9, MaxMessagesPerPeriod: 8, OveragesAllowed: true}
		}, checkUsage},
		{"methods and paths", nil, checkRESTMethods},
		{"second address", nil, func(t *testing.T, w *world) {
			auth := "Bearer " + w.app.sk.ID + ":" + w.app.sk.Secret
			w.call(t, "http://"+w.APIAddr().String()+"/v1/usage", "GET", auth, "").want(t, http.StatusOK, "")
		}},
	})
}

// withRESTKeys adds a secret key for rooms without any action and one for rooms with all.
func withRESTKeys(a *appSpec) {
	a.addSecret("room-*").Actions = []string{}
	a.addSecret("room-*")
}

func checkRESTCredentials(t *testing.T, w *world) {
	k, revoked := w.app.sk, w.app.Keys[2]
	stranger := newApp("stranger").sk
	headers := map[string]string{
		"none":            "",
		"other scheme":    "Basic " + k.ID + ":" + k.Secret,
		"no scheme":       k.ID + ":" + k.Secret,
		"id only":         "Bearer " + k.ID,
		"secret only":     "Bearer " + k.Secret,
		"empty secret":    "Bearer " + k.ID + ":",
		"wrong secret":    "Bearer " + k.ID + ":" + stranger.Secret,
		"longer secret":   "Bearer " + k.ID + ":" + k.Secret + "0",
		"shorter secret":  "Bearer " + k.ID + ":" + k.Secret[:len(k.Secret)-1],
		"unknown key":     "Bearer " + stranger.ID + ":" + stranger.Secret,
		"revoked key":     "Bearer " + revoked.ID + ":" + revoked.Secret,
		"publishable key": "Bearer " + w.app.pk.ID + ":",
		"a token":         "Bearer " + k.sign(claims{"sub": "alice", "exp": in(time.Hour)}),
	}
	var first []byte
	for name, h := range headers {
		for _, path := range []string{"GET /v1/usage", "POST /v1/tokens", "POST /v1/channels/a/publish", "DELETE /v1/peers/alice"} {
			method, path, _ := strings.Cut(path, " ")
			a := w.call(t, "http://"+w.addr+path, method, h, "")
			if a.status != http.StatusUnauthorized || a.fields.text("error") != "unauthorized" {
				t.Errorf("%s, %s: got %d %s, want 401 unauthorized", name, path, a.status, a.body)
			}
			if first == nil {
				first = a.body
			}
			if string(a.body) != string(first) {
				t.Errorf("%s: got %s, want every failure alike: %s", name, a.body, first)
			}
		}
	}
}

func checkTokens(t *testing.T, w *world) {
	now := time.Now().Unix()
	a := w.rest(t, "POST", "/v1/tokens", `{"peerId":"alice"}`)
	a.want(t, http.StatusOK, "")
	if got := a.fields.number("expiresAt"); got < now+3600 || got > time.Now().Unix()+3600 {
		t.Errorf("expiresAt: got %d, want about %d", got, now+3600)
	}
	c := w.enter(t, "token="+a.fields.text("token"))
	if c.welcome.text("peerId") != "alice" || c.welcome.number("expiresAt") != a.fields.number("expiresAt") || c.welcome.has("metadata") {
		t.Errorf("welcome of a minted token: got %s", c.welcome)
	}
	c.join("anything/at/all")

	a = w.rest(t, "POST", "/v1/tokens", `{"peerId":"bob","channels":["room-*"],"permissions":["subscribe","publish"],`+
		`"expiresInSec":86400,"metadata":{"m":1},"peerMetadata":{"p":1e2}}`)
	a.want(t, http.StatusOK, "")
	if got := a.fields.number("expiresAt"); got < now+86400 || got > time.Now().Unix()+86400 {
		t.Errorf("expiresAt: got %d, want about %d", got, now+86400)
	}
	bob := w.enter(t, "token="+a.fields.text("token"))
	if !equalJSON(bob.welcome["metadata"], []byte(`{"m":1}`)) {
		t.Errorf("metadata: got %s", bob.welcome)
	}
	bob.subscribe("room-1").fence() // no presence asked for
	bob.refused("channel_not_authorized", `{"type":"subscribe","channel":"lobby"}`)
	bob.refused("action_not_permitted", `{"type":"send","to":"alice","data":1}`)
	reader := w.peer(t, "reader")
	reader.succeed(`{"type":"subscribe","channel":"room-2","includeSenderMetadata":true}`)
	bob.publish("room-2", "1")
	expectMessageMeta(t, reader, "room-2", "bob", `{"p":1e2}`, "1")

	none := w.rest(t, "POST", "/v1/tokens", `{"peerId":"x","channels":[],"permissions":[]}`)
	none.want(t, http.StatusOK, "")
	w.enter(t, "token="+none.fields.text("token")).refused("action_not_permitted", `{"type":"subscribe","channel":"a"}`)
}

func checkTokenFaults(t *testing.T, w *world) {
	repeat := func(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	bodies := map[string]string{
		"no body":             ``,
		"no JSON":             `peer`,
		"an array":            `[]`,
		"trailing text":       `{"peerId":"alice"} x`,
		"no peerId":           `{}`,
		"other case":          `{"peerid":"alice"}`,
		"empty peerId":        `{"peerId":""}`,
		"peerId a number":     `{"peerId":5}`,
		"peerId not ASCII":    `{"peerId":"zoë"}`,
		"peerId too long":     `{"peerId":"` + strings.Repeat("x", 129) + `"}`,
		"last peerId wins":    `{"peerId":"alice","peerId":""}`,
		"channels a string":   `{"peerId":"alice","channels":"a"}`,
		"channels of numbers": `{"peerId":"alice","channels":[1]}`,
		"101 channels":        `{"peerId":"alice","channels":[` + repeat(`"a"`, 101) + `]}`,
		"unknown permission":  `{"peerId":"alice","permissions":["fly"]}`,
		"17 permissions":      `{"peerId":"alice","permissions":[` + repeat(`"publish"`, 17) + `]}`,
		"permissions string":  `{"peerId":"alice","permissions":"publish"}`,
		"expiry a string":     `{"peerId":"alice","expiresInSec":"60"}`,
		"expiry negative":     `{"peerId":"alice","expiresInSec":-1}`,
		"expiry too far":      `{"peerId":"alice","expiresInSec":86401}`,
		"metadata an array":   `{"peerId":"alice","metadata":[]}`,
		"peerMetadata string": `{"peerId":"alice","peerMetadata":"x"}`,
		"metadata too big":    `{"peerId":"alice","metadata":{"x":"` + strings.Repeat("m", 8200) + `"}}`,
		"peer bag too big":    `{"peerId":"alice","peerMetadata":{"x":"` + strings.Repeat("m", 4100) + `"}}`,
		"not UTF-8":           "{\"peerId\":\"alice\",\"metadata\":{\"x\":\"\xff\"}}",
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			w.rest(t, "POST", "/v1/tokens", body).want(t, http.StatusBadRequest, "invalid_request")
		})
	}
	good := map[string]string{
		"last of a member":    `{"peerId":"","peerId":"alice"}`,
		"other case ignored":  `{"peerId":"alice","PEERID":5,"Channels":7}`,
		"100 channels":        `{"peerId":"alice","channels":[` + repeat(`"a"`, 100) + `]}`,
		"16 permissions":      `{"peerId":"alice","permissions":[` + repeat(`"publish"`, 16) + `]}`,
		"bags near the caps":  `{"peerId":"alice","metadata":{"x":"` + strings.Repeat("m", 7990) + `"},"peerMetadata":{"x":"` + strings.Repeat("m", 3990) + `"}}`,
		"shortest expiry":     `{"peerId":"alice","expiresInSec":1}`,
		"white space, escape": " {\n\"peer\\u0049d\" : \"alice\" } \n",
	}
	for name, body := range good {
		t.Run(name, func(t *testing.T) { w.rest(t, "POST", "/v1/tokens", body).want(t, http.StatusOK, "") })
	}
}

func checkTokenGrants(t *testing.T, w *world) {
	bare, rooms := w.app.Keys[2], w.app.Keys[3]
	tests := []struct {
		key    *keySpec
		body   string
		status int
		code   string
	}{
		{rooms, `{"peerId":"a","channels":["room-1","room-x*","room-*"]}`, 200, ""},
		{rooms, `{"peerId":"a","channels":["room-1","lobby"]}`, 403, "channel_not_authorized"},
		{rooms, `{"peerId":"a","channels":["*"]}`, 403, "channel_not_authorized"},
		{rooms, `{"peerId":"a","channels":["room-**"]}`, 403, "channel_not_authorized"},
		{bare, `{"peerId":"a"}`, 200, ""},
		{bare, `{"peerId":"a","permissions":["publish"]}`, 403, "action_not_permitted"},
		{bare, `{"peerId":"a","permissions":["fly"]}`, 400, "invalid_request"},
		{bare, `{"peerId":"a","permissions":[]}`, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.body, func(t *testing.T) { w.restAs(t, tt.key, "POST", "/v1/tokens", tt.body).want(t, tt.status, tt.code) })
	}
}

func checkRESTPeers(t *testing.T, w *world) {
	bare, rooms := w.app.Keys[2], w.app.Keys[3]
	w.peer(t, "alice", claims{"peerMetadata": claims{"n": 1}}).subscribe("room-1", "a/b c/ä")
	w.peer(t, "alice").subscribe("a/b c/ä")
	w.watcher(t, "bob").join("room-1")
	w.peer(t, "glob").subscribe("room-*", "**")

	a := w.rest(t, "GET", "/v1/channels/room-1/peers", "")
	a.want(t, http.StatusOK, "")
	if a.fields.text("channel") != "room-1" {
		t.Errorf("channel: got %s", a.body)
	}
	samePeers(t, "peers", a.fields.peers("peers"), []rosterPeer{{"alice", `{"n":1}`}, {"bob", ""}})
	for _, path := range []string{"a%2Fb%20c%2F%C3%A4", "a/b%20c/%C3%A4", "a%2fb%20c/%c3%a4"} {
		a := w.rest(t, "GET", "/v1/channels/"+path+"/peers", "")
		a.want(t, http.StatusOK, "")
		if a.fields.text("channel") != "a/b c/ä" || len(a.fields.peers("peers")) != 1 {
			t.Errorf("%s: got %s", path, a.body)
		}
	}
	a = w.rest(t, "GET", "/v1/channels/nobody/peers", "")
	a.want(t, http.StatusOK, "")
	if list := a.fields.peers("peers"); list == nil || len(list) != 0 {
		t.Errorf("peers of an empty channel: got %s, want an empty list", a.body)
	}
	w.restAs(t, rooms, "GET", "/v1/channels/room-1/peers", "").want(t, http.StatusOK, "")
	w.restAs(t, rooms, "GET", "/v1/channels/lobby/peers", "").want(t, http.StatusForbidden, "channel_not_authorized")
	w.restAs(t, bare, "GET", "/v1/channels/room-1/peers", "").want(t, http.StatusForbidden, "action_not_permitted")
	w.rest(t, "GET", "/v1/channels/_system%2Fx/peers", "").want(t, http.StatusBadRequest, "channel_reserved")
	for _, name := range []string{"room-*", "a%00", "a%7F", "%FF", strings.Repeat("x", 257)} {
		w.rest(t, "GET", "/v1/channels/"+name+"/peers", "").want(t, http.StatusBadRequest, "invalid_request")
	}
}

func checkRESTPublish(t *testing.T, w *world) {
	bare, rooms := w.app.Keys[2], w.app.Keys[3]
	alice, curious := w.peer(t, "alice").subscribe("room-1", "a/b"), w.peer(t, "curious")
	curious.succeed(`{"type":"subscribe","channel":"room-1","includeSenderMetadata":true}`)
	glob := w.peer(t, "glob").subscribe("room-*", "**")

	a := w.rest(t, "POST", "/v1/channels/room-1/publish", `{"data":{"n":1}}`)
	a.want(t, http.StatusOK, "")
	if a.fields.text("channel") != "room-1" || a.fields.number("delivered") != 3 {
		t.Errorf("publish: got %s, want 3 delivered", a.body)
	}
	for _, c := range []*client{alice, curious, glob} {
		c.expectMessage("room-1", "system", "", `{"n":1}`)
	}
	// The sender may be named, and be a peer that is there: it gets the message like any other.
	w.rest(t, "POST", "/v1/channels/room-1/publish", `{"data":2,"from":"alice","peerMetadata":{"bot":true}}`).want(t, http.StatusOK, "")
	alice.expectMessage("room-1", "alice", "", "2")
	expectMessageMeta(t, curious, "room-1", "alice", `{"bot":true}`, "2")
	glob.expectMessage("room-1", "alice", "", "2")

	for i, path := range []string{"a%2Fb", "a/b"} {
		w.rest(t, "POST", "/v1/channels/"+path+"/publish", fmt.Sprintf(`{"data":%d}`, i)).want(t, http.StatusOK, "")
		alice.expectMessage("a/b", "system", "", fmt.Sprint(i))
	}
	a = w.restAs(t, rooms, "POST", "/v1/channels/room-empty/publish", `{"data":null}`)
	a.want(t, http.StatusOK, "")
	if a.fields.number("delivered") != 1 { // the glob
		t.Errorf("delivered: got %s, want 1", a.body)
	}
	w.restAs(t, rooms, "POST", "/v1/channels/lobby/publish", `{"data":1}`).want(t, http.StatusForbidden, "channel_not_authorized")
	w.restAs(t, bare, "POST", "/v1/channels/room-1/publish", `{"data":1}`).want(t, http.StatusForbidden, "action_not_permitted")
	w.rest(t, "POST", "/v1/channels/_internal/x/publish", `{"data":1}`).want(t, http.StatusBadRequest, "channel_reserved")
	for name, body := range map[string]string{
		"room-*": `{"data":1}`, "room-1": `{}`, "a": `{"Data":1}`, "b": `{"data":1,"from":5}`, "c": `{"data":1,"from":"zoë"}`,
		"d": `{"data":1,"peerMetadata":[]}`, "e": `{"data":1`, "f": "{\"data\":\"\xff\"}", "g": `{"data":01}`,
	} {
		w.rest(t, "POST", "/v1/channels/"+name+"/publish", body).want(t, http.StatusBadRequest, "invalid_request")
	}
	alice.fence()
}

func checkRESTSend(t *testing.T, w *world) {
	first, second := w.peer(t, "alice b"), w.peer(t, "alice b")
	a := w.rest(t, "POST", "/v1/peers/alice%20b/send", `{"data":[1]}`)
	a.want(t, http.StatusOK, "")
	if a.fields.text("peerId") != "alice b" || a.fields.number("delivered") != 2 {
		t.Errorf("send: got %s, want 2 delivered", a.body)
	}
	first.expectDirect("system", "", "[1]")
	second.expectDirect("system", "", "[1]")
	w.rest(t, "POST", "/v1/peers/alice%20b/send", `{"data":2,"from":"bot","peerMetadata":{"k":"v"}}`).want(t, http.StatusOK, "")
	expectDirectMeta(t, first, "bot", `{"k":"v"}`, "2")
	a = w.rest(t, "POST", "/v1/peers/nobody/send", `{"data":1}`)
	a.want(t, http.StatusOK, "")
	if a.fields.number("delivered") != 0 {
		t.Errorf("send to nobody: got %s, want 0 delivered", a.body)
	}
	w.restAs(t, w.app.Keys[2], "POST", "/v1/peers/nobody/send", `{"data":1}`).want(t, http.StatusForbidden, "action_not_permitted")
	w.rest(t, "POST", "/v1/peers/nobody/send", `{}`).want(t, http.StatusBadRequest, "invalid_request")
	w.rest(t, "POST", "/v1/peers/z%C3%AB/send", `{"data":1}`).want(t, http.StatusBadRequest, "invalid_request")
}

func checkRESTKick(t *testing.T, w *world) {
	watcher := w.watcher(t, "watcher")
	watcher.join("room")
	var sockets []*client
	for range 4 {
		sockets = append(sockets, w.peer(t, "alice"))
	}
	sockets[0].subscribe("room")
	watcher.expectPresence("room", named("alice"), nil)
	a := w.restAs(t, w.app.Keys[2], "DELETE", "/v1/peers/alice", "") // a key without actions may, too
	a.want(t, http.StatusOK, "")
	if a.fields.text("peerId") != "alice" || a.fields.number("closed") != 4 {
		t.Errorf("kick: got %s, want 4 closed", a.body)
	}
	for _, c := range sockets {
		c.expectClose(closeKicked)
	}
	watcher.expectPresence("room", nil, named("alice"))
	a = w.rest(t, "DELETE", "/v1/peers/alice", "")
	a.want(t, http.StatusOK, "")
	if a.fields.number("closed") != 0 {
		t.Errorf("kick of nobody: got %s, want 0 closed", a.body)
	}
	w.peer(t, "alice").fence() // may come back
	watcher.fence()
}

// channelCounts returns the list of GET /v1/channels as channel to peers.
func channelCounts(t *testing.T, a answer) map[string]int64 {
	t.Helper()
	a.want(t, http.StatusOK, "")
	var list []fields
	if err := json.Unmarshal(a.fields["channels"], &list); err != nil || list == nil {
		t.Fatalf("channels: got %s", a.body)
	}
	out := map[string]int64{}
	for _, f := range list {
		out[f.text("channel")] = f.number("peers")
	}
	if len(out) != len(list) {
		t.Errorf("channels: got %s, want each once", a.body)
	}
	return out
}

func checkRESTChannels(t *testing.T, w *world) {
	bare, rooms := w.app.Keys[2], w.app.Keys[3]
	w.peer(t, "alice").subscribe("room-1", "room-2", "hall/ä")
	w.peer(t, "alice").subscribe("room-1") // a peer, not a socket
	w.peer(t, "bob").subscribe("room-1")
	w.peer(t, "glob").subscribe("room-*", "**")
	left := w.peer(t, "left").subscribe("room-left")
	left.unsubscribe("room-left")
	tests := []struct {
		key    *keySpec
		prefix string
		want   map[string]int64
	}{
		{w.app.sk, "", map[string]int64{"room-1": 2, "room-2": 1, "hall/ä": 1}},
		{w.app.sk, "room-", map[string]int64{"room-1": 2, "room-2": 1}},
		{w.app.sk, "hall%2F%C3%A4", map[string]int64{"hall/ä": 1}},
		{w.app.sk, "Room", map[string]int64{}},
		{w.app.sk, "*", map[string]int64{}},
		{rooms, "", map[string]int64{"room-1": 2, "room-2": 1}},
	}
	for _, tt := range tests {
		got := channelCounts(t, w.restAs(t, tt.key, "GET", "/v1/channels?prefix="+tt.prefix, ""))
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("channels with prefix %q: got %v, want %v", tt.prefix, got, tt.want)
		}
	}
	w.rest(t, "GET", "/v1/channels", "").want(t, http.StatusBadRequest, "invalid_request")
	w.restAs(t, bare, "GET", "/v1/channels?prefix=", "").want(t, http.StatusForbidden, "action_not_permitted")
}

func checkRESTBodies(t *testing.T, w *world) {
	big := func(n int) string { return `{"data":` + jsonString(n-len(`{"data":}`)) + `}` }
	w.rest(t, "POST", "/v1/channels/a/publish", big(32<<10)).want(t, http.StatusOK, "")
	for _, path := range []string{"/v1/channels/a/publish", "/v1/peers/a/send", "/v1/tokens"} {
		w.rest(t, "POST", path, big(32<<10+1)).want(t, http.StatusRequestEntityTooLarge, "invalid_request")
	}
	a := w.rest(t, "POST", "/v1/channels/a/publish", `{"data":1,"data":2,"DATA":3}`)
	a.want(t, http.StatusOK, "")
	if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		t.Errorf("Content-Type: got %q", a.header.Get("Content-Type"))
	}
}

func checkRESTMethods(t *testing.T, w *world) {
	for _, call := range []string{
		"GET /v1/tokens", "PUT /v1/tokens", "POST /v1/channels/a/peers", "GET /v1/channels/a/publish", "POST /v1/peers/a",
		"GET /v1/peers/a/send", "POST /v1/usage", "DELETE /v1/channels?prefix=",
	} {
		method, path, _ := strings.Cut(call, " ")
		a := w.rest(t, method, path, "")
		if a.status != http.StatusMethodNotAllowed || a.fields.text("error") == "" {
			t.Errorf("%s: got %d %s, want 405 with an error body", call, a.status, a.body)
		}
	}
	for _, path := range []string{"/v1/nothing", "/v1/tokens/x", "/v1/channels/a", "/v1/channels/a/other", "/v2/usage", "/healthz"} {
		w.rest(t, "GET", path, "").want(t, http.StatusNotFound, "not_found")
	}
}
