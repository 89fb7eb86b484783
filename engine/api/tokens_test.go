package api

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"signalbox/engine/auth"
)

// objectOf is a JSON object of n bytes.
func objectOf(n int) string { return `{"m":"` + strings.Repeat("x", n-len(`{"m":""}`)) + `"}` }

// listOf is a JSON list of n times item.
func listOf(n int, item string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
}

var tokenTests = []struct {
	name, key, body string
	status          int
	code            string
}{
	{"peer id alone", fullKey, `{"peerId":"alice"}`, 200, ""},
	{"all members", fullKey, `{"peerId":"a b","channels":["x","y/*"],"permissions":["send"],"expiresInSec":1,"metadata":{},"peerMetadata":{}}`, 200, ""},
	{"longest life", fullKey, `{"peerId":"a","expiresInSec":86400}`, 200, ""},
	{"whole number with a point", fullKey, `{"peerId":"a","expiresInSec":60.0}`, 200, ""},
	{"no channels at all", fullKey, `{"peerId":"a","channels":[]}`, 200, ""},
	{"no permissions at all", fullKey, `{"peerId":"a","permissions":[]}`, 200, ""},
	{"100 channels", fullKey, `{"peerId":"a","channels":` + listOf(100, `"c"`) + `}`, 200, ""},
	{"16 permissions", fullKey, `{"peerId":"a","permissions":` + listOf(16, `"send"`) + `}`, 200, ""},
	{"metadata at its cap", fullKey, `{"peerId":"a","metadata":` + objectOf(8192) + `}`, 200, ""},
	{"peerMetadata at its cap", fullKey, `{"peerId":"a","peerMetadata":` + objectOf(4096) + `}`, 200, ""},
	{"both at their caps, with what HTML escaping would lengthen", fullKey, `{"peerId":"a","peerMetadata":` +
		strings.ReplaceAll(objectOf(4096), "x", "<") + `,"metadata":` + strings.ReplaceAll(objectOf(8192), "x", "&") + `}`, 200, ""},
	{"white space does not count", fullKey, `{"peerId":"a","metadata":{` + strings.Repeat(" ", 9000) + `}}`, 200, ""},
	{"covered name", roomKey, `{"peerId":"a","channels":["room-1","app/x/y"]}`, 200, ""},
	{"covered glob", roomKey, `{"peerId":"a","channels":["room-*","app/*","app/**"]}`, 200, ""},
	{"own action", muteKey, `{"peerId":"a","permissions":["subscribe"]}`, 200, ""},
	{"last peer id wins", fullKey, `{"peerId":1,"peerId":"a"}`, 200, ""},
	{"unknown members", fullKey, `{"peerId":"a","Channels":1,"exp":"x"}`, 200, ""},

	{"empty object", fullKey, `{}`, 400, "invalid_request"},
	{"no body", fullKey, ``, 400, "invalid_request"},
	{"list", fullKey, `[]`, 400, "invalid_request"},
	{"null", fullKey, `null`, 400, "invalid_request"},
	{"peer id in capitals", fullKey, `{"PeerId":"alice"}`, 400, "invalid_request"},
	{"peer id empty", fullKey, `{"peerId":""}`, 400, "invalid_request"},
	{"peer id number", fullKey, `{"peerId":1}`, 400, "invalid_request"},
	{"peer id not ASCII", fullKey, `{"peerId":"é"}`, 400, "invalid_request"},
	{"peer id too long", fullKey, `{"peerId":"` + strings.Repeat("a", 129) + `"}`, 400, "invalid_request"},
	{"last peer id loses", fullKey, `{"peerId":"a","peerId":null}`, 400, "invalid_request"},
	{"life 0", fullKey, `{"peerId":"a","expiresInSec":0}`, 400, "invalid_request"},
	{"life negative", fullKey, `{"peerId":"a","expiresInSec":-1}`, 400, "invalid_request"},
	{"life too long", fullKey, `{"peerId":"a","expiresInSec":86401}`, 400, "invalid_request"},
	{"life fraction", fullKey, `{"peerId":"a","expiresInSec":1.5}`, 400, "invalid_request"},
	{"life string", fullKey, `{"peerId":"a","expiresInSec":"60"}`, 400, "invalid_request"},
	{"life null", fullKey, `{"peerId":"a","expiresInSec":null}`, 400, "invalid_request"},
	{"life beyond all", fullKey, `{"peerId":"a","expiresInSec":1e999}`, 400, "invalid_request"},
	{"channels null", fullKey, `{"peerId":"a","channels":null}`, 400, "invalid_request"},
	{"channels string", fullKey, `{"peerId":"a","channels":"x"}`, 400, "invalid_request"},
	{"channels with a number", fullKey, `{"peerId":"a","channels":["x",1]}`, 400, "invalid_request"},
	{"channels with null", fullKey, `{"peerId":"a","channels":[null]}`, 400, "invalid_request"},
	{"channel empty", fullKey, `{"peerId":"a","channels":[""]}`, 400, "invalid_request"},
	{"channel with control", fullKey, `{"peerId":"a","channels":["\u0007"]}`, 400, "invalid_request"},
	{"101 channels", fullKey, `{"peerId":"a","channels":` + listOf(101, `"c"`) + `}`, 400, "invalid_request"},
	{"channel reserved", fullKey, `{"peerId":"a","channels":["_system/x"]}`, 400, "channel_reserved"},
	{"unknown permission", fullKey, `{"peerId":"a","permissions":["send","fly"]}`, 400, "invalid_request"},
	{"permission in capitals", fullKey, `{"peerId":"a","permissions":["Send"]}`, 400, "invalid_request"},
	{"permissions null", fullKey, `{"peerId":"a","permissions":null}`, 400, "invalid_request"},
	{"17 permissions", fullKey, `{"peerId":"a","permissions":` + listOf(17, `"send"`) + `}`, 400, "invalid_request"},
	{"metadata list", fullKey, `{"peerId":"a","metadata":[]}`, 400, "invalid_request"},
	{"metadata null", fullKey, `{"peerId":"a","metadata":null}`, 400, "invalid_request"},
	{"metadata over its cap", fullKey, `{"peerId":"a","metadata":` + objectOf(8193) + `}`, 400, "invalid_request"},
	{"peerMetadata over its cap", fullKey, `{"peerId":"a","peerMetadata":` + objectOf(4097) + `}`, 400, "invalid_request"},

	{"permission the key lacks", muteKey, `{"peerId":"a","permissions":["subscribe","publish"]}`, 403, "action_not_permitted"},
	{"name not covered", roomKey, `{"peerId":"a","channels":["room-1","elsewhere"]}`, 403, "channel_not_authorized"},
	{"glob wider than the key", roomKey, `{"peerId":"a","channels":["**"]}`, 403, "channel_not_authorized"},
	{"glob beside the key", roomKey, `{"peerId":"a","channels":["room-**"]}`, 403, "channel_not_authorized"},
	{"unknown permission before channel", roomKey, `{"peerId":"a","channels":["elsewhere"],"permissions":["fly"]}`, 400, "invalid_request"},
	{"metadata before channel", roomKey, `{"peerId":"a","channels":["elsewhere"],"metadata":1}`, 400, "invalid_request"},
	{"action before channel", muteKey, `{"peerId":"a","channels":["elsewhere"],"permissions":["send"]}`, 403, "action_not_permitted"},
}

func TestTokenRules(t *testing.T) {
	w := newWorld(t, nil)
	for _, tt := range tokenTests {
		t.Run(tt.name, func(t *testing.T) {
			a := w.do(t, "POST", "/v1/tokens", tt.body, bearer(tt.key))
			a.want(t, tt.status, tt.code)
			if tt.status != 200 {
				return
			}
			var minted struct{ Token string }
			if err := stdjson.Unmarshal([]byte(a.body), &minted); err != nil {
				t.Fatal(err)
			}
			if _, err := w.backend.keys.VerifyToken(minted.Token, testNow); err != nil {
				t.Errorf("VerifyToken = %v, want the token good", err)
			}
			if strings.Contains(w.logs.String(), minted.Token) {
				t.Error("the token is in the log")
			}
		})
	}
}

func TestTokenSaysWhatWasAsked(t *testing.T) {
	w := newWorld(t, nil)
	mint := func(body string) (string, *auth.Identity) {
		t.Helper()
		a := w.do(t, "POST", "/v1/tokens", body, bearer(roomKey))
		a.want(t, 200, "")
		var minted struct {
			Token     string
			ExpiresAt int64
		}
		if err := stdjson.Unmarshal([]byte(a.body), &minted); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`{"token":%q,"expiresAt":%d}`, minted.Token, minted.ExpiresAt); a.body != want {
			t.Errorf("body = %s, want %s", a.body, want)
		}
		id, err := w.backend.keys.VerifyToken(minted.Token, testNow)
		if err != nil {
			t.Fatal(err)
		}
		if id.ExpiresAt != minted.ExpiresAt {
			t.Errorf("exp = %d, want expiresAt %d", id.ExpiresAt, minted.ExpiresAt)
		}
		return minted.Token, id
	}

	token, id := mint(`{"peerId":"alice","channels":["room-1"],"permissions":["send"],"expiresInSec":60,"metadata":{"a": 1e999},"peerMetadata":{"b":"<"}}`)
	if id.PeerID != "alice" || id.ExpiresAt != testNow.Unix()+60 {
		t.Errorf("identity = %s until %d", id.PeerID, id.ExpiresAt)
	}
	if !id.Grant.Channel("room-1") || id.Grant.Channel("room-2") {
		t.Error("the channels are not those asked for")
	}
	if !id.Grant.Allows(auth.Send) || id.Grant.Allows(auth.Publish) {
		t.Error("the permissions are not those asked for")
	}
	if string(id.Metadata) != `{"a":1e999}` || string(id.PeerMetadata) != `{"b":"<"}` {
		t.Errorf("metadata = %s, %s", id.Metadata, id.PeerMetadata)
	}
	var refusal *auth.Refusal
	if _, err := w.backend.keys.VerifyToken(token, testNow.Add(time.Minute)); !errors.As(err, &refusal) {
		t.Errorf("after its life: %v, want a refusal", err)
	}

	_, id = mint(`{"peerId":"bob"}`)
	if id.ExpiresAt != testNow.Unix()+3600 || !id.Grant.Channel("app/x") || !id.Grant.Allows(auth.AllActions) {
		t.Error("the defaults are not an hour and all that the key may")
	}
	_, id = mint(`{"peerId":"carol","channels":[],"permissions":[]}`)
	if id.Grant.Channel("room-1") || id.Grant.Allows(auth.Send) {
		t.Error("empty lists grant something")
	}
}
