package auth

import (
	"errors"
	"strings"
	"testing"
)

// pkFields are the fields of the keys in layouts, but for the id.
const pkFields = `channelPatterns: ["a"], actions: [send]`

// layouts are files with the key pk_live_1 in the app "a", and what they become: with NEW where the key
// {id: pk_live_2, …} is added, and with pk_live_1 revoked.
var layouts = []struct{ name, text, added, revoked string }{
	{
		"flow keys in a block",
		"# top\napps:\n  - id: a # the app\n    keys:\n      # first\n      - {id: pk_live_1, " + pkFields + "} # one\n# end\n",
		"# top\napps:\n  - id: a # the app\n    keys:\n      # first\n      - {id: pk_live_1, " + pkFields + "} # one\n      - {NEW}\n# end\n",
		"# top\napps:\n  - id: a # the app\n    keys:\n      # first\n      - {id: pk_live_1, revoked: true, " + pkFields + "} # one\n# end\n",
	},
	{
		"block keys",
		"apps:\n- id: a\n  keys:\n  - channelPatterns: [a]\n    # its name\n    id: pk_live_1 # one\n    actions:\n    - send\n\n    # trailing\n\n- id: b\n",
		"apps:\n- id: a\n  keys:\n  - channelPatterns: [a]\n    # its name\n    id: pk_live_1 # one\n    actions:\n    - send\n\n    # trailing\n  - id: pk_live_2\n    channelPatterns: [\"a\"]\n    actions: [send]\n\n- id: b\n",
		"apps:\n- id: a\n  keys:\n  - channelPatterns: [a]\n    # its name\n    id: pk_live_1 # one\n    revoked: true\n    actions:\n    - send\n\n    # trailing\n\n- id: b\n",
	},
	{
		"flow list",
		"apps:\n  - id: a\n    keys: [{id: 'pk_live_1', " + pkFields + "}, ] # all\n",
		"apps:\n  - id: a\n    keys: [{id: 'pk_live_1', " + pkFields + "}, {NEW}, ] # all\n",
		"apps:\n  - id: a\n    keys: [{id: 'pk_live_1', revoked: true, " + pkFields + "}, ] # all\n",
	},
	{
		"all flow, over lines",
		"{\"apps\": [ # é\n  {\"keys\": [\n    {\"actions\": [], \"id\": \"pk_live_1\" , # é\n     \"channelPatterns\": []}\n  ], \"id\": \"a\"}\n]}\n",
		"{\"apps\": [ # é\n  {\"keys\": [\n    {\"actions\": [], \"id\": \"pk_live_1\" , # é\n     \"channelPatterns\": []}, {NEW}\n  ], \"id\": \"a\"}\n]}\n",
		"{\"apps\": [ # é\n  {\"keys\": [\n    {\"actions\": [], \"id\": \"pk_live_1\", revoked: true , # é\n     \"channelPatterns\": []}\n  ], \"id\": \"a\"}\n]}\n",
	},
	{
		"revoked: false, no end of line",
		"apps:\n  - keys:\n      - revoked: false # not yet\n        id: pk_live_1\n        channelPatterns: []\n        actions: []\n    id: a",
		"apps:\n  - keys:\n      - revoked: false # not yet\n        id: pk_live_1\n        channelPatterns: []\n        actions: []\n      - id: pk_live_2\n        channelPatterns: [\"a\"]\n        actions: [send]\n    id: a",
		"apps:\n  - keys:\n      - revoked: true # not yet\n        id: pk_live_1\n        channelPatterns: []\n        actions: []\n    id: a",
	},
	{
		"last line without an end",
		"apps:\n  - id: a\n    keys:\n      - {actions: [], channelPatterns: [], revoked: False, id: pk_live_1}",
		"apps:\n  - id: a\n    keys:\n      - {actions: [], channelPatterns: [], revoked: False, id: pk_live_1}\n      - {NEW}\n",
		"apps:\n  - id: a\n    keys:\n      - {actions: [], channelPatterns: [], revoked: true, id: pk_live_1}",
	},
	{
		"line ends of Windows, byte order mark",
		"\xef\xbb\xbfapps:\r\n  - id: a\r\n    keys:\r\n      - id: pk_live_1\r\n        channelPatterns: []\r\n        actions: []\r\n\r\n# end\r\n",
		"\xef\xbb\xbfapps:\r\n  - id: a\r\n    keys:\r\n      - id: pk_live_1\r\n        channelPatterns: []\r\n        actions: []\r\n      - id: pk_live_2\r\n        channelPatterns: [\"a\"]\r\n        actions: [send]\r\n\r\n# end\r\n",
		"\xef\xbb\xbfapps:\r\n  - id: a\r\n    keys:\r\n      - id: pk_live_1\r\n        revoked: true\r\n        channelPatterns: []\r\n        actions: []\r\n\r\n# end\r\n",
	},
	{
		"characters before the key on its line",
		"apps:\n  - {plan: {name: \"é☃😀\"}, id: a, keys: [{actions: [], channelPatterns: [\"é☃😀\"], id: pk_live_1}]}\n",
		"apps:\n  - {plan: {name: \"é☃😀\"}, id: a, keys: [{actions: [], channelPatterns: [\"é☃😀\"], id: pk_live_1}, {NEW}]}\n",
		"apps:\n  - {plan: {name: \"é☃😀\"}, id: a, keys: [{actions: [], channelPatterns: [\"é☃😀\"], id: pk_live_1, revoked: true}]}\n",
	},
}

// newFields are the lines of the key that the tests add.
func newFields() []string {
	return KeySpec{Publishable: true, Patterns: []string{"a"}, Actions: Send}.keyText("pk_live_2", "")
}

func TestAddKey(t *testing.T) {
	for _, c := range layouts {
		t.Run(c.name, func(t *testing.T) {
			got, err := addKey("apps.yaml", []byte(c.text), "a", newFields(), "pk_live_2")
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(c.added, "NEW", strings.Join(newFields(), ", ")); string(got) != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func TestRevokeKeyText(t *testing.T) {
	for _, c := range layouts {
		t.Run(c.name, func(t *testing.T) {
			got, err := revokeKey("apps.yaml", []byte(c.text), "pk_live_1")
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.revoked {
				t.Errorf("got  %q\nwant %q", got, c.revoked)
			}
			again, err := revokeKey("apps.yaml", got, "pk_live_1")
			if err != nil || string(again) != c.revoked {
				t.Errorf("again: got %q, %v, want no change", again, err)
			}
		})
	}
}

func TestAddFirstKey(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no keys field", "apps:\n  - id: a # x\n    suspended: true\n", "apps:\n  - id: a # x\n    keys:\n      - {NEW}\n    suspended: true\n"},
		{"no keys field, flow", "apps: [{id: \"a\" , suspended: true}]", "apps: [{id: \"a\", keys: [{NEW}] , suspended: true}]"},
		{"empty list", "apps:\n  - id: a\n    keys: [ ] # none\n", "apps:\n  - id: a\n    keys: [{NEW} ] # none\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := addKey("apps.yaml", []byte(c.text), "", newFields(), "pk_live_2")
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(c.want, "NEW", strings.Join(newFields(), ", ")); string(got) != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// TestEditedTemplate edits the file that init writes, as people will.
func TestEditedTemplate(t *testing.T) {
	text, skID, _, pk := Template("app_demo")
	spec := KeySpec{Patterns: []string{`a"\*`, "zoë/**"}, Actions: Publish | Presence, InjectTurn: true}
	id, secret := NewSecretKey()
	added, err := addKey("apps.yaml", text, "app_demo", spec.keyText(id, secret), id)
	if err != nil {
		t.Fatal(err)
	}
	revoked, err := revokeKey("apps.yaml", added, skID)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Parse("apps.yaml", revoked)
	if err != nil {
		t.Fatal(err)
	}
	k := set.Key(id)
	if k == nil || strings.Join(k.Grant().Patterns(), " ") != `a"\* zoë/**` || k.Actions != spec.Actions || !k.InjectTurn {
		t.Errorf("got key %+v", k)
	}
	if !set.Key(skID).Revoked || set.Key(pk).Revoked || k.Revoked {
		t.Error("the wrong key is revoked")
	}
	if strings.Count(string(revoked), "#") != strings.Count(string(text), "#") {
		t.Error("a comment got lost")
	}
	if _, err := set.VerifyBearer("Bearer " + id + ":" + secret); err != nil {
		t.Errorf("the new key's secret: %v", err)
	}
}

func TestEditErrors(t *testing.T) {
	valid := layouts[0].text
	full := appWith("keys:" + manyKeys(50))
	for _, c := range []struct {
		name string
		edit func() error
		want error // nil: any
	}{
		{"key in no app", func() error { return second(addKey("f", []byte(valid), "b", newFields(), "pk_live_2")) }, ErrUnknownApp},
		{"no app named, several there", func() error { return second(addKey("f", []byte(testFile), "", newFields(), "pk_live_2")) }, ErrUnknownApp},
		{"key that exists", func() error {
			return second(addKey("f", []byte(valid), "a", KeySpec{}.keyText("pk_live_1", ""), "pk_live_1"))
		}, nil},
		{"key with a bad pattern", func() error {
			return second(addKey("f", []byte(valid), "a", KeySpec{Patterns: []string{""}}.keyText("pk_live_2", ""), "pk_live_2"))
		}, nil},
		{"a key too many", func() error { return second(addKey("f", []byte(full), "", newFields(), "pk_live_new")) }, nil},
		{"revoke a stranger", func() error { return second(revokeKey("f", []byte(valid), "pk_live_9")) }, ErrUnknownKey},
		{"add to a faulty file", func() error { return second(addKey("f", []byte("apps: 1"), "a", newFields(), "pk_live_2")) }, nil},
		{"revoke in a faulty file", func() error { return second(revokeKey("f", []byte("apps: 1"), "pk_live_1")) }, nil},
		{"an id over two lines", func() error {
			text := "apps:\n  - id: a\n    keys:\n      - {id: \"pk_live\\\n          _1\", " + pkFields + "}\n"
			return second(revokeKey("f", []byte(text), "pk_live_1"))
		}, errLayout},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.edit(); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// TestSameApart: an edit is refused if anything but its key has become another.
func TestSameApart(t *testing.T) {
	const (
		turn    = `turn: {urls: ["turn:a.example"], secret: s, ttl: 60}`
		webhook = `webhooks: [{url: "https://a.example", secret: "0123456789abcdef0123456789abcdef", events: [peer.online], channelPatterns: [a]}]`
		key     = `{id: pk_live_1, ` + pkFields + `}`
	)
	file := func(plan, turn, webhook, key string) string {
		return "apps: [{id: a, plan: {name: " + plan + "}, " + turn + ", " + webhook + ", keys: [" + key + "]}]"
	}
	whole := file("p", turn, webhook, key)
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"nothing", whole, true},
		{"the key", file("p", turn, webhook, strings.Replace(key, "send", "publish", 1)), true},
		{"another key", file("p", turn, webhook, key+", {id: pk_live_2, "+pkFields+"}"), false},
		{"plan", file("q", turn, webhook, key), false},
		{"turn", file("p", strings.Replace(turn, "60", "61", 1), webhook, key), false},
		{"webhook's url", file("p", turn, strings.Replace(webhook, "a.ex", "b.ex", 1), key), false},
		{"webhook's secret", file("p", turn, strings.Replace(webhook, "0123", "3210", 1), key), false},
		{"webhook's events", file("p", turn, strings.Replace(webhook, "online", "offline", 1), key), false},
		{"webhook's patterns", file("p", turn, strings.Replace(webhook, "[a]", "[b]", 1), key), false},
		{"webhook gone", file("p", turn, "webhooks: []", key), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, err := Parse("apps.yaml", []byte(whole))
			if err != nil {
				t.Fatal(err)
			}
			after, err := Parse("apps.yaml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := sameApart(before, after, "pk_live_1"); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
