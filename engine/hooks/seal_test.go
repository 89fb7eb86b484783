package hooks

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"signalbox/engine/auth"
)

// TestSignature is held against: printf %s "$TIMESTAMP.$BODY" | openssl dgst -sha256 -hmac "$SECRET"
func TestSignature(t *testing.T) {
	for _, c := range []struct {
		name, secret string
		timestamp    int64
		body, want   string
	}{
		{"golden", "whsec_0123456789abcdef0123456789abcdef", 1700000000, `{"id":"01HF","app":"app_demo","events":[]}`,
			"v1=a3072b2e7d2aab0b38c2256eb05cdb3050d67327b0e9dc644bea9a79e2d10140"},
		{"empty body", "whsec_0123456789abcdef0123456789abcdef", 0, "",
			"v1=8926cf8771761e84ece85f437a29a1850b7254a2c6ea1338e544e9d213ba3150"},
	} {
		if got := signature(c.secret, c.timestamp, []byte(c.body)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestIdentifiers(t *testing.T) {
	// The greatest and the least, and the example of the ULID specification's time part.
	for _, c := range []struct {
		name      string
		generator idGenerator
		now       int64
		want      string
	}{
		{"least", idGenerator{}, 0, "00000000000000000000000001"},
		{"time", idGenerator{high: 1469918176385 << 16}, 1469918176385, "01ARYZ6S410000000000000001"},
		{"carry", idGenerator{high: 7, low: ^uint64(0)}, 0, "00000000000040000000000000"},
		{"greatest", idGenerator{high: ^uint64(0), low: ^uint64(0) - 1}, 0, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"},
	} {
		if got := string(c.generator.append(nil, time.UnixMilli(c.now))); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	var g idGenerator
	var made []string
	now := time.UnixMilli(1700000000000)
	for i := range 1000 {
		if i%10 == 0 {
			now = now.Add(time.Millisecond * time.Duration(i%7-2)) // also backwards
		}
		made = append(made, string(g.append(nil, now)))
	}
	if !slices.IsSorted(made) || len(slices.Compact(slices.Clone(made))) != len(made) {
		t.Errorf("identifiers do not rise: %q", made)
	}
}

func TestBody(t *testing.T) {
	id := []byte("01HF0000000000000000000000")
	for _, c := range []struct {
		name    string
		event   event
		dropped int64
		want    string
	}{
		{"of a channel", event{kind: auth.ChannelOccupied, time: 12, channel: `a"b/ä`}, 0,
			`{"id":"ID","app":"app_one","events":[{"id":"01HF0000000000000000000000","type":"channel.occupied","time":12,"channel":"a\"b/ä"}]}`},
		{"of a peer", event{kind: auth.PeerOffline, time: 12, peer: `a\b`}, 0,
			`{"id":"ID","app":"app_one","events":[{"id":"01HF0000000000000000000000","type":"peer.offline","time":12,"peerId":"a\\b"}]}`},
		{"of both, after a gap", event{kind: auth.ChannelJoined, time: 12, channel: "c", peer: "p", meta: `{"n":1e999}`}, 3,
			`{"id":"ID","app":"app_one","dropped":3,"events":[{"id":"01HF0000000000000000000000","type":"channel.joined","time":12,"channel":"c","peerId":"p","metadata":{"n":1e999}}]}`},
	} {
		g := idGenerator{high: 7}
		got := g.seal("app_one", c.dropped, c.event.append(nil, id), time.UnixMilli(0))
		want := fmt.Sprintf(`{"id":"%s"`, "0000000000003G000000000001") + c.want[len(`{"id":"ID"`):]
		if string(got) != want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, want)
		}
	}
}

// TestTellAllocates nothing: it is called on the loops.
func TestTellAllocates(t *testing.T) {
	h, err := Open(Options{MaxSpool: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	idle := h.App("app_none")
	if got := testing.AllocsPerRun(1000, func() { idle.Joined("c", "p", "", 1); idle.Online("p") }); got != 0 {
		t.Errorf("without webhooks: got %v allocations, want 0", got)
	}
	if h.inbox.events != nil {
		t.Error("events are kept that nobody wants")
	}
	h.Set(parse(t, file(hookTo(testURL))))
	busy := h.App(testApp)
	for range 2000 {
		busy.Online("p")
	}
	h.inbox.recycle(h.inbox.take())
	if h.inbox.take(); cap(h.inbox.events) < 1100 {
		t.Fatal("the inbox kept no room")
	}
	if got := testing.AllocsPerRun(1000, func() { busy.Left("c", "p", 1) }); got != 0 {
		t.Errorf("with a webhook: got %v allocations, want 0", got)
	}
}

// BenchmarkTell is what a join costs its loop.
func BenchmarkTell(b *testing.B) {
	for name, text := range map[string]string{"no webhook": file(), "a webhook": file(hookTo(testURL))} {
		b.Run(name, func(b *testing.B) {
			h, err := Open(Options{MaxSpool: 1 << 20})
			if err != nil {
				b.Fatal(err)
			}
			h.Set(parse(b, text))
			app := h.App(testApp)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				if app.Joined("channel", "peer", "", 2); n%1000 == 999 {
					h.inbox.recycle(h.inbox.take())
				}
				n++
			}
		})
	}
}
