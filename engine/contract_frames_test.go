package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"signalbox/engine"
)

func TestContractFrames(t *testing.T) {
	runChecks(t, withoutRates, []check{
		{"replies carry the requestId", nil, checkRequestID},
		{"malformed", nil, checkMalformed},
		{"unknown type", nil, checkUnknownType},
		{"names", nil, checkNames},
		{"peer ids", nil, checkPeerIDs},
		{"order of faults", withDeafKey, checkFaultOrder},
		{"replies keep their order", nil, checkReplyOrder},
		{"publish", nil, checkPublish},
		{"publish is not echoed", nil, checkNoEcho},
		{"sender metadata", nil, checkSenderMetadata},
		{"unsubscribe", nil, checkUnsubscribe},
		{"send", nil, checkSend},
		{"send to oneself", nil, checkSendSelf},
		{"ping", nil, func(t *testing.T, w *world) { w.peer(t, "alice").fence() }},
		{"data is byte exact", nil, checkExactData},
		{"missing data", nil, checkMissingData},
		{"order of messages", nil, checkMessageOrder},
	})
}

// withoutRates lifts the frame rate, for checks that are about something else.
func withoutRates(cfg *engine.Config) { cfg.Limits.MessageRate = 0 }

func checkRequestID(t *testing.T, w *world) {
	c := w.peer(t, "alice")
	c.subscribe("room")
	c.refused("peer_not_found", `{"type":"send","to":"nobody","data":1}`)
	// Without one, success is silent and an error comes without it.
	c.send(`{"type":"subscribe","channel":"a"}`, `{"type":"publish","channel":"a","data":1}`, `{"type":"unsubscribe","channel":"a"}`)
	c.fence()
	c.send(`{"type":"publish","channel":"","data":1}`)
	c.expectError("", "invalid_channel")
	for name, id := range map[string]string{
		"one character":     "x",
		"128 characters":    strings.Repeat("x", 128),
		"128 code points":   strings.Repeat("é", 128),
		"128 astral":        strings.Repeat("😀", 128),
		"needing an escape": `q"\` + "\n\u0001é/<&>\u2028",
	} {
		t.Run(name, func(t *testing.T) {
			c.send(`{"type":"publish","channel":"a","data":1,"requestId":` + quoted(id) + `}`)
			c.expectAck(id)
			c.send(`{"type":"publish","channel":"","data":1,"requestId":` + quoted(id) + `}`)
			c.expectError(id, "invalid_channel")
		})
	}
	c.send(`{"requestId":"\u0072\u0031","type":"unsubscribe","channel":"a"}`)
	c.expectAck("r1")
	c.send(`{"requestId":"first","requestId":"last","type":"unsubscribe","channel":"a"}`)
	c.expectAck("last")
}

// quoted returns s as a JSON string that escapes only what it must.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < 0x20:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

func checkMalformed(t *testing.T, w *world) {
	c := w.peer(t, "alice")
	for _, m := range []string{
		``, ` `, `null`, `true`, `5`, `"ping"`, `[]`, `[{"type":"ping"}]`, `{`, `}`, `{}`, `nonsense`,
		`{"type":"ping"`, `{"type":"ping"}x`, `{"type":"ping"}{"type":"ping"}`, `{"type":"ping",}`, `{type:"ping"}`,
		`{'type':'ping'}`, `{"type":"ping" "x":1}`, `{"type":"ping","x":01}`, `{"type":"ping","x":.5}`, `{"type":"ping","x":+1}`,
		`{"type":"ping","x":NaN}`, `{"type":"ping","x":1e}`, `{"type":"ping","x":"` + "\t" + `"}`, `{"type":"ping","x":"\x41"}`,
		`{"type":"ping","x":"\u12"}`, `{"type":"ping","x":[1,]}`, `{"type":"ping","x":tru}`, "\ufeff" + `{"type":"ping"}`,
		`{"type":"ping","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 99) + `}`,
		"{\"type\":\"ping\"}\x00", "{\"type\":\"ping\",\u00a0\"x\":1}",
		`{"type":1}`, `{"type":null}`, `{"type":["ping"]}`, `{"Type":"ping"}`, `{"TYPE":"ping"}`, `{"type":"ping","type":1}`,
		`{"type":"ping","requestId":""}`, `{"type":"ping","requestId":5}`, `{"type":"ping","requestId":null}`,
		`{"type":"ping","requestId":{}}`, `{"type":"ping","requestId":"` + strings.Repeat("x", 129) + `"}`,
		`{"type":"publish","channel":"a","data":1,"requestId":"ok","requestId":7}`,
		`{"type":"subscribe","channel":"a","includeSenderMetadata":"true"}`,
		`{"type":"subscribe","channel":"a","includeSenderMetadata":1}`,
		`{"type":"subscribe","channel":"a","includeSenderMetadata":null}`,
	} {
		c.send(m)
		f := c.recv("error")
		if f.text("code") != "malformed_message" || f.has("requestId") || f.text("message") == "" {
			t.Errorf("%q: got %s", m, f)
		}
	}
	for _, m := range []string{
		`{"requestId":"r"}`, `{"requestId":"r","type":5}`, `{"type":"subscribe","includeSenderMetadata":0,"requestId":"r","channel":"a"}`,
	} {
		c.send(m)
		c.expectError("r", "malformed_message")
	}
	for _, m := range []string{
		" \t\r\n{ \"type\" : \"ping\" } \n", `{"\u0074ype":"p\u0069ng"}`, `{"type":"nope","type":"ping"}`,
		`{"type":"ping","x":{"type":"publish"},"y":[1,2e5,-0,"\ud800",null]}`, `{"type":"ping","Type":"nope"}`,
	} {
		c.send(m)
		c.recv("pong")
	}
}

func checkUnknownType(t *testing.T, w *world) {
	c := w.peer(t, "alice")
	for _, name := range []string{"", "Ping", "PING", "ping ", "welcome", "message", "ack", "direct", "hello", `\u0000`} {
		c.refused("unknown_type", `{"type":"%s"}`, name)
	}
	c.send(`{"type":"nope"}`)
	c.expectError("", "unknown_type")
	c.fence()
}

func checkNames(t *testing.T, w *world) {
	c := w.peer(t, "alice")
	long := strings.Repeat("é", 128) // 256 bytes of UTF-8
	bad := []string{`""`, `5`, `null`, `["a"]`, `{}`, `"` + long + `x"`, `"a\u0000"`, `"a\u001f"`, `"\n"`, `"a\u007f"`, `"a\u009fb"`, "\"a\u0085\""}
	for _, name := range bad {
		for _, op := range []string{"subscribe", "unsubscribe", "publish"} {
			c.refused("invalid_channel", `{"type":"%s","data":1,"channel":%s}`, op, name)
		}
	}
	for _, m := range []string{
		`{"type":"subscribe"}`, `{"type":"subscribe","Channel":"a"}`, `{"type":"subscribe","channel":"a","channel":5}`,
		`{"type":"publish","channel":"a*","data":1}`, `{"type":"publish","channel":"*","data":1}`, `{"type":"publish","channel":"a\\*","data":1}`,
	} {
		c.refused("invalid_channel", "%s", m)
	}
	for _, prefix := range []string{"_metered/", "_internal/", "_system/"} {
		for _, op := range []string{"subscribe", "publish"} {
			c.refused("channel_reserved", `{"type":"%s","data":1,"channel":"%sx"}`, op, prefix)
			c.refused("channel_reserved", `{"type":"%s","data":1,"channel":"%s"}`, op, prefix)
		}
		c.refused("channel_reserved", `{"type":"subscribe","channel":"%s*"}`, prefix)
	}
	good := []string{long, " ", "a b", "_metered", "_Metered/x", "x_system/y", "room/1/ä/😀", `a\u005cb`, `\u0061\u00a0`, "#", "/", "a?b[c]"}
	for _, name := range good {
		c.succeed(`{"type":"subscribe","channel":"%s"}`, name)
		c.succeed(`{"type":"publish","data":1,"channel":"%s"}`, name)
		c.succeed(`{"type":"unsubscribe","channel":"%s"}`, name)
	}
	// Escaped and plain spell the same name; case matters.
	bob := w.peer(t, "bob").subscribe("caf\u00e9")
	c.succeed(`{"type":"publish","channel":"caf\u00e9","data":1}`)
	bob.expectMessage("café", "alice", "", "1")
	c.succeed(`{"type":"publish","channel":"Café","data":1}`)
	c.direct("bob", "2")
	bob.expectDirect("alice", "", "2")
}

func checkPeerIDs(t *testing.T, w *world) {
	c := w.peer(t, "alice")
	for _, to := range []string{`""`, `5`, `null`, `["bob"]`, `"zoë"`, `"a\u0007"`, `"a\u007f"`, `"a\n"`, `"` + strings.Repeat("x", 129) + `"`} {
		c.refused("invalid_peer_id", `{"type":"send","data":1,"to":%s}`, to)
	}
	c.refused("invalid_peer_id", `{"type":"send","data":1}`)
	c.refused("invalid_peer_id", `{"type":"send","data":1,"To":"alice"}`)
	for _, to := range []string{" ", strings.Repeat("x", 128), "~!*", "nobody", "Alice"} {
		c.refused("peer_not_found", `{"type":"send","data":1,"to":"%s"}`, to)
	}
	odd := ` a\"b\\ `
	w.peer(t, ` a"b\ `)
	c.succeed(`{"type":"send","data":1,"to":"%s"}`, odd)
}

// withDeafKey adds keys for rooms only: one that may not publish or send, one that may.
func withDeafKey(a *appSpec) {
	a.addSecret("room-*").Actions = []string{"presence"}
	a.addSecret("room-*")
	a.Plan.MaxMessagesPerPeriod = 1
}

func checkFaultOrder(t *testing.T, w *world) {
	w.rest(t, "POST", "/v1/channels/used-up/publish", `{"data":1}`).want(t, 200, "")
	deaf := w.enter(t, "token="+w.app.Keys[2].sign(claims{"sub": "deaf", "exp": in(time.Hour)}))
	rooms := w.enter(t, "token="+w.app.Keys[3].sign(claims{"sub": "rooms", "exp": in(time.Hour)}))
	tests := []struct {
		name string
		c    *client
		m    string
		code string
	}{
		{"malformed before unknown type", deaf, `{"type":"nope","includeSenderMetadata":1}`, "malformed_message"},
		{"unknown type before name", deaf, `{"type":"nope","channel":""}`, "unknown_type"},
		{"name before reserved", deaf, `{"type":"publish","channel":"_system/*"}`, "invalid_channel"},
		{"name before data", deaf, `{"type":"publish"}`, "invalid_channel"},
		{"name before action", deaf, `{"type":"subscribe","channel":""}`, "invalid_channel"},
		{"peer id before data", deaf, `{"type":"send","to":""}`, "invalid_peer_id"},
		{"reserved before data", deaf, `{"type":"publish","channel":"_system/x"}`, "channel_reserved"},
		{"reserved before action", deaf, `{"type":"subscribe","channel":"_system/x"}`, "channel_reserved"},
		{"data before action", deaf, `{"type":"publish","channel":"other"}`, "missing_data"},
		{"data before action of send", deaf, `{"type":"send","to":"nobody"}`, "missing_data"},
		{"action before channel", deaf, `{"type":"publish","channel":"other","data":1}`, "action_not_permitted"},
		{"action of subscribe", deaf, `{"type":"subscribe","channel":"other"}`, "action_not_permitted"},
		{"action of a glob", deaf, `{"type":"subscribe","channel":"**"}`, "action_not_permitted"},
		{"action of send", deaf, `{"type":"send","to":"nobody","data":1}`, "action_not_permitted"},
		{"channel before quota", rooms, `{"type":"publish","channel":"other","data":1}`, "channel_not_authorized"},
		{"channel of subscribe", rooms, `{"type":"subscribe","channel":"other"}`, "channel_not_authorized"},
		{"quota last", rooms, `{"type":"publish","channel":"room-1","data":1}`, "over_message_quota"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.c.refused(tt.code, "%s", tt.m) })
	}
}

// checkReplyOrder sends a batch of all kinds of frames. What each brings as reply comes in the order of the batch; the
// deliveries of the messages to oneself may come anywhere between.
func checkReplyOrder(t *testing.T, w *world) {
	kinds := []struct{ m, reply string }{
		{`{"type":"subscribe","channel":"c%d","requestId":"%[2]s"}`, "ack"},
		{`{"type":"publish","channel":"c%d","data":1,"requestId":"%[2]s"}`, "ack"},
		{`{"type":"publish","channel":"c%d","requestId":"%[2]s"}`, "missing_data"},
		{`{"type":"unsubscribe","channel":"c%d","requestId":"%[2]s"}`, "ack"},
		{`{"type":"send","to":"nobody%d","data":1,"requestId":"%[2]s"}`, "peer_not_found"},
		{`{"type":"send","to":"alice","data":%d,"requestId":"%[2]s"}`, "ack"},
		{`{"type":"ping","x":[%d,"%[2]s"]}`, "pong"},
	}
	const rounds = 30
	var batch, want []string
	for i := range rounds {
		for j, k := range kinds {
			id := fmt.Sprintf("%d-%d", i, j)
			batch = append(batch, fmt.Sprintf(k.m, i, id))
			if k.reply == "pong" {
				id = ""
			}
			want = append(want, k.reply+" "+id)
		}
	}
	c := w.peer(t, "alice")
	c.send(batch...)
	directs := 0
	for got := 0; got < len(want) || directs < rounds; {
		f, err := c.next()
		if err != nil {
			t.Fatalf("after %d replies and %d directs: %v", got, directs, err)
		}
		reply := f.text("type")
		switch reply {
		case "direct":
			if f.number("data") != int64(directs) {
				t.Fatalf("direct %d: got %s", directs, f)
			}
			directs++
			continue
		case "error":
			reply = f.text("code")
		}
		if reply += " " + f.text("requestId"); got == len(want) || reply != want[got] {
			t.Fatalf("reply %d: got %s, want %s", got, f, want[got])
		}
		got++
	}
}

// expectAckAndDirect expects the reply and the delivery of a message to oneself, in either order.
func expectAckAndDirect(t *testing.T, c *client, requestID string) {
	t.Helper()
	var ack, direct int
	for range 2 {
		f, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case f.text("type") == "ack" && f.text("requestId") == requestID:
			ack++
		case f.text("type") == "direct" && f.text("from") == c.welcome.text("peerId"):
			direct++
		default:
			t.Fatalf("got %s, want ack %s and a direct", f, requestID)
		}
	}
	if ack != 1 || direct != 1 {
		t.Fatalf("got %d acks and %d directs, want one each", ack, direct)
	}
}

func checkPublish(t *testing.T, w *world) {
	alice := w.peer(t, "alice")
	var subscribers []*client
	for i := range 9 {
		subscribers = append(subscribers, w.peer(t, fmt.Sprintf("s%d", i)).subscribe("room"))
	}
	stranger := w.peer(t, "stranger").subscribe("other", "room/x", "roo", "room ", "Room")
	alice.publish("room", `"hi"`) // without being subscribed
	for _, s := range subscribers {
		s.expectMessage("room", "alice", "", `"hi"`)
		s.fence() // once
	}
	alice.direct("stranger", "1")
	stranger.expectDirect("alice", "", "1")
	alice.fence()

	// Subscribing again changes nothing.
	subscribers[0].subscribe("room")
	alice.publish("room", `2`)
	subscribers[0].expectMessage("room", "alice", "", `2`)
	subscribers[0].fence()

	alice.publish("nobody-listens", "1")
	may := w.peer(t, "mute", claims{"permissions": []string{"subscribe"}})
	may.refused("action_not_permitted", `{"type":"publish","channel":"room","data":1}`)
	may.refused("action_not_permitted", `{"type":"send","to":"alice","data":1}`)
	w.peer(t, "deaf", claims{"permissions": []string{"publish"}}).refused("action_not_permitted", `{"type":"subscribe","channel":"room"}`)
}

func checkNoEcho(t *testing.T, w *world) {
	first, second := w.peer(t, "alice").subscribe("room"), w.peer(t, "alice").subscribe("room")
	third := w.peer(t, "alice") // not subscribed
	first.publish("room", "1")
	second.expectMessage("room", "alice", "", "1")
	second.publish("room", "2")
	first.expectMessage("room", "alice", "", "2")
	third.publish("room", "3")
	first.expectMessage("room", "alice", "", "3")
	second.expectMessage("room", "alice", "", "3")
	for _, c := range []*client{first, second, third} {
		c.fence()
	}
	// Two publishes in a batch with another's: each gets exactly the others'.
	bob := w.peer(t, "bob").subscribe("room")
	first.send(`{"type":"publish","channel":"room","data":4}`, `{"type":"unsubscribe","channel":"room"}`,
		`{"type":"publish","channel":"room","data":5}`, `{"type":"subscribe","channel":"room"}`, `{"type":"publish","channel":"room","data":6}`)
	first.fence()
	for _, data := range []string{"4", "5", "6"} {
		second.expectMessage("room", "alice", "", data)
		bob.expectMessage("room", "alice", "", data)
	}
	bob.publish("room", "7")
	first.expectMessage("room", "bob", "", "7")
	second.expectMessage("room", "bob", "", "7")
}

func checkSenderMetadata(t *testing.T, w *world) {
	meta := `{"name":"Alice","n":1e3}`
	alice := w.enter(t, "token="+w.app.sk.signRaw(`{"alg":"HS256","kid":"`+w.app.sk.ID+`"}`,
		fmt.Sprintf(`{"sub":"alice","exp":%d,"permissions":["publish","send"],"peerMetadata":%s}`, in(time.Hour), meta)))
	bob := w.peer(t, "bob")
	curious, plain := w.peer(t, "curious"), w.peer(t, "plain").subscribe("room")
	curious.succeed(`{"type":"subscribe","channel":"room","includeSenderMetadata":true}`)

	alice.publish("room", "1")
	expectMessageMeta(t, curious, "room", "alice", meta, "1")
	plain.expectMessage("room", "alice", "", "1")
	bob.publish("room", "2") // has no metadata to show
	curious.expectMessage("room", "bob", "", "2")
	plain.expectMessage("room", "bob", "", "2")

	// The last subscribe wins, either way.
	curious.succeed(`{"type":"subscribe","channel":"room","includeSenderMetadata":false}`)
	plain.succeed(`{"type":"subscribe","channel":"room","includeSenderMetadata":true}`)
	alice.publish("room", "3")
	curious.expectMessage("room", "alice", "", "3")
	expectMessageMeta(t, plain, "room", "alice", meta, "3")
	plain.succeed(`{"type":"subscribe","channel":"room","includeSenderMetadata":true,"includeSenderMetadata":false}`)
	curious.succeed(`{"type":"subscribe","channel":"room","IncludeSenderMetadata":true}`)
	alice.publish("room", "4")
	plain.expectMessage("room", "alice", "", "4")
	curious.expectMessage("room", "alice", "", "4")

	// A direct message always shows it.
	alice.direct("plain", "5")
	f := plain.recv("direct")
	if f.text("from") != "alice" || !equalJSON(f["fromMetadata"], []byte(meta)) || string(f["data"]) != "5" {
		t.Errorf("direct: got %s, want fromMetadata %s", f, meta)
	}
	bob.direct("plain", "6")
	plain.expectDirect("bob", "", "6")
}

// expectMessageMeta expects a message next whose fromMetadata is the same JSON value.
func expectMessageMeta(t *testing.T, c *client, channel, from, meta, data string) {
	t.Helper()
	f := c.recv("message")
	if f.text("channel") != channel || f.text("from") != from || !equalJSON(f["fromMetadata"], []byte(meta)) || string(f["data"]) != data {
		t.Fatalf("message: got %s, want %s from %s (%s): %s", f, channel, from, meta, data)
	}
}

func checkUnsubscribe(t *testing.T, w *world) {
	alice, bob := w.peer(t, "alice"), w.peer(t, "bob")
	bob.unsubscribe("never-subscribed")
	bob.subscribe("room", "stay")
	alice.publish("room", "1")
	bob.expectMessage("room", "alice", "", "1")
	bob.unsubscribe("room")
	bob.unsubscribe("room")
	alice.publish("room", "2")
	alice.publish("stay", "3")
	bob.expectMessage("stay", "alice", "", "3")
	bob.subscribe("room")
	alice.publish("room", "4")
	bob.expectMessage("room", "alice", "", "4")
}

func checkSend(t *testing.T, w *world) {
	alice := w.peer(t, "alice")
	var bobs []*client
	for range 7 {
		bobs = append(bobs, w.peer(t, "bob"))
	}
	carol := w.peer(t, "carol")
	alice.direct("bob", `{"sdp":"…"}`)
	for _, b := range bobs {
		b.expectDirect("alice", "", `{"sdp":"…"}`)
		b.fence()
	}
	carol.fence()
	alice.refused("peer_not_found", `{"type":"send","to":"dave","data":1}`)
	alice.send(`{"type":"send","to":"dave","data":1}`)
	alice.expectError("", "peer_not_found")
	carol.leave()
	eventually(t, "peer_not_found of a peer that left", func() bool {
		id := alice.request(`{"type":"send","to":"carol","data":1}`)
		f, err := alice.next()
		if err != nil || f.text("requestId") != id {
			t.Fatalf("got %s, %v", f, err)
		}
		return f.text("code") == "peer_not_found"
	})
}

func checkSendSelf(t *testing.T, w *world) {
	first, second := w.peer(t, "alice"), w.peer(t, "alice")
	id := first.request(`{"type":"send","to":"alice","data":1}`)
	expectAckAndDirect(t, first, id)
	second.expectDirect("alice", "", "1")
	second.fence()
}

// exactData are JSON texts that a decoder and encoder would change.
var exactData = []string{
	`null`, `true`, `0`, `-0`, `1.0`, `1.50e+05`, `1e999`, `-1E-999`, `123456789012345678901234567890`, `""`, `[]`, `{}`,
	`{"a":1,"a":2}`, `{"z":1,"a":2}`, `{"":0}`, `[ 1 ,	2]`, "{\"a\" :\r\n[ ] }", `"\u0041\/\b\"\\"`, `"\ud83d\ude00"`, `"😀é"`, `"\ud800"`,
	`"\u0000"`, "\"\u2028\u2029\"", `"<script>&amp;</script>"`, `{"data":{"data":1},"type":"x","channel":"y"}`, `"\"}{"`, "\"\u007f\"",
}

func checkExactData(t *testing.T, w *world) {
	alice, bob := w.peer(t, "alice"), w.peer(t, "bob").subscribe("room")
	for _, data := range exactData {
		alice.publish("room", data)
		bob.expectMessage("room", "alice", "", data)
		alice.direct("bob", data)
		bob.expectDirect("alice", "", data)
		w.rest(t, "POST", "/v1/channels/room/publish", `{"from":"rest","data":`+data+`}`).want(t, 200, "")
		bob.expectMessage("room", "rest", "", data)
		w.rest(t, "POST", "/v1/peers/bob/send", `{"data":`+data+`,"from":"rest"}`).want(t, 200, "")
		bob.expectDirect("rest", "", data)
	}
	for m, want := range map[string]string{
		"{\"data\":\n\t [1, 2] \r,\"channel\":\"room\",\"type\":\"publish\"}": "[1, 2]",
		`{"data":1,"type":"publish","data":  2  ,"channel":"room"}`:           "2",
		`{"Data":1,"type":"publish","data":3,"DATA":4,"channel":"room"}`:      "3",
		`{"type":"publish","channel":"room","d\u0061ta":"escaped name"}`:      `"escaped name"`,
		`{"channel":"other","data":1,"channel":"room","type":"publish"}`:      "1",
	} {
		alice.send(m)
		bob.expectMessage("room", "alice", "", want)
	}
	big := `"` + strings.Repeat("x", 65534) + `"`
	alice.publish("room", big)
	bob.expectMessage("room", "alice", "", big)
}

func checkMissingData(t *testing.T, w *world) {
	c := w.peer(t, "alice")
	for _, m := range []string{
		`{"type":"publish","channel":"room"}`, `{"type":"send","to":"alice"}`, `{"type":"publish","channel":"room","Data":1}`,
	} {
		c.refused("missing_data", "%s", m)
	}
}

// checkMessageOrder has four publishers fill a channel at once: each one's messages come in its order, none is lost.
func checkMessageOrder(t *testing.T, w *world) {
	const publishers, each = 4, 200
	readers := []*client{w.peer(t, "r1").subscribe("room"), w.peer(t, "r2").subscribe("room"), w.peer(t, "r3").subscribe("**")}
	for i := range publishers {
		p := w.peer(t, fmt.Sprintf("p%d", i))
		var batch []string
		for n := range each {
			batch = append(batch, fmt.Sprintf(`{"type":"publish","channel":"room","data":%d}`, n))
		}
		p.send(batch...)
	}
	for _, r := range readers {
		next := map[string]int64{}
		for range publishers * each {
			f := r.recv("message")
			from := f.text("from")
			if f.number("data") != next[from] {
				t.Fatalf("from %s: got message %s, want %d", from, f["data"], next[from])
			}
			next[from]++
		}
		r.fence()
	}
}
