package auth

import (
	"strings"
	"testing"
)

func BenchmarkVerifyToken(b *testing.B) {
	set := testSet(b)
	for _, c := range []struct{ name, token string }{
		{"plain", forge(header(skID), claimsWith(""), skSecret)},
		{"usual", forge(header(skID), claimsWith(`,"iat":1700000000,"channels":["room-1","user/alice/*"],"permissions":["publish","subscribe","presence","send"],"peerMetadata":{"name":"Alice"}`), skSecret)},
		{"largest", forge(header(skID), claimsWith(`,"metadata":`+objectOf(8192)+`,"peerMetadata":`+objectOf(4096)), skSecret)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := set.VerifyToken(c.token, testNow); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, c := range []struct{ name, token string }{
		{"wrong signature", forge(header(skID), claimsWith(""), narrowSecret)},
		{"unknown key", forge(header(strings.Repeat("f", len(skID))), claimsWith(""), narrowSecret)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := set.VerifyToken(c.token, testNow); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

// BenchmarkVerifyByLibrary is what a usual token would cost without its own way.
func BenchmarkVerifyByLibrary(b *testing.B) {
	set := testSet(b)
	token := forge(header(skID), usualClaims, skSecret)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.verifyByLibrary(token, testNow); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGrantChannel(b *testing.B) {
	g := newGrant(keyWith([]string{"**"}, AllActions), AllActions, []string{"room-1", "devices/*/events"})
	name := []byte("devices/17/events")
	b.ReportAllocs()
	for b.Loop() {
		if !g.ChannelBytes(name) {
			b.Fatal("not granted")
		}
	}
}
