package auth

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// secretWord stands in faulty files where a secret could: no error may show it.
const secretWord = "sk_secret_hush_hush_hush_hush_hush_hush_hush"

// appWith is a file with one app that has this line more.
func appWith(line string) string {
	return "apps:\n  - id: app_x\n    " + line + "\n"
}

// keyLine is a file with one key, in braces.
func keyLine(key string) string {
	return "apps:\n  - id: app_x\n    keys:\n      - {" + key + "}\n"
}

func parseFaults() []struct{ name, text, want string } {
	const rest = `, channelPatterns: ["**"], actions: [publish]`
	good := "id: sk_id_1, secret: " + secretWord
	return []struct{ name, text, want string }{
		{"empty", "", `1:1: the file is empty: it must hold "apps", a list`},
		{"comments only", "# nothing\n", `1:1: the file is empty: it must hold "apps", a list`},
		{"not UTF-8", "apps: [\xff]", "1:1: the file is not UTF-8"},
		{"a scalar", secretWord, "1:1: the file must be a mapping with the fields apps"},
		{"a list", "- " + secretWord, "1:1: the file must be a mapping with the fields apps"},
		{"another root field", "apps: []\nkeys: []\n", "2:1: unknown field; the file has apps"},
		{"no apps", "{}", "1:1: the file lacks the field apps"},
		{"apps null", "apps:\n", "1:7: apps is empty; write [] for an empty list"},
		{"apps a mapping", "apps: {id: x}", "1:7: apps must be a list"},
		{"two documents", "apps: []\n---\napps: []\n", "3:1: a second document; apps are listed in one"},
		{"syntax", "apps: [\n", "1:7: not valid YAML: sequence end token ']' not found"},
		{"syntax, tab", "apps:\n\t- id: x\n", "2:1: not valid YAML"},
		{"syntax, a secret as escape", "apps: \"\\" + secretWord + "\"", "1:9: not valid YAML: found unknown escape"},
		{"field twice", "apps: []\napps: []\n", "2:1: this field is given twice"},
		{"secret field twice", "apps:\n  - " + secretWord + ": 1\n    " + secretWord + ": 2\n", "3:5: this field is given twice"},
		{"nested deep", "apps: " + strings.Repeat("[", 40), "1:39: collections nested too deep"},
		{"entries deep", strings.Repeat("- ", 40) + "x", "1:65: collections nested too deep"},
		{"anchor", "apps: &a []\n", "1:7: apps must be a list"},
		{"tag", "apps: !!seq []\n", "1:7: apps must be a list"},

		{"app a string", "apps: [" + secretWord + "]", "1:8: an app must be a mapping with the fields id, suspended, plan, turn, webhooks, keys"},
		{"app without id", "apps:\n  - suspended: true\n", "2:5: an app lacks the field id"},
		{"app id a number", "apps:\n  - id: 17\n", "2:9: id must be a string; quote it if it is one"},
		{"app id null", "apps:\n  - id:\n", "2:9: id is empty"},
		{"app id with a space", "apps:\n  - id: a b\n", "2:9: an app's id is 1–128 printable ASCII characters without a space"},
		{"app id twice", "apps:\n  - id: app_x\n  - id: app_x\n", "3:9: this id is used already, at line 2"},
		{"unknown app field", appWith(secretWord + ": 1"), "3:5: unknown field; an app has id, suspended, plan, turn, webhooks, keys"},
		{"field in another case", appWith("Suspended: true"), "3:5: unknown field; an app has id, suspended, plan, turn, webhooks, keys"},
		{"number as field", appWith("7: true"), "3:5: unknown field; an app has id, suspended, plan, turn, webhooks, keys"},
		{"suspended a word", appWith("suspended: yes"), "3:16: suspended must be true or false"},
		{"suspended null", appWith("suspended:"), "3:16: suspended must be true or false"},
		{"keys null", appWith("keys:"), "3:11: keys is empty; write [] for an empty list"},
		{"merge key", appWith("<<: {suspended: true}"), "3:5: unknown field; an app has id, suspended, plan, turn, webhooks, keys"},

		{"plan a string", appWith("plan: " + secretWord), "3:11: a plan must be a mapping with the fields name, maxConcurrentConnections, maxMessagesPerPeriod, overagesAllowed, overagesEnabled"},
		{"unknown plan field", appWith("plan: {nam: x}"), "3:12: unknown field; a plan has name, maxConcurrentConnections, maxMessagesPerPeriod, overagesAllowed, overagesEnabled"},
		{"plan name empty", appWith(`plan: {name: ""}`), "3:18: a plan's name is 1–128 bytes long"},
		{"limit negative", appWith("plan: {maxMessagesPerPeriod: -1}"), "3:34: maxMessagesPerPeriod must be a whole number, 0 or more"},
		{"limit a fraction", appWith("plan: {maxMessagesPerPeriod: 1.5}"), "3:34: maxMessagesPerPeriod must be a whole number, 0 or more"},
		{"limit a string", appWith(`plan: {maxMessagesPerPeriod: "1"}`), "3:34: maxMessagesPerPeriod must be a whole number, 0 or more"},
		{"limit octal", appWith("plan: {maxMessagesPerPeriod: 010}"), "3:34: maxMessagesPerPeriod must be a whole number, 0 or more"},
		{"limit hexadecimal", appWith("plan: {maxMessagesPerPeriod: 0x10}"), "3:34: maxMessagesPerPeriod must be a whole number, 0 or more"},
		{"limit beyond int64", appWith("plan: {maxMessagesPerPeriod: 9223372036854775808}"), "3:34: maxMessagesPerPeriod must be a whole number, 0 or more"},

		{"turn without urls", appWith("turn: {secret: " + secretWord + "}"), "3:11: turn lacks the field urls"},
		{"turn without secret", appWith(`turn: {urls: ["turn:x"]}`), "3:11: turn lacks the field secret"},
		{"turn without a URL", appWith("turn: {urls: [], secret: " + secretWord + "}"), "3:18: urls lists 1–16 URLs"},
		{"turn with a web URL", appWith(`turn: {urls: ["turn:a", "https://` + secretWord + `"], secret: x}`), "3:29: a TURN URL begins with turn:, turns:, stun: or stuns: and is at most 512 bytes long"},
		{"turn secret empty", appWith(`turn: {urls: ["turn:x"], secret: ""}`), "3:38: the TURN secret is empty"},
		{"turn ttl zero", appWith(`turn: {urls: ["turn:x"], secret: x, ttl: 0}`), "3:46: ttl is 1–31536000 seconds"},

		{"webhooks a mapping", appWith("webhooks: {url: x}"), "3:15: webhooks must be a list"},
		{"webhook a string", appWith("webhooks: [" + secretWord + "]"), "3:16: a webhook must be a mapping with the fields url, secret, events, channelPatterns"},
		{"webhook without url", appWith("webhooks: [{secret: " + secretWord + "}]"), "3:16: a webhook lacks the field url"},
		{"webhook without secret", appWith(`webhooks: [{url: "http://a/"}]`), "3:16: a webhook lacks the field secret"},
		{"unknown webhook field", appWith(webhookLine("http://a/", secretWord, "event: []")), "3:91: unknown field; a webhook has url, secret, events, channelPatterns"},
		{"webhook url of another scheme", appWith(webhookLine("ftp://"+secretWord, secretWord, "")), webhookURLFault},
		{"webhook url without host", appWith(webhookLine("http:///"+secretWord, secretWord, "")), webhookURLFault},
		{"webhook url with a user", appWith(webhookLine("http://u:"+secretWord+"@a/", secretWord, "")), webhookURLFault},
		{"webhook url with a fragment", appWith(webhookLine("http://a/#"+secretWord, secretWord, "")), webhookURLFault},
		{"webhook url that is none", appWith(webhookLine("http://a:"+secretWord, secretWord, "")), webhookURLFault},
		{"webhook url too long", appWith(webhookLine("http://a/"+strings.Repeat("a", 2048), secretWord, "")), webhookURLFault},
		{"webhook secret short", appWith(webhookLine("http://a/", "hush_hush_hush_hush_hush_hush_h", "")), "3:43: a webhook's secret is at least 32 printable ASCII characters, without a space"},
		{"webhook secret with a space", appWith(webhookLine("http://a/", "hush hush hush hush hush hush hush", "")), "3:43: a webhook's secret is at least 32 printable ASCII characters, without a space"},
		{"unknown event", appWith(webhookLine("http://a/", secretWord, "events: [peer.online, "+secretWord+"]")), "3:113: unknown event; there are channel.occupied, channel.vacated, peer.online, peer.offline, channel.joined, channel.left"},
		{"webhook events null", appWith(webhookLine("http://a/", secretWord, "events:")), "3:98: events is empty; write [] for an empty list"},
		{"webhook pattern empty", appWith(webhookLine("http://a/", secretWord, `channelPatterns: [""]`)), "3:109: a channel pattern is 1–256 bytes long, without control characters"},
		{"too many webhooks", appWith("webhooks: [" + strings.Repeat("{url: http://a/, secret: "+secretWord+"}, ", 9) + "]"), "3:15: an app has at most 8 webhooks"},

		{"key a string", appWith("keys: [" + secretWord + "]"), "3:12: a key must be a mapping with the fields id, secret, channelPatterns, actions, allowedOrigins, injectTurn, revoked"},
		{"key without id", keyLine("secret: " + secretWord + rest), "4:9: a key lacks the field id"},
		{"key id of another kind", keyLine("id: key_1" + rest), "4:14: a key's id begins with sk_id_ (secret) or pk_live_ (publishable) and is at most 128 printable ASCII characters, without a space or colon"},
		{"key id but the prefix", keyLine("id: sk_id_" + rest), "4:14: a key's id begins with sk_id_ (secret) or pk_live_ (publishable) and is at most 128 printable ASCII characters, without a space or colon"},
		{"key id with a colon", keyLine("id: sk_id_a:b" + rest), "4:14: a key's id begins with sk_id_ (secret) or pk_live_ (publishable) and is at most 128 printable ASCII characters, without a space or colon"},
		{"a secret as id", keyLine("id: " + secretWord + rest), "4:14: a key's id begins with sk_id_ (secret) or pk_live_ (publishable) and is at most 128 printable ASCII characters, without a space or colon"},
		{"key id twice", keyLine(good+rest) + "      - {" + good + rest + "}\n", "5:14: this id is used already, at line 4"},
		{"key id in another app", keyLine(good+rest) + "  - id: app_y\n    keys: [{" + good + rest + "}]\n", "6:17: this id is used already, at line 4"},
		{"no secret", keyLine("id: sk_id_1" + rest), "4:9: a key lacks the field secret"},
		{"secret of another prefix", keyLine("id: sk_id_1, secret: secret_" + secretWord + rest), "4:31: a secret begins with sk_secret_ and is printable ASCII without a space"},
		{"secret short", keyLine("id: sk_id_1, secret: sk_secret_hush_hush_hush_hush_h" + rest), "4:31: a secret shorter than 32 characters can be guessed from one token"},
		{"secret a number", keyLine("id: sk_id_1, secret: 123456789012345678901234567890123456" + rest), "4:31: a secret begins with sk_secret_ and is printable ASCII without a space"},
		{"secret a list", keyLine("id: sk_id_1, secret: [" + secretWord + "]" + rest), "4:31: secret must be a string; quote it if it is one"},
		{"secret misspelt", keyLine("id: sk_id_1, secrt: " + secretWord + rest), "4:23: unknown field; a key has id, secret, channelPatterns, actions, allowedOrigins, injectTurn, revoked"},
		{"secret of a pk", keyLine("id: pk_live_1, secret: " + secretWord + rest), "4:33: a publishable key has no secret"},
		{"no patterns", keyLine(good + ", actions: [publish]"), "4:9: a key lacks the field channelPatterns"},
		{"pattern a string", keyLine(good + `, channelPatterns: "**", actions: [publish]`), "4:94: channelPatterns must be a list"},
		{"pattern unquoted", keyLine(good + `, channelPatterns: ["a", 7], actions: [publish]`), "4:100: every entry of channelPatterns must be a string; quote it if it is one"},
		{"pattern empty", keyLine(good + `, channelPatterns: [""], actions: [publish]`), "4:95: a channel pattern is 1–256 bytes long, without control characters"},
		{"pattern too long", keyLine(good + `, channelPatterns: ["a", "` + strings.Repeat("*", 257) + `"], actions: [publish]`), "4:100: a channel pattern is 1–256 bytes long, without control characters"},
		{"pattern with a control character", keyLine(good + `, channelPatterns: ["a\u0001"], actions: [publish]`), "4:95: a channel pattern is 1–256 bytes long, without control characters"},
		{"patterns too many", keyLine(good + `, channelPatterns: [` + strings.Repeat(`"a",`, 101) + `], actions: [publish]`), "4:94: a key has at most 100 channelPatterns"},
		{"no actions", keyLine(good + `, channelPatterns: ["**"]`), "4:9: a key lacks the field actions"},
		{"unknown action", keyLine(good + `, channelPatterns: ["**"], actions: [publish, ` + secretWord + `]`), "4:121: unknown action; there are publish, subscribe, presence, send"},
		{"origins of an sk", keyLine(good + rest + `, allowedOrigins: []`), "4:138: allowedOrigins belongs to a publishable key"},
		{"origins null", keyLine("id: pk_live_1" + rest + `, allowedOrigins: null`), "4:86: allowedOrigins is empty; write [] for an empty list"},
		{"origin with a path", keyLine("id: pk_live_1" + rest + `, allowedOrigins: ["https://a/"]`), "4:87: an origin is scheme://host or scheme://host:port as browsers send it: lower case, no path, no wildcard"},
		{"origin without scheme", keyLine("id: pk_live_1" + rest + `, allowedOrigins: ["a.example"]`), "4:87: an origin is scheme://host or scheme://host:port as browsers send it: lower case, no path, no wildcard"},
		{"origin with a wildcard", keyLine("id: pk_live_1" + rest + `, allowedOrigins: ["https://*.example"]`), "4:87: an origin is scheme://host or scheme://host:port as browsers send it: lower case, no path, no wildcard"},
		{"origin in upper case", keyLine("id: pk_live_1" + rest + `, allowedOrigins: ["https://App.example"]`), "4:87: an origin is scheme://host or scheme://host:port as browsers send it: lower case, no path, no wildcard"},
		{"revoked a number", keyLine(good + rest + ", revoked: 1"), "4:131: revoked must be true or false"},
		{"too many keys", appWith("keys:" + manyKeys(51)), "4:7: an app has at most 50 keys"},
	}
}

const webhookURLFault = "3:22: a webhook's url is http:// or https:// with a host, without user or fragment, and at most 2048 bytes long"

// webhookLine is a webhook as the line of an app; more are further fields.
func webhookLine(url, secret, more string) string {
	return fmt.Sprintf("webhooks: [{url: %q, secret: %q, %s}]", url, secret, more)
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "\n      - {id: pk_live_%d, channelPatterns: [], actions: []}", i)
	}
	return b.String()
}

func TestParseFaults(t *testing.T) {
	for _, c := range parseFaults() {
		t.Run(c.name, func(t *testing.T) {
			set, err := Parse("apps.yaml", []byte(c.text))
			var fault *FileError
			if !errors.As(err, &fault) || set != nil {
				t.Fatalf("got %v, %v, want a FileError", set, err)
			}
			if got, want := err.Error(), "apps.yaml:"+c.want; got != want && !strings.HasPrefix(got, want+":") {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestParse(t *testing.T) {
	set := testSet(t)
	if got := len(set.Apps()); got != 2 {
		t.Fatalf("got %d apps, want 2", got)
	}
	app := set.App("app_one")
	wantPlan := Plan{Name: "PRO", MaxConcurrentConnections: 10, MaxMessagesPerPeriod: 20, OveragesAllowed: true}
	wantTurn := &Turn{URLs: []string{"turn:turn.example:3478", "turns:turn.example:5349"}, Secret: "north", TTL: 600}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"plan", app.Plan, wantPlan},
		{"turn", app.Turn, wantTurn},
		{"no plan", set.App("app_two").Plan, Plan{Name: "SELF_HOSTED"}},
		{"no turn", set.App("app_two").Turn, (*Turn)(nil)},
		{"suspended", set.App("app_two").Suspended, true},
		{"not suspended", app.Suspended, false},
		{"unknown app", set.App("app_three"), (*App)(nil)},
		{"unknown key", set.Key("sk_id_none"), (*Key)(nil)},
		{"key's app", set.Key(skID).App, app},
		{"secret key", set.Key(skID).Secret(), true},
		{"publishable key", set.Key(pkID).Secret(), false},
		{"turn injection", set.Key(skID).InjectTurn, true},
		{"no turn injection", set.Key(narrowID).InjectTurn, false},
		{"revoked", set.Key(revokedID).Revoked, true},
		{"not revoked", set.Key(skID).Revoked, false},
		{"origins", set.Key(boundID).AllowedOrigins, []string{"https://app.example", "http://localhost:3000"}},
		{"no origins", set.Key(pkID).AllowedOrigins, []string(nil)},
		{"patterns", set.Key(narrowID).Grant().Patterns(), []string{"room-*", "devices/*/events"}},
		{"actions", set.Key(narrowID).Actions, Subscribe | Presence},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	for _, c := range []struct {
		name, text string
		apps, keys int
	}{
		{"no apps", "apps: []", 0, 0},
		{"byte order mark", "\xef\xbb\xbfapps:\n  - id: a\n", 1, 0},
		{"line ends of Windows", strings.ReplaceAll(testFile, "\n", "\r\n"), 2, 10},
		{"document markers", "---\napps: []\n...\n", 0, 0},
		{"JSON", `{"apps":[{"id":"a","keys":[{"id":"pk_live_1","channelPatterns":["a"],"actions":[]}]}]}`, 1, 1},
		{"block style", "apps:\n- id: a\n  keys:\n  - id: pk_live_1\n    channelPatterns:\n    - a\n    actions:\n    - send\n", 1, 1},
		{"quoted number as id", "apps: [{id: '17'}]", 1, 0},
		{"fifty keys", appWith("keys:" + manyKeys(50)), 1, 50},
		{"comments everywhere", "# a\napps: # b\n  # c\n  - id: a # d\n    # e\n    keys: # f\n      # g\n      - {id: pk_live_1, channelPatterns: [], actions: []} # h\n# i\n", 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := Parse("apps.yaml", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if len(set.Apps()) != c.apps || len(set.keysByID) != c.keys {
				t.Errorf("got %d apps and %d keys, want %d and %d", len(set.Apps()), len(set.keysByID), c.apps, c.keys)
			}
		})
	}
}

func TestParseTooLarge(t *testing.T) {
	_, err := Parse("apps.yaml", make([]byte, MaxFileSize+1))
	if err == nil || !strings.Contains(err.Error(), "over 4194304 bytes") {
		t.Errorf("got %v", err)
	}
}
