package auth

import (
	"strings"
	"testing"
)

func TestWebhooks(t *testing.T) {
	set, err := Parse("apps.yaml", []byte(`apps:
  - id: app_x
    webhooks:
      - {url: "https://backend.example:8443/hooks?a=b", secret: whsec_0123456789abcdef0123456789abcdef}
      - url: http://127.0.0.1/
        secret: whsec_0123456789abcdef0123456789abcdef
        events: [channel.vacated, peer.online, channel.left]
        channelPatterns: ["room-*", hall]
  - id: app_y
`))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(set.App("app_y").Webhooks); n != 0 {
		t.Errorf("got %d webhooks of an app without, want 0", n)
	}
	hooks := set.App("app_x").Webhooks
	if len(hooks) != 2 || hooks[0].URL != "https://backend.example:8443/hooks?a=b" || len(hooks[1].Secret) != 38 {
		t.Fatalf("got %d webhooks, the first to %s", len(hooks), hooks[0].URL)
	}
	for _, c := range []struct {
		name    string
		kind    Events
		channel string
		want    [2]bool
	}{
		{"occupied", ChannelOccupied, "room-1", [2]bool{true, false}},
		{"vacated", ChannelVacated, "room-1", [2]bool{true, true}},
		{"vacated, by name", ChannelVacated, "hall", [2]bool{true, true}},
		{"vacated, another", ChannelVacated, "halls/1", [2]bool{true, false}},
		{"joined", ChannelJoined, "room-1", [2]bool{true, false}},
		{"left", ChannelLeft, "room-1", [2]bool{true, true}},
		{"online", PeerOnline, "", [2]bool{true, true}},
		{"offline", PeerOffline, "", [2]bool{true, false}},
	} {
		for i, w := range hooks {
			if got := w.Wants(c.kind, c.channel); got != c.want[i] {
				t.Errorf("%s, webhook %d: got %v, want %v", c.name, i, got, c.want[i])
			}
		}
	}
}

// TestTemplateWebhook reads the webhook of the template's comment.
func TestTemplateWebhook(t *testing.T) {
	text, _, _, _ := Template("app_x")
	file := strings.Replace(string(text), "# webhooks:", "webhooks:", 1)
	file = strings.Replace(file, `hooks", secret: "…"`, `hooks", secret: "whsec_0123456789abcdef0123456789abcdef"`, 1)
	set, err := Parse("apps.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if hooks := set.App("app_x").Webhooks; len(hooks) != 1 || hooks[0].Events != ChannelOccupied|ChannelVacated {
		t.Errorf("got %+v", hooks)
	}
}
