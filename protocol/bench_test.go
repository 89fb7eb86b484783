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
