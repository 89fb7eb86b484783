package cluster

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"signalbox/protocol"
)

func TestChannelSubject(t *testing.T) {
	for _, tt := range []struct {
		name, app, channel, want string
	}{
		{"plain", "app_demo", "room-1", "signalbox.c.app_demo.room-1"},
		{"segments", "app", "a/b/c", "signalbox.c.app.a.b.c"},
		{"empty segments", "app", "/a//", "signalbox.c.app.=.a.=.="},
		{"dot", "a.b", "c.d", "signalbox.c.a=2Eb.c=2Ed"},
		{"wildcards of NATS", "*", ">", "signalbox.c.=2A.=3E"},
		{"the escape itself", "=", "=2E", "signalbox.c.=3D.=3D2E"},
		{"space and quotes", "app", `a "b"`, "signalbox.c.app.a=20=22b=22"},
		{"not ASCII", "app", "é", "signalbox.c.app.=C3=A9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(appendChannelSubject(nil, tt.app, tt.channel)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPatternSubject(t *testing.T) {
	for _, tt := range []struct{ name, pattern, want string }{
		{"star", "*", "signalbox.c.app.*"},
		{"part of a segment", "room-*/x", "signalbox.c.app.*.x"},
		{"inner star", "a/*/c", "signalbox.c.app.a.*.c"},
		{"deep", "a/**", "signalbox.c.app.a.>"},
		{"deep alone", "**", "signalbox.c.app.>"},
		{"deep ends it", "a/b**c/d", "signalbox.c.app.a.>"},
		{"three stars are deep", "***", "signalbox.c.app.>"},
		{"stars apart", "*a*/b", "signalbox.c.app.*.b"},
		{"escaped star", `a\*/*`, "signalbox.c.app.a=2A.*"},
		{"escaped stars are no run", `*\**`, "signalbox.c.app.*"},
		{"escaped backslash", `a\\*`, "signalbox.c.app.*"},
		{"backslash of its own", `a\b/*`, "signalbox.c.app.a=5Cb.*"},
		{"no wildcard", `a\*`, "signalbox.c.app.a=2A"},
		{"a name", "a/b", "signalbox.c.app.a.b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(appendPatternSubject(nil, "app", tt.pattern)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPeerSubject(t *testing.T) {
	got := string(appendPeerSubject(nil, "app", "a/b c"))
	if want := "signalbox.d.app.a=2Fb=20c"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// wellFormed reports whether a subject has so many tokens, none of which NATS
// would take for anything but itself.
func wellFormed(subject string) bool {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || strings.Trim(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=") != "" {
			return false
		}
	}
	return server.IsValidLiteralSubject(subject)
}

// FuzzSubject holds subjects against NATS' own matching: names cannot break out of
// their tokens, different names never share a subject, and a pattern's subject
// matches that of each channel the pattern matches.
func FuzzSubject(f *testing.F) {
	for _, seed := range [][3]string{
		{"app", "room-1", "*"}, {"a.b", "a/b/c", "a/*/c"}, {"*", ">", "**"}, {"app", "a//", "a/**"},
		{"app", `a\b`, `a\b*`}, {"app", `a*`, `a\**`}, {"a b", "é/=2A", "é/*"}, {"app", "a", "a**"}, {"", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, app, channel, pattern string) {
		subject := string(appendChannelSubject(nil, app, channel))
		if !wellFormed(subject) || !wellFormed(string(appendPeerSubject(nil, app, channel))) {
			t.Errorf("channel %q of app %q: %s", channel, app, subject)
		}
		if got, want := strings.Count(subject, "."), 3+strings.Count(channel, "/"); got != want {
			t.Errorf("channel %q: %d separators, want %d", channel, got, want)
		}
		if other := string(appendChannelSubject(nil, app, pattern)); (other == subject) != (pattern == channel) {
			t.Errorf("channels %q and %q: %s and %s", channel, pattern, subject, other)
		}
		filter := string(appendPatternSubject(nil, app, pattern))
		if !server.IsValidSubject(filter) || !strings.HasPrefix(filter, prefixChannel+string(appendToken(nil, app))+".") {
			t.Errorf("pattern %q of app %q: %s", pattern, app, filter)
		}
		matches := protocol.IsGlob(pattern) && protocol.CompileGlob(pattern).Match(channel)
		if matches && !server.SubjectMatchesFilter(subject, filter) {
			t.Errorf("pattern %q matches %q, but not %s %s", pattern, channel, filter, subject)
		}
	})
}

func BenchmarkChannelSubject(b *testing.B) {
	var space [256]byte
	b.ReportAllocs()
	for b.Loop() {
		_ = appendChannelSubject(space[:0], "app_demo", "tenant-17/room-123456/telemetry")
	}
}
