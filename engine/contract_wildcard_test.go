package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestContractWildcards(t *testing.T) {
	runChecks(t, withoutRates, []check{
		{"globs of a grant", nil, checkGlobs},
		{"claims and key intersect", withRoomKeys, checkIntersection},
		{"no wider than the grant", withNarrowKeys, checkWildcardGrant},
		{"messages of matching channels", nil, checkWildcardMessages},
		{"once however many match", nil, checkWildcardOnce},
		{"metadata if any asked", nil, checkWildcardMetadata},
		{"not echoed", nil, checkWildcardEcho},
		{"no roster, no presence", nil, checkWildcardPresence},
		{"a pattern made to blow up", nil, checkPatternBomb},
	})
}

// checkGlobs tries section 1's table through the channels claim of a token.
func checkGlobs(t *testing.T, w *world) {
	tests := []struct{ pattern, matches, others string }{
		{"app_abc/*", "app_abc/room-1 app_abc/", "app_abc/sub/deep app_abc xapp_abc/a app_abcd/a"},
		{"app_abc/room-*", "app_abc/room-1 app_abc/room-", "app_abc/room app_abc/room-1/x"},
		{"devices/*/events", "devices/7/events devices//events", "devices/7/8/events devices/events devices/7/events/x"},
		{"fleet/sensor-*/telemetry", "fleet/sensor-9/telemetry", "fleet/sensor-/9/telemetry fleet/x/telemetry"},
		{"tasks/**", "tasks/ tasks/a tasks/a/b/c", "tasks task/a"},
		{"**", "a a/b/c / é", ""},
		{"*", "a é", "a/b /"},
		{"a**z", "az a/z abcz a/b/z", "a za"},
		{"Room*", "Room1", "room1 ROOM1"},
		{"exact", "exact", "exac exacts Exact"},
		{"a.c*", "a.c a.cd", "abc"},
		{`a\b*`, `a\b a\bc`, "ab abc"},
		{`a\\*`, `a\ a\x`, `a ax a\\/y`},
		{`a\\b`, `a\\b`, `a\b ab`},
		{"[ab]?*", "[ab]? [ab]?x", "a? b"},
		{"*/*", "a/b /", "a a/b/c"},
		{"é*", "é éa", "e"},
	}
	for _, tt := range tests {
		c := w.peer(t, "alice", claims{"channels": []string{tt.pattern, "always"}})
		c.subscribe("always")
		for name := range strings.FieldsSeq(tt.matches) {
			t.Run(tt.pattern+" matches "+name, func(t *testing.T) {
				c.publish(name, "1")
				c.subscribe(name)
			})
		}
		for name := range strings.FieldsSeq(tt.others) {
			t.Run(tt.pattern+" not "+name, func(t *testing.T) {
				c.refused("channel_not_authorized", `{"type":"publish","channel":%q,"data":1}`, name)
				c.refused("channel_not_authorized", `{"type":"subscribe","channel":%q}`, name)
			})
		}
	}
}

// withRoomKeys adds a key for rooms and one that may only subscribe to them.
func withRoomKeys(a *appSpec) {
	a.addSecret("room-*")
	a.addSecret("room-*").Actions = []string{"subscribe"}
}

func checkIntersection(t *testing.T, w *world) {
	rooms, reader := w.app.Keys[2], w.app.Keys[3]
	as := func(k *keySpec, c claims) *client {
		c["sub"], c["exp"] = "alice", in(time.Hour)
		return w.enter(t, "token="+k.sign(c))
	}
	noPresence := []string{"publish", "subscribe", "send"}
	c := as(rooms, claims{"permissions": noPresence}) // channels absent: the key's
	c.subscribe("room-1")
	c.refused("channel_not_authorized", `{"type":"subscribe","channel":"lobby"}`)
	c = as(rooms, claims{"permissions": noPresence, "channels": []string{"room-1", "lobby", "r*"}})
	c.subscribe("room-1", "room-2")
	c.refused("channel_not_authorized", `{"type":"subscribe","channel":"lobby"}`)
	c.refused("channel_not_authorized", `{"type":"subscribe","channel":"rest"}`)
	c = as(rooms, claims{"permissions": noPresence, "channels": []string{}})
	c.refused("channel_not_authorized", `{"type":"subscribe","channel":"room-1"}`)
	c.refused("channel_not_authorized", `{"type":"publish","channel":"room-1","data":1}`)

	c = as(reader, claims{}) // permissions absent: the key's
	c.subscribe("room-1").fence()
	c.refused("action_not_permitted", `{"type":"publish","channel":"room-1","data":1}`)
	for _, permissions := range [][]string{{"publish", "send"}, {}} {
		c = as(reader, claims{"permissions": permissions})
		c.refused("action_not_permitted", `{"type":"publish","channel":"room-1","data":1}`)
		c.refused("action_not_permitted", `{"type":"subscribe","channel":"room-1"}`)
		c.refused("action_not_permitted", `{"type":"send","to":"alice","data":1}`)
	}
}

// withNarrowKeys adds a key for rooms and one for two prefixes.
func withNarrowKeys(a *appSpec) {
	a.addSecret("room-*")
	a.addSecret("a*", "b*")
}

func checkWildcardGrant(t *testing.T, w *world) {
	all, rooms, two := w.app.sk, w.app.Keys[2], w.app.Keys[3]
	tests := []struct {
		key      *keySpec
		channels []string // nil: absent
		glob     string
		ok       bool
	}{
		{all, nil, "**", true},
		{all, nil, "room-*", true},
		{all, []string{"room-*"}, "room-*", true},
		{all, []string{"room-*"}, "room-a*", true},
		{all, []string{"room-*"}, "room-**", false},
		{all, []string{"room-*"}, "room*", false},
		{all, []string{"room-*"}, "*", false},
		{all, []string{"room-*"}, "**", false},
		{all, []string{"room-1"}, "room-*", false},
		{all, []string{"x/**"}, "x/*", true},
		{all, []string{"x/**"}, "x*", false},
		{all, []string{"a*", "b*"}, "*", false},
		{all, []string{"x/*/z"}, "x/**/z", false},
		{all, []string{}, "*", false},
		{rooms, nil, "room-*", true},
		{rooms, nil, "**", false},
		{rooms, nil, "room-*/*", false},
		{rooms, []string{"**"}, "room-*", true},
		{rooms, []string{"**"}, "r*", false},
		{rooms, []string{"*-1"}, "room-*", false},
		{rooms, []string{"room-1*"}, "room-*", false},
		{rooms, []string{"room-1*"}, "room-1*", true},
		{two, nil, "a*", true},
		{two, nil, "*", false},
		{two, []string{"*"}, "b*", true},
		{two, []string{"*"}, "*", false},
	}
	for _, tt := range tests {
		c := claims{"sub": "alice", "exp": in(time.Hour), "permissions": []string{"subscribe"}}
		if tt.channels != nil {
			c["channels"] = tt.channels
		}
		t.Run(fmt.Sprintf("%v of %v for %s", tt.channels, tt.key.ChannelPatterns, tt.glob), func(t *testing.T) {
			p := w.enter(t, "token="+tt.key.sign(c))
			if tt.ok {
				p.subscribe(tt.glob)
			} else {
				p.refused("channel_not_authorized", `{"type":"subscribe","channel":%q}`, tt.glob)
			}
		})
	}
}

func checkWildcardMessages(t *testing.T, w *world) {
	alice, bob := w.peer(t, "alice"), w.peer(t, "bob").subscribe("devices/*/events")
	alice.publish("devices/1/events", "1")
	alice.publish("devices/1/2/events", "2")
	alice.publish("devices/1/events/x", "3")
	alice.publish("devices/é/events", "4") // a channel nobody named before
	bob.expectMessage("devices/1/events", "alice", "", "1")
	bob.expectMessage("devices/é/events", "alice", "", "4")
	bob.unsubscribe("devices/*/event")
	alice.publish("devices/3/events", "5")
	bob.expectMessage("devices/3/events", "alice", "", "5")
	bob.unsubscribe("devices/*/events")
	alice.publish("devices/3/events", "6")
	alice.direct("bob", "7")
	bob.expectDirect("alice", "", "7")

	// A grant of one level sees that level only, whatever others publish.
	narrow := w.peer(t, "narrow", claims{"channels": []string{"a/*"}}).subscribe("a/*")
	alice.publish("a/x/y", "1")
	alice.publish("b/x", "2")
	alice.publish("a/x", "3")
	narrow.expectMessage("a/x", "alice", "", "3")
	w.rest(t, "POST", "/v1/channels/a/rest/publish", `{"data":4}`).want(t, 200, "")
	w.rest(t, "POST", "/v1/channels/a%2Frest/publish", `{"data":5}`).want(t, 200, "")
	narrow.expectMessage("a/rest", "system", "", "4")
	narrow.expectMessage("a/rest", "system", "", "5")
	narrow.fence()
}

func checkWildcardOnce(t *testing.T, w *world) {
	alice := w.peer(t, "alice")
	bob := w.peer(t, "bob").subscribe("room-*", "room-1", "**", "*", "*-1")
	alice.publish("room-1", "1")
	bob.expectMessage("room-1", "alice", "", "1")
	bob.fence()
	bob.unsubscribe("room-1")
	alice.publish("room-1", "2")
	bob.expectMessage("room-1", "alice", "", "2")
	bob.unsubscribe("**")
	bob.unsubscribe("*")
	bob.unsubscribe("*-1")
	alice.publish("room-1", "3")
	bob.expectMessage("room-1", "alice", "", "3")
	bob.fence()
	bob.subscribe("room-1")
	bob.unsubscribe("room-*")
	alice.publish("room-1", "4")
	bob.expectMessage("room-1", "alice", "", "4")
	alice.publish("room-2", "5")
	alice.direct("bob", "6")
	bob.expectDirect("alice", "", "6")
	if a := w.rest(t, "POST", "/v1/channels/room-1/publish", `{"data":7}`); a.fields.number("delivered") != 1 {
		t.Errorf("delivered: got %s, want 1", a.body)
	}
}

func checkWildcardMetadata(t *testing.T, w *world) {
	meta := `{"name":"Alice"}`
	alice := w.peer(t, "alice", claims{"peerMetadata": claims{"name": "Alice"}})
	exact, glob, none := w.peer(t, "exact"), w.peer(t, "glob"), w.peer(t, "none").subscribe("room", "r*")
	exact.succeed(`{"type":"subscribe","channel":"room","includeSenderMetadata":true}`)
	exact.subscribe("r*")
	glob.subscribe("room", "*")
	glob.succeed(`{"type":"subscribe","channel":"r*","includeSenderMetadata":true}`)
	alice.publish("room", "1")
	expectMessageMeta(t, exact, "room", "alice", meta, "1")
	expectMessageMeta(t, glob, "room", "alice", meta, "1")
	none.expectMessage("room", "alice", "", "1")
	exact.unsubscribe("room")
	glob.unsubscribe("r*")
	alice.publish("room", "2")
	exact.expectMessage("room", "alice", "", "2")
	glob.expectMessage("room", "alice", "", "2")
	none.expectMessage("room", "alice", "", "2")
	for _, c := range []*client{exact, glob, none} {
		c.fence()
	}
}

func checkWildcardEcho(t *testing.T, w *world) {
	first, second := w.peer(t, "alice").subscribe("*", "room"), w.peer(t, "alice").subscribe("*")
	first.publish("room", "1")
	second.expectMessage("room", "alice", "", "1")
	second.publish("room", "2")
	first.expectMessage("room", "alice", "", "2")
	first.fence()
	second.fence()
}

func checkWildcardPresence(t *testing.T, w *world) {
	glob := w.watcher(t, "glob").subscribe("*", "**") // with presence, yet no snapshot
	glob.fence()
	alice := w.watcher(t, "alice")
	if got := alice.join("room"); len(got) != 0 {
		t.Errorf("snapshot: got %v, want nobody", got)
	}
	glob.fence()
	late := w.watcher(t, "late").subscribe("room*")
	late.fence()
	alice.fence()
	a := w.rest(t, "GET", "/v1/channels/room/peers", "")
	samePeers(t, "roster", a.fields.peers("peers"), named("alice"))
	alice.unsubscribe("room")
	late.unsubscribe("room*")
	glob.fence()
	late.fence()
}

// checkPatternBomb matches star after star against a name made of nothing but near misses.
func checkPatternBomb(t *testing.T, w *world) {
	name := strings.Repeat("a", 256)
	bombs := []string{strings.Repeat("*a", 120) + "*b", strings.Repeat("**a", 80) + "b", strings.Repeat("*a**", 60) + "b"}
	c := w.peer(t, "alice", claims{"channels": append([]string{"always", "*"}, bombs...)})
	c.subscribe("always")
	d := w.peer(t, "bob", claims{"channels": bombs})
	d.refused("channel_not_authorized", `{"type":"publish","channel":%q,"data":1}`, name)
	for _, glob := range bombs { // covering is no cheaper to attack than matching
		c.request(`{"type":"subscribe","channel":%q}`, glob)
		if f, err := c.next(); err != nil {
			t.Fatalf("glob %s: %v", glob, err)
		} else if f.text("type") != "ack" && f.text("code") != "channel_not_authorized" && f.text("code") != "invalid_channel" {
			t.Errorf("glob %s: got %s", glob, f)
		}
	}
	d.fence()
	w.open(t, "token="+w.app.sk.sign(claims{"sub": "x", "exp": in(time.Hour), "channels": bombs})).recv("welcome")
	w.peer(t, "carol").publish(name, "1")
	c.fence()
}
