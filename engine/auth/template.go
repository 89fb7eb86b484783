package auth

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"

	"signalbox/protocol"
)

// Lengths of generated credentials, in random bytes; each is two hexadecimal digits.
const (
	idBytes     = 16
	secretBytes = 24
)

// NewSecretKey returns a fresh secret key: its id and its secret.
func NewSecretKey() (id, secret string) {
	return secretIDPrefix + randomHex(idBytes), secretPrefix + randomHex(secretBytes)
}

// NewPublishableKey returns the id of a fresh publishable key.
func NewPublishableKey() string { return publishablePrefix + randomHex(idBytes) }

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// template is the file that Template fills in; APP and the like are replaced.
const template = `# The apps this server serves and their keys. Keep this file secret: it holds signing keys.
# The server reads it again when it changes, and on SIGHUP; a file with a fault changes nothing.
apps:
  - id: APP
    suspended: false  # true closes the app's connections (4012)
    # 0 means unlimited; messages are counted by calendar month (UTC).
    plan: {name: SELF_HOSTED, maxConcurrentConnections: 0, maxMessagesPerPeriod: 0, overagesAllowed: false, overagesEnabled: false}
    # Gives time-limited TURN credentials to peers of keys with injectTurn; secret is coturn's static-auth-secret.
    # turn: {urls: ["turn:turn.example:3478"], secret: "…", ttl: 3600}
    # Tells your backend who comes and goes, by POSTs signed with the secret (32 characters or more: openssl rand -hex 32).
    # Without events or channelPatterns it is told of all.
    # webhooks: [{url: "https://backend.example/hooks", secret: "…", events: [channel.occupied, channel.vacated], channelPatterns: ["**"]}]
    keys:
      # A secret key signs tokens and opens the REST API. It belongs on your servers, never in a browser.
      - {id: SKID, secret: SKSECRET, channelPatterns: ["**"], actions: [publish, subscribe, presence, send], injectTurn: true}
      # A publishable key may stand in web pages. allowedOrigins: ["https://app.example"] binds it to yours.
      # In channelPatterns, * matches within a level and ** over slashes.
      - {id: PKID, channelPatterns: ["room-*"], actions: [subscribe, presence, send]}
`

// Template returns the text of a commented apps file with one app and two fresh keys, and those keys. appID must
// be a ValidAppID.
func Template(appID string) (file []byte, skID, skSecret, pk string) {
	skID, skSecret = NewSecretKey()
	pk = NewPublishableKey()
	text := strings.NewReplacer("APP", yamlText(appID), "SKID", skID, "SKSECRET", skSecret, "PKID", pk).Replace(template)
	return []byte(text), skID, skSecret, pk
}

// KeySpec is what a key to create shall be.
type KeySpec struct {
	Publishable    bool
	Patterns       []string
	Actions        Actions
	AllowedOrigins []string // nil: any; publishable keys only
	InjectTurn     bool
}

// keyText is a key as lines of YAML, "name: value" each.
func (spec KeySpec) keyText(id, secret string) []string {
	lines := []string{"id: " + yamlText(id)}
	if secret != "" {
		lines = append(lines, "secret: "+yamlText(secret))
	}
	lines = append(lines,
		"channelPatterns: "+yamlList(quoteAll(spec.Patterns)),
		"actions: "+yamlList(spec.Actions.Words()))
	if spec.AllowedOrigins != nil {
		lines = append(lines, "allowedOrigins: "+yamlList(quoteAll(spec.AllowedOrigins)))
	}
	if spec.InjectTurn {
		lines = append(lines, "injectTurn: true")
	}
	return lines
}

func yamlList(items []string) string { return "[" + strings.Join(items, ", ") + "]" }

func quoteAll(texts []string) []string {
	quoted := make([]string, 0, len(texts))
	for _, text := range texts {
		quoted = append(quoted, quote(text))
	}
	return quoted
}

// yamlText writes text as a YAML string, plain where nothing but a string can be meant: an underscore in a word
// of letters keeps it from being a number, a truth value or null.
func yamlText(text string) string {
	isWord := func(r rune) bool {
		return r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	}
	plain := strings.Contains(text, "_") && !slices.ContainsFunc([]rune(text), func(r rune) bool { return !isWord(r) })
	if plain && (text[0] < '0' || text[0] > '9') {
		return text
	}
	return quote(text)
}

// quote writes text as a JSON string, which is a double-quoted YAML string too.
func quote(text string) string { return string(protocol.AppendString(nil, text)) }
