package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"signalbox/protocol"
)

// noCall is a call that must not reach the backend.
const noCall = ""

func TestPublish(t *testing.T) {
	long := strings.Repeat("c", protocol.MaxChannelLen)
	tests := []struct {
		name, key, channel, body string
		status                   int
		code, call               string
	}{
		{"default from", fullKey, "room-1", `{"data":{"a":1}}`, 200, "", `publish app_a "room-1" system  {"a":1}`},
		{"from and metadata", fullKey, "room-1", `{"data":1,"from":"bob b","peerMetadata":{ "n" : 1e999 }}`, 200, "", `publish app_a "room-1" bob b {"n":1e999} 1`},
		{"data verbatim", fullKey, "room-1", `{"data": {"b":1, "a" : 1e999,"b":"\u0041\/\ud800"} }`, 200, "", `publish app_a "room-1" system  {"b":1, "a" : 1e999,"b":"\u0041\/\ud800"}`},
		{"data null", fullKey, "room-1", `{"data":null}`, 200, "", `publish app_a "room-1" system  null`},
		{"last data wins", fullKey, "room-1", `{"data":1,"data":2}`, 200, "", `publish app_a "room-1" system  2`},
		{"escaped name", fullKey, "room-1", `{"\u0064ata":3}`, 200, "", `publish app_a "room-1" system  3`},
		{"unknown members", fullKey, "room-1", `{"data":1,"Data":2,"to":3,"FROM":4}`, 200, "", `publish app_a "room-1" system  1`},
		{"raw slashes", roomKey, "app/a/b", `{"data":1}`, 200, "", `publish app_a "app/a/b" system  1`},
		{"escaped slashes", roomKey, "app%2Fa%2fb", `{"data":1}`, 200, "", `publish app_a "app/a/b" system  1`},
		{"name ends in a verb", roomKey, "app/publish", `{"data":1}`, 200, "", `publish app_a "app/publish" system  1`},
		{"escapes", fullKey, "a%20b+c%3F%C3%A9%25", `{"data":1}`, 200, "", `publish app_a "a b+c?é%" system  1`},
		{"dots are a name", fullKey, "../x/.", `{"data":1}`, 200, "", `publish app_a "../x/." system  1`},
		{"backslash is itself", fullKey, `a%5Cb`, `{"data":1}`, 200, "", `publish app_a "a\\b" system  1`},
		{"longest name", fullKey, long, `{"data":1}`, 200, "", `publish app_a "` + long + `" system  1`},
		{"metadata at its cap", fullKey, "c", `{"data":1,"peerMetadata":` + objectOf(4096) + `}`, 200, "", `publish app_a "c" system ` + objectOf(4096) + ` 1`},

		{"no body", fullKey, "room-1", ``, 400, "invalid_request", noCall},
		{"no object", fullKey, "room-1", `[1]`, 400, "invalid_request", noCall},
		{"two objects", fullKey, "room-1", `{"data":1}{}`, 400, "invalid_request", noCall},
		{"lenient number", fullKey, "room-1", `{"data":01}`, 400, "invalid_request", noCall},
		{"control character", fullKey, "room-1", "{\"data\":\"\x01\"}", 400, "invalid_request", noCall},
		{"invalid UTF-8", fullKey, "room-1", "{\"data\":\"\xff\"}", 400, "invalid_request", noCall},
		{"invalid UTF-8 elsewhere", fullKey, "room-1", "{\"data\":1,\"x\":\"\xc3\"}", 400, "invalid_request", noCall},
		{"no data", fullKey, "room-1", `{}`, 400, "invalid_request", noCall},
		{"data in capitals", fullKey, "room-1", `{"DATA":1}`, 400, "invalid_request", noCall},
		{"from empty", fullKey, "room-1", `{"data":1,"from":""}`, 400, "invalid_request", noCall},
		{"from null", fullKey, "room-1", `{"data":1,"from":null}`, 400, "invalid_request", noCall},
		{"from not ASCII", fullKey, "room-1", `{"data":1,"from":"é"}`, 400, "invalid_request", noCall},
		{"from too long", fullKey, "room-1", `{"data":1,"from":"` + strings.Repeat("f", 129) + `"}`, 400, "invalid_request", noCall},
		{"last from wins", fullKey, "room-1", `{"data":1,"from":"a","from":1}`, 400, "invalid_request", noCall},
		{"metadata no object", fullKey, "room-1", `{"data":1,"peerMetadata":[]}`, 400, "invalid_request", noCall},
		{"metadata null", fullKey, "room-1", `{"data":1,"peerMetadata":null}`, 400, "invalid_request", noCall},
		{"metadata over its cap", fullKey, "c", `{"data":1,"peerMetadata":` + objectOf(4097) + `}`, 400, "invalid_request", noCall},
		{"glob", fullKey, "room-*", `{"data":1}`, 400, "invalid_request", noCall},
		{"escaped glob", fullKey, "room-%2A", `{"data":1}`, 400, "invalid_request", noCall},
		{"empty name", fullKey, "", `{"data":1}`, 400, "invalid_request", noCall},
		{"name too long", fullKey, long + "c", `{"data":1}`, 400, "invalid_request", noCall},
		{"name with control", fullKey, "a%00", `{"data":1}`, 400, "invalid_request", noCall},
		{"name with C1 control", fullKey, "a%C2%85", `{"data":1}`, 400, "invalid_request", noCall},
		{"name no UTF-8", fullKey, "a%FF", `{"data":1}`, 400, "invalid_request", noCall},
		{"reserved", fullKey, "_system/x", `{"data":1}`, 400, "channel_reserved", noCall},
		{"reserved, escaped", fullKey, "%5Fmetered%2Fx", `{"data":1}`, 400, "channel_reserved", noCall},
		{"form before reserved", fullKey, "_system/x", `nonsense`, 400, "invalid_request", noCall},
		{"reserved before data", fullKey, "_internal/x", `{}`, 400, "channel_reserved", noCall},
		{"data before action", muteKey, "room-1", `{}`, 400, "invalid_request", noCall},
		{"no action", muteKey, "room-1", `{"data":1}`, 403, "action_not_permitted", noCall},
		{"action before channel", muteKey, "elsewhere", `{"data":1}`, 403, "action_not_permitted", noCall},
		{"channel not covered", roomKey, "elsewhere", `{"data":1}`, 403, "channel_not_authorized", noCall},
		{"one star is one segment", roomKey, "room-1/x", `{"data":1}`, 403, "channel_not_authorized", noCall},
	}
	w := newWorld(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := w.do(t, "POST", "/v1/channels/"+tt.channel+"/publish", tt.body, bearer(tt.key))
			a.want(t, tt.status, tt.code)
			if got := strings.Join(w.backend.called(), "\n"); got != tt.call {
				t.Errorf("backend called:\n got %s\nwant %s", got, tt.call)
			}
		})
	}
	w.do(t, "POST", "/v1/channels/a%2F%22%3Cb/publish", `{"data":1}`, bearer(fullKey)).wantBody(t, `{"channel":"a/\"<b","delivered":3}`)
}

func TestSend(t *testing.T) {
	tests := []struct {
		name, key, peer, body string
		status                int
		code, call            string
	}{
		{"default from", fullKey, "alice", `{"data":[1, 2]}`, 200, "", `send app_a "alice" system  [1, 2]`},
		{"from and metadata", fullKey, "alice", `{"data":1,"from":"b","peerMetadata":{"x":1}}`, 200, "", `send app_a "alice" b {"x":1} 1`},
		{"escaped peer", fullKey, "a%2Fb%20c%25", `{"data":1}`, 200, "", `send app_a "a/b c%" system  1`},
		{"key without that channel", roomKey, "alice", `{"data":1}`, 200, "", `send app_a "alice" system  1`},
		{"no data", fullKey, "alice", `{}`, 400, "invalid_request", noCall},
		{"no object", fullKey, "alice", `1`, 400, "invalid_request", noCall},
		{"from no string", fullKey, "alice", `{"data":1,"from":7}`, 400, "invalid_request", noCall},
		{"peer not ASCII", fullKey, "%C3%A9", `{"data":1}`, 400, "invalid_request", noCall},
		{"peer too long", fullKey, strings.Repeat("p", 129), `{"data":1}`, 400, "invalid_request", noCall},
		{"data before action", muteKey, "alice", `{}`, 400, "invalid_request", noCall},
		{"no action", muteKey, "alice", `{"data":1}`, 403, "action_not_permitted", noCall},
	}
	w := newWorld(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.do(t, "POST", "/v1/peers/"+tt.peer+"/send", tt.body, bearer(tt.key)).want(t, tt.status, tt.code)
			if got := strings.Join(w.backend.called(), "\n"); got != tt.call {
				t.Errorf("backend called:\n got %s\nwant %s", got, tt.call)
			}
		})
	}
	w.do(t, "POST", "/v1/peers/a%2Fb/send", `{"data":1}`, bearer(fullKey)).wantBody(t, `{"peerId":"a/b","delivered":2}`)
}

func TestKick(t *testing.T) {
	w := newWorld(t, nil)
	w.do(t, "DELETE", "/v1/peers/alice", "", bearer(fullKey)).wantBody(t, `{"peerId":"alice","closed":1}`)
	w.do(t, "DELETE", "/v1/peers/a%2Fsend", "", bearer(muteKey)).wantBody(t, `{"peerId":"a/send","closed":1}`)
	w.do(t, "DELETE", "/v1/peers/alice", "", bearer(otherKey)).want(t, 200, "")
	w.do(t, "DELETE", "/v1/peers/%C3%A9", "", bearer(fullKey)).want(t, 400, "invalid_request")
	want := []string{`kick app_a "alice"`, `kick app_a "a/send"`, `kick app_b "alice"`}
	if got := w.backend.called(); !slices.Equal(got, want) {
		t.Errorf("backend called %q, want %q", got, want)
	}
}

func TestRoster(t *testing.T) {
	tests := []struct {
		name, key, channel string
		status             int
		code, call         string
	}{
		{"plain", fullKey, "room-1", 200, "", `peers app_a "room-1"`},
		{"raw slashes", fullKey, "a/b/c", 200, "", `peers app_a "a/b/c"`},
		{"name ends in peers", fullKey, "a/peers", 200, "", `peers app_a "a/peers"`},
		{"name is peers", fullKey, "peers", 200, "", `peers app_a "peers"`},
		{"name ends in peers, escaped", fullKey, "a%2Fpeers", 200, "", `peers app_a "a/peers"`},
		{"name ends in publish", fullKey, "a/publish", 200, "", `peers app_a "a/publish"`},
		{"leading slash", fullKey, "/a", 200, "", `peers app_a "/a"`},
		{"glob", fullKey, "a*", 400, "invalid_request", noCall},
		{"empty", fullKey, "", 400, "invalid_request", noCall},
		{"reserved", fullKey, "_metered/a", 400, "channel_reserved", noCall},
		{"reserved before action", muteKey, "_metered/a", 400, "channel_reserved", noCall},
		{"no action", muteKey, "room-1", 403, "action_not_permitted", noCall},
		{"not covered", roomKey, "elsewhere", 403, "channel_not_authorized", noCall},
	}
	w := newWorld(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.do(t, "GET", "/v1/channels/"+tt.channel+"/peers", "", bearer(tt.key)).want(t, tt.status, tt.code)
			if got := strings.Join(w.backend.called(), "\n"); got != tt.call {
				t.Errorf("backend called:\n got %s\nwant %s", got, tt.call)
			}
		})
	}
	w.do(t, "GET", "/v1/channels/c/peers", "", bearer(fullKey)).wantBody(t, `{"channel":"c","peers":[]}`)
	w.backend.peers = []protocol.Peer{{ID: `a"b`, Metadata: []byte(`{"n":1e999}`)}, {ID: "bob"}}
	w.do(t, "GET", "/v1/channels/c/peers", "", bearer(fullKey)).
		wantBody(t, `{"channel":"c","peers":[{"peerId":"a\"b","metadata":{"n":1e999}},{"peerId":"bob"}]}`)
}

func TestChannels(t *testing.T) {
	tests := []struct {
		name, key, query string
		status           int
		code, call       string
	}{
		{"empty prefix", fullKey, "?prefix=", 200, "", `channels app_a "" "" 100`},
		{"prefix alone", fullKey, "?prefix", 200, "", `channels app_a "" "" 100`},
		{"prefix", fullKey, "?prefix=a%2Fb%20", 200, "", `channels app_a "a/b " "" 100`},
		{"after", fullKey, "?prefix=a&after=a%2Fz", 200, "", `channels app_a "a" "a/z" 100`},
		{"limit", fullKey, "?prefix=a&limit=1000", 200, "", `channels app_a "a" "" 1000`},
		{"last wins", fullKey, "?prefix=a&prefix=b", 200, "", `channels app_a "b" "" 100`},
		{"unknown parameter", fullKey, "?prefix=a&x=1", 200, "", `channels app_a "a" "" 100`},
		{"no prefix", fullKey, "", 400, "invalid_request", noCall},
		{"prefix in capitals", fullKey, "?Prefix=", 400, "invalid_request", noCall},
		{"prefix no UTF-8", fullKey, "?prefix=%FF", 400, "invalid_request", noCall},
		{"after no UTF-8", fullKey, "?prefix=&after=%FF", 400, "invalid_request", noCall},
		{"broken escape", fullKey, "?prefix=%zz", 400, "invalid_request", noCall},
		{"limit 0", fullKey, "?prefix=&limit=0", 400, "invalid_request", noCall},
		{"limit too high", fullKey, "?prefix=&limit=1001", 400, "invalid_request", noCall},
		{"limit no number", fullKey, "?prefix=&limit=ten", 400, "invalid_request", noCall},
		{"query before action", muteKey, "", 400, "invalid_request", noCall},
		{"no action", muteKey, "?prefix=", 403, "action_not_permitted", noCall},
	}
	w := newWorld(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.do(t, "GET", "/v1/channels"+tt.query, "", bearer(tt.key)).want(t, tt.status, tt.code)
			if got := strings.Join(w.backend.called(), "\n"); got != tt.call {
				t.Errorf("backend called:\n got %s\nwant %s", got, tt.call)
			}
		})
	}
	w.do(t, "GET", "/v1/channels?prefix=", "", bearer(fullKey)).wantBody(t, `{"channels":[]}`)
	w.backend.list = []ChannelInfo{{"app/x", 2}, {"room-1", 1}, {"z<&>", 3}}
	w.do(t, "GET", "/v1/channels?prefix=", "", bearer(roomKey)).
		wantBody(t, `{"channels":[{"channel":"app/x","peers":2},{"channel":"room-1","peers":1}]}`)
	w.backend.more = true
	w.do(t, "GET", "/v1/channels?prefix=", "", bearer(fullKey)).
		wantBody(t, `{"channels":[{"channel":"app/x","peers":2},{"channel":"room-1","peers":1},{"channel":"z<&>","peers":3}],"next":"z<&>"}`)
}

func TestUsage(t *testing.T) {
	w := newWorld(t, nil)
	const usage = `"periodStartUnix":1,"periodEndUnix":2,"concurrentNow":3,"peakConcurrent":4,"messagesUsed":5,"overageMessages":6,"overageConnections":7`
	w.do(t, "GET", "/v1/usage", "", bearer(muteKey)).wantBody(t, `{"appId":"app_a",`+usage+
		`,"plan":{"name":"TEST <&>","maxConcurrentConnections":10,"maxMessagesPerPeriod":100,"overagesAllowed":true,"overagesEnabled":false}}`)
	if got, want := w.backend.called(), []string{"usage app_a"}; !slices.Equal(got, want) {
		t.Errorf("backend called %q, want %q", got, want)
	}
}

func TestBackendErrors(t *testing.T) {
	const inner = "inner detail 10.0.0.7"
	tests := []struct {
		name   string
		fail   error
		panics any
		status int
		code   string
	}{
		{"over quota", fmt.Errorf("wrapped: %w", ErrOverQuota), nil, 429, "over_message_quota"},
		{"unavailable", fmt.Errorf("%w: %s", ErrUnavailable, inner), nil, 503, "internal_error"},
		{"anything else", errors.New(inner), nil, 503, "internal_error"},
		{"panic", nil, inner, 503, "internal_error"},
		{"runtime panic", nil, func() (err any) {
			defer func() { err = recover() }()
			return []int{}[len(inner)]
		}(), 503, "internal_error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.backend.fail, w.backend.panics = tt.fail, tt.panics
			for _, call := range knownCalls {
				touchesBackend := call.method != "GET" && call.target != "/v1/tokens" || strings.HasSuffix(call.target, "/peers")
				if !touchesBackend || tt.status == 429 && call.method != "POST" { // what counts against the quota
					continue
				}
				a := w.do(t, call.method, call.target, call.body, bearer(fullKey))
				a.want(t, tt.status, tt.code)
				if strings.Contains(a.body, "inner") {
					t.Errorf("body %q leaks the error", a.body)
				}
			}
			if tt.panics != nil && strings.Contains(w.logs.String(), inner) {
				t.Error("the panic's value is in the log")
			}
		})
	}
}

func TestDataOverMessageSize(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxMessageSize = 10 })
	for _, target := range []string{"/v1/channels/room-1/publish", "/v1/peers/alice/send"} {
		w.do(t, "POST", target, `{"data": "12345678" }`, bearer(fullKey)).want(t, 200, "")
		w.do(t, "POST", target, `{"data": "123456789" }`, bearer(fullKey)).want(t, 413, "invalid_request")
	}
}
