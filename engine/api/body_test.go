package api

import (
	"bytes"
	stdjson "encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

var bodySeeds = []string{
	``, ` `, `null`, `[]`, `1`, `"x"`, `{}`, ` { } `, `{"a":1}x`, `{"a":1,}`, `{"a"}`, `{a:1}`, `{'a':1}`,
	`{"data":null}`, `{"data" : null , "x":[null, 1]}`, `{"channels":[null]}`, `{"channels":["a", "b"]}`,
	`{"data":1,"data":2}`, `{"data":1,"Data":2,"DATA":3}`, `{"\u0064ata":1}`, `{"d\u0061ta":1,"data":2}`,
	`{"data":1e999}`, `{"data":01}`, `{"data":-}`, `{"data":"\ud800"}`, `{"\ud800":1,"\ufffd":2}`, `{"data":"\u00zz"}`,
	`{"data":tru}`, `{"data":{"b":1, "a" : [ 1.0,2 ],"b":3}}`, "{\"data\":\"\x01\"}", "{\"data\":\"\xff\"}", "\xef\xbb\xbf{}",
	`{"from":"alice","peerMetadata":{"n":1e999}}`, `{"":1}`, `{"a\/b":1}`, `{"expiresInSec":3600.0}`, "{\"a\":1}\x00", `{"a":"😀"}`,
}

// FuzzDecodeBody holds decodeBody against encoding/json, whose maps keep names
// exactly and the last of equal ones.
func FuzzDecodeBody(f *testing.F) {
	for _, s := range bodySeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want map[string]stdjson.RawMessage
		valid := utf8.Valid(body) && stdjson.Unmarshal(body, &want) == nil && want != nil
		before := bytes.Clone(body)
		got, err := decodeBody(body)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was changed")
		}
		if (err == nil) != valid {
			t.Fatalf("decodeBody = %v, want valid %v", err, valid)
		}
		if len(got) != len(want) {
			t.Fatalf("members = %q, want %q", got, want)
		}
		for name, raw := range want {
			if !bytes.Equal(got[name], raw) {
				t.Fatalf("member %q = %q, want %q", name, got[name], raw)
			}
			compareMember(t, got, name, raw)
		}
	})
}

// compareMember holds the typed accessors against encoding/json.
func compareMember(t *testing.T, m members, name string, raw []byte) {
	t.Helper()
	var s *string
	isText := stdjson.Unmarshal(raw, &s) == nil && s != nil
	if got, ok := m.text(name, ""); ok != isText || ok && got != *s {
		t.Fatalf("text(%s) = %q, %v", raw, got, ok)
	}
	var list []*string
	isList := stdjson.Unmarshal(raw, &list) == nil && list != nil
	for _, item := range list {
		isList = isList && item != nil
	}
	got, ok := m.texts(name, len(raw))
	if ok != isList {
		t.Fatalf("texts(%s) = %q, %v", raw, got, ok)
	}
	for i := range got {
		if got[i] != *list[i] {
			t.Fatalf("texts(%s)[%d] = %q, want %q", raw, i, got[i], *list[i])
		}
	}
	object, ok := m.object(name, len(raw))
	if ok != (raw[0] == '{') || ok && !stdjson.Valid(object) {
		t.Fatalf("object(%s) = %s, %v", raw, object, ok)
	}
	if n, ok := m.integer(name, 1, 1000, 7); ok && (n < 1 || n > 1000) {
		t.Fatalf("integer(%s) = %d", raw, n)
	}
}

func TestMemberAccessors(t *testing.T) {
	m, err := decodeBody([]byte(`{"s":"a","n":null,"i":86400,"f":1.5,"w":36e2,"big":1e999,"o":{ "a" : 1 },"l":["a","b","c"],"mixed":["a",1]}`))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		ok   func() bool
		want bool
	}{
		{"text", func() bool { s, ok := m.text("s", "x"); return ok && s == "a" }, true},
		{"text absent", func() bool { s, ok := m.text("none", "x"); return ok && s == "x" }, true},
		{"text null", func() bool { _, ok := m.text("n", "x"); return ok }, false},
		{"integer", func() bool { n, ok := m.integer("i", 1, 86400, 5); return ok && n == 86400 }, true},
		{"integer absent", func() bool { n, ok := m.integer("none", 1, 86400, 5); return ok && n == 5 }, true},
		{"integer with exponent", func() bool { n, ok := m.integer("w", 1, 86400, 5); return ok && n == 3600 }, true},
		{"integer above", func() bool { _, ok := m.integer("i", 1, 86399, 5); return ok }, false},
		{"integer below", func() bool { _, ok := m.integer("i", 86401, 90000, 5); return ok }, false},
		{"integer fraction", func() bool { _, ok := m.integer("f", 1, 86400, 5); return ok }, false},
		{"integer beyond all", func() bool { _, ok := m.integer("big", 1, 86400, 5); return ok }, false},
		{"integer null", func() bool { _, ok := m.integer("n", 1, 86400, 5); return ok }, false},
		{"integer text", func() bool { _, ok := m.integer("s", 1, 86400, 5); return ok }, false},
		{"object is compact", func() bool { o, ok := m.object("o", 7); return ok && string(o) == `{"a":1}` }, true},
		{"object absent", func() bool { o, ok := m.object("none", 7); return ok && o == nil }, true},
		{"object over its cap", func() bool { _, ok := m.object("o", 6); return ok }, false},
		{"object list", func() bool { _, ok := m.object("l", 99); return ok }, false},
		{"object null", func() bool { _, ok := m.object("n", 99); return ok }, false},
		{"texts", func() bool { l, ok := m.texts("l", 3); return ok && strings.Join(l, "") == "abc" }, true},
		{"texts absent", func() bool { l, ok := m.texts("none", 3); return ok && l == nil }, true},
		{"texts too many", func() bool { _, ok := m.texts("l", 2); return ok }, false},
		{"texts mixed", func() bool { _, ok := m.texts("mixed", 3); return ok }, false},
		{"texts null", func() bool { _, ok := m.texts("n", 3); return ok }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.ok(); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
