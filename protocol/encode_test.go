package protocol

import (
	"encoding/json"
	"testing"
)

// serverFrames build the frames of testdata/server.txt, by name.
var serverFrames = map[string]func(dst []byte) []byte{
	"welcome": func(dst []byte) []byte {
		return AppendWelcome(dst, Welcome{
			PeerID: "alice", ExpiresAt: 1715539200, ServerTime: 1715535600,
			MaxMessageSize: 65536, Metadata: []byte(`{"role":"host"}`),
		})
	},
	"welcome without expiry and metadata": func(dst []byte) []byte {
		return AppendWelcome(dst, Welcome{PeerID: "3f0e…", ServerTime: 1715535600, MaxMessageSize: 65536})
	},
	"ack":                     func(dst []byte) []byte { return AppendAck(dst, []byte("r1")) },
	"ack with escapes":        func(dst []byte) []byte { return AppendAck(dst, []byte("a\"b\\c\n\x01é😀")) },
	"error":                   func(dst []byte) []byte { return AppendError(dst, []byte("r1"), ChannelNotAuthorized) },
	"error without requestId": func(dst []byte) []byte { return AppendError(dst, nil, MalformedMessage) },
	"message": func(dst []byte) []byte {
		return AppendMessage(dst, "app_demo/room-1", "alice", nil, []byte(`{"b":1e999,"b":"\u0041"}`))
	},
	"message with metadata": func(dst []byte) []byte {
		return AppendMessage(dst, `room "1"`, `al\ice`, []byte(`{"name":"Alice"}`), []byte("null"))
	},
	"direct": func(dst []byte) []byte {
		return AppendDirect(dst, "alice", []byte{}, []byte(`"hi"`))
	},
	"direct with metadata": func(dst []byte) []byte {
		return AppendDirect(dst, "alice", []byte("{}"), []byte("[]"))
	},
	"presence": func(dst []byte) []byte {
		return AppendPresence(dst, "room",
			[]Peer{{"bob", []byte(`{"n":1}`)}, {ID: `c"d`}},
			[]Peer{{"eve", []byte(`{"n":2}`)}, {ID: "mallory"}})
	},
	"presence of nobody": func(dst []byte) []byte { return AppendPresence(dst, "room", nil, nil) },
	"presence in parts": func(dst []byte) []byte {
		dst = AppendPresenceHead(dst, "größe")
		dst = AppendPeer(dst, Peer{"bob", []byte(`{"n":1}`)})
		dst = append(dst, ',')
		dst = AppendPeer(dst, Peer{ID: "carol"})
		return AppendPresenceTail(dst)
	},
	"pong":       AppendPong,
	"going away": func(dst []byte) []byte { return AppendGoingAway(dst, 1000) },
}

func TestServerFrames(t *testing.T) {
	vectors := readVectors(t, "server.txt")
	if got, want := len(vectors), len(serverFrames); got != want {
		t.Errorf("testdata has %d cases, want %d", got, want)
	}
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			build, ok := serverFrames[v.name]
			if !ok {
				t.Fatal("no frame of that name")
			}
			if got := string(build([]byte("before "))); got != "before "+v.out {
				t.Errorf("frame\n got %s\nwant before %s", got, v.out)
			}
			if !json.Valid([]byte(v.out)) {
				t.Errorf("frame is not JSON: %s", v.out)
			}
		})
	}
}

func TestPresenceSizes(t *testing.T) {
	for _, tt := range []struct {
		name, channel string
		peers         []Peer
	}{
		{"nobody", "room", nil},
		{"plain", "room", []Peer{{ID: "bob"}}},
		{"escapes", `r"oom\`, []Peer{{ID: `b"b`}, {`\`, []byte(`{"a":"b"}`)}}},
		{"not ASCII", "größe/😀", []Peer{{"a", []byte("{}")}, {ID: "b"}, {ID: "c"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := PresenceSize(tt.channel)
			for i, p := range tt.peers {
				got += PeerSize(p)
				if i > 0 {
					got++
				}
			}
			frame := AppendPresence(nil, tt.channel, tt.peers, nil)
			if want := len(frame); got != want {
				t.Errorf("sizes add up to %d, want %d: %s", got, want, frame)
			}
		})
	}
}

func TestEncodeDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 4096)
	id, data, meta := []byte("r-00001"), []byte(`{"text":"hi"}`), []byte(`{"name":"größe"}`)
	peers := []Peer{{"bob", meta}, {`"eve"`, nil}}
	for _, tt := range []struct {
		name string
		run  func()
	}{
		{"ack", func() { AppendAck(buf, id) }},
		{"error", func() { AppendError(buf, id, UnknownType) }},
		{"message", func() { AppendMessage(buf, "größe/\"1\"", "alice", meta, data) }},
		{"direct", func() { AppendDirect(buf, "alice", meta, data) }},
		{"presence", func() { AppendPresence(buf, "room", peers, peers) }},
		{"presence size", func() { PresenceSize(`"größe"`) }},
		{"peer size", func() { PeerSize(peers[1]) }},
		{"welcome", func() { AppendWelcome(buf, Welcome{PeerID: "alice", Metadata: meta}) }},
		{"going away", func() { AppendGoingAway(buf, 12345) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := testing.AllocsPerRun(100, tt.run); got != 0 {
				t.Errorf("allocations = %v, want 0", got)
			}
		})
	}
}
