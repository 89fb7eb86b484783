package protocol

import (
	"encoding/json"
	"strings"
	"testing"
)

// publish130 is a publish of 130 bytes, the size the inbound path is measured
// with.
const publish130 = `{"type":"publish","channel":"app_demo/room-1","requestId":"r-00001","data":{"text":"hello, world","n":12345,"ok":true,"to":"al"}}`

func BenchmarkScan(b *testing.B) {
	for _, bm := range []struct{ name, msg string }{
		{"publish130", publish130},
		{"ping", `{"type":"ping"}`},
		{"subscribe", `{"type":"subscribe","channel":"app_demo/room-1","requestId":"r-00001","includeSenderMetadata":true}`},
		{"escaped", `{"type":"publish","channel":"app_demo\/room-1","requestId":"r\u002d00001","data":"a\nb"}`},
		{"string64K", `{"type":"publish","channel":"c","data":"` + strings.Repeat("x", 64<<10) + `"}`},
		{"numbers64K", `{"type":"publish","channel":"c","data":[0` + strings.Repeat(",-12.5e3", 8<<10) + `]}`},
	} {
		b.Run(bm.name, func(b *testing.B) {
			msg := []byte(bm.msg)
			var s Scanner
			var env Envelope
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				if code := s.Scan(msg, &env); code != "" {
					b.Fatalf("Scan = %q, want it accepted", code)
				}
			}
		})
	}
}

// BenchmarkJSONValid is the yardstick for BenchmarkScan: the same message,
// checked by the standard library without finding any member.
func BenchmarkJSONValid(b *testing.B) {
	msg := []byte(publish130)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if !json.Valid(msg) {
			b.Fatal("not valid")
		}
	}
}

func BenchmarkGlobMatch(b *testing.B) {
	for _, bm := range []struct{ name, pattern, channel string }{
		{"literal", "app_demo/room-1", "app_demo/room-1"},
		{"deep", "app_demo/**", "app_demo/rooms/1234/chat"},
		{"star at the end", "app_demo/room-*", "app_demo/room-1234"},
		{"star in the middle", "devices/*/events", "devices/thermo-1234/events"},
		{"other prefix", "app_demo/room-*", "app_demo/hall-1234"},
		{"hostile", "**" + strings.Repeat("a*", 20) + "b", strings.Repeat("a", 256)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			g, name := CompileGlob(bm.pattern), []byte(bm.channel)
			b.ReportAllocs()
			for b.Loop() {
				g.MatchBytes(name)
			}
		})
	}
}

func BenchmarkGlobCovers(b *testing.B) {
	g, sub := CompileGlob("app_demo/**"), CompileGlob("app_demo/rooms/*/chat-**")
	b.ReportAllocs()
	for b.Loop() {
		if !g.Covers(sub) {
			b.Fatal("Covers = false, want true")
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	buf := make([]byte, 0, 1024)
	id, data, meta := []byte("r-00001"), []byte(`{"text":"hello, world","n":12345,"ok":true}`), []byte(`{"name":"Alice"}`)
	joined := []Peer{{"alice", meta}, {"bob", nil}}
	for _, bm := range []struct {
		name string
		run  func()
	}{
		{"ack", func() { buf = AppendAck(buf[:0], id) }},
		{"message", func() { buf = AppendMessage(buf[:0], "app_demo/room-1", "alice", nil, data) }},
		{"message with metadata", func() { buf = AppendMessage(buf[:0], "app_demo/room-1", "alice", meta, data) }},
		{"presence", func() { buf = AppendPresence(buf[:0], "app_demo/room-1", joined, nil) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bm.run()
			}
		})
	}
}
