package auth

import (
	"net/url"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"signalbox/protocol"
)

const (
	// MaxWebhooks is how many webhooks an app may have.
	MaxWebhooks = 8
	// MinWebhookSecretLen is the shortest secret a webhook may be signed with, in characters.
	MinWebhookSecretLen = 32
	// maxWebhookURLLen bounds a webhook's URL, in bytes.
	maxWebhookURLLen = 2048
)

// Events is a set of kinds of events that a webhook may be told.
type Events uint8

const (
	// ChannelOccupied: a channel without subscribers has one.
	ChannelOccupied Events = 1 << iota
	// ChannelVacated: a channel has lost its last subscriber.
	ChannelVacated
	// PeerOnline: a peer without sockets has one.
	PeerOnline
	// PeerOffline: a peer has lost its last socket.
	PeerOffline
	// ChannelJoined: a peer's first socket has joined a channel.
	ChannelJoined
	// ChannelLeft: a peer's last socket has left a channel.
	ChannelLeft

	// AllEvents is every kind there is.
	AllEvents = ChannelOccupied | ChannelVacated | PeerOnline | PeerOffline | ChannelJoined | ChannelLeft
)

// eventWords are the kinds in the order of their bits.
var eventWords = [...]string{
	"channel.occupied", "channel.vacated", "peer.online", "peer.offline", "channel.joined", "channel.left",
}

// Has reports whether all of kinds are in e.
func (e Events) Has(kinds Events) bool { return e&kinds == kinds }

// String lists the kinds as apps.yaml writes them.
func (e Events) String() string {
	var words []string
	for i, word := range eventWords {
		if e.Has(1 << i) {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}

// parseEvent returns the kind with this name.
func parseEvent(word string) (kind Events, known bool) {
	for i, w := range eventWords {
		if w == word {
			return 1 << i, true
		}
	}
	return 0, false
}

// Webhook is an address of the app's backend that is told of events. Immutable.
type Webhook struct {
	URL    string // http or https; its path may be a secret: never printed or logged
	Secret string // signs what is sent; never printed or logged
	Events Events
	// Patterns match the channels whose events are told; events of peers are told whatever it holds.
	Patterns []protocol.Glob
}

// Wants reports whether the webhook is told of this kind of event, in this channel if it is one of a channel.
func (w *Webhook) Wants(kind Events, channel string) bool {
	if !w.Events.Has(kind) {
		return false
	}
	if kind&(PeerOnline|PeerOffline) != 0 {
		return true
	}
	for i := range w.Patterns {
		if w.Patterns[i].Match(channel) {
			return true
		}
	}
	return false
}

func (d *fileReader) readWebhooks(v value) []*Webhook {
	var hooks []*Webhook
	for _, n := range v.list() {
		hooks = append(hooks, d.readWebhook(n))
	}
	if len(hooks) > MaxWebhooks {
		v.fail("an app has at most %d webhooks", MaxWebhooks)
	}
	return hooks
}

func (d *fileReader) readWebhook(n ast.Node) *Webhook {
	f := d.fields(n, "a webhook", "url", "secret", "events", "channelPatterns")
	address, secret := f.required("url"), f.required("secret")
	w := &Webhook{
		URL:      address.text(),
		Secret:   secret.text(),
		Events:   AllEvents,
		Patterns: []protocol.Glob{protocol.CompileGlob("**")},
	}
	if !validWebhookURL(w.URL) {
		address.fail("a webhook's url is http:// or https:// with a host, without user or fragment, and at most %d bytes long", maxWebhookURLLen)
	}
	if len(w.Secret) < MinWebhookSecretLen || !isGraphic(w.Secret) {
		secret.fail("a webhook's secret is at least %d printable ASCII characters, without a space", MinWebhookSecretLen)
	}
	if events := f.optional("events"); events.present() {
		w.Events = d.readEvents(events)
	}
	if patterns := f.optional("channelPatterns"); patterns.present() {
		w.Patterns = d.readPatterns(patterns)
	}
	return w
}

func (d *fileReader) readEvents(v value) (kinds Events) {
	for i, word := range v.texts() {
		kind, known := parseEvent(word)
		if !known {
			v.failAt(i, "unknown event; there are %s", AllEvents)
		}
		kinds |= kind
	}
	return kinds
}

func validWebhookURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && !strings.Contains(text, "#") && isGraphic(text) && len(text) <= maxWebhookURLLen
}
