package auth

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"signalbox/protocol"
)

// naiveMatch is the glob rules written down as directly as they go, exponential and obvious.
func naiveMatch(pattern, name string) bool {
	if !strings.Contains(pattern, "*") {
		return pattern == name
	}
	return naiveGlob(pattern, name)
}

func naiveGlob(pattern, name string) bool {
	switch {
	case pattern == "":
		return name == ""
	case strings.HasPrefix(pattern, "**"):
		return naiveGlob(pattern[2:], name) || name != "" && naiveGlob(pattern, name[1:])
	case pattern[0] == '*':
		return naiveGlob(pattern[1:], name) || name != "" && name[0] != '/' && naiveGlob(pattern, name[1:])
	case strings.HasPrefix(pattern, `\*`), strings.HasPrefix(pattern, `\\`):
		pattern = pattern[1:]
	}
	return name != "" && pattern[0] == name[0] && naiveGlob(pattern[1:], name[1:])
}

func anyMatch(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return naiveMatch(p, name) })
}

// allNames lists every name of up to length letters out of alphabet, the empty one left out.
func allNames(alphabet string, length int) []string {
	names := []string{""}
	for start := 0; length > 0; length-- {
		end := len(names)
		for _, name := range names[start:end] {
			for _, letter := range alphabet {
				names = append(names, name+string(letter))
			}
		}
		start = end
	}
	return names[1:]
}

func randomPatterns(r *rand.Rand, most int) []string {
	pieces := []string{"a", "b", "/", "*", "**", `\*`, `\\`, `\`}
	patterns := make([]string, r.IntN(most+1))
	for i := range patterns {
		for range 1 + r.IntN(5) {
			patterns[i] += pieces[r.IntN(len(pieces))]
		}
	}
	return patterns
}

func keyWith(patterns []string, actions Actions) *Key {
	k := &Key{ID: "sk_id_x", Actions: actions, secret: newSecret(skSecret)}
	for _, p := range patterns {
		k.Patterns = append(k.Patterns, protocol.CompileGlob(p))
	}
	newSet([]*App{{ID: "app", Keys: []*Key{k}}})
	return k
}

// TestGrantIsTheIntersection compares grants of random claims and keys with the naive intersection on every short
// name, in both directions, and their wildcard cover with the names it would open.
func TestGrantIsTheIntersection(t *testing.T) {
	names := allNames(`ab/`, 5)
	r := rand.New(rand.NewPCG(1, 2))
	covered, refused := 0, 0
	for range 1500 {
		keyPatterns, claims := randomPatterns(r, 3), randomPatterns(r, 3)
		g := newGrant(keyWith(keyPatterns, AllActions), AllActions, claims)
		wanted := func(name string) bool { return anyMatch(keyPatterns, name) && anyMatch(claims, name) }
		if g == nil {
			refused++
			if i := slices.IndexFunc(names, wanted); i >= 0 || len(claims) == 0 {
				t.Fatalf("key %q, claims %q: refused, but %q is in both", keyPatterns, claims, names[i])
			}
			continue
		}
		for _, name := range names {
			if got, want := g.Channel(name), wanted(name); got != want || g.ChannelBytes([]byte(name)) != want {
				t.Fatalf("key %q, claims %q, channel %q: got %v, want %v", keyPatterns, claims, name, got, want)
			}
		}
		for _, sub := range randomPatterns(r, 3) {
			if !g.Covers(protocol.CompileGlob(sub)) {
				continue
			}
			covered++
			for _, name := range names {
				if naiveMatch(sub, name) && !wanted(name) {
					t.Fatalf("key %q, claims %q: covers %q, which opens %q", keyPatterns, claims, sub, name)
				}
			}
		}
	}
	if covered == 0 || refused == 0 {
		t.Errorf("%d covered patterns and %d refusals: the test met only one side", covered, refused)
	}
}

func TestGrantCovers(t *testing.T) {
	for _, c := range []struct {
		name     string
		patterns []string
		claims   []string // nil: absent
		glob     string
		want     bool
	}{
		{"key alone", []string{"room-*"}, nil, "room-*", true},
		{"narrower than the key", []string{"**"}, nil, "room-*", true},
		{"wider than the key", []string{"room-*"}, nil, "*", false},
		{"within claim and key", []string{"**"}, []string{"room-*"}, "room-1*", true},
		{"within the claim, not the key", []string{"room-1*"}, []string{"room-*"}, "room-*", false},
		{"within the key, not the claim", []string{"room-*"}, []string{"room-1*"}, "room-*", false},
		{"two claims together are not one", []string{"**"}, []string{"a/*", "b/*"}, "*/*", false},
		{"no claims", []string{"**"}, []string{}, "a*", false},
		{"no patterns", nil, nil, "a*", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := keyWith(c.patterns, AllActions)
			g := k.Grant()
			if c.claims != nil {
				g = newGrant(k, AllActions, c.claims)
			}
			if got := g.Covers(protocol.CompileGlob(c.glob)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestGrantOfHostileClaims gives newGrant thousands of pairs of patterns that are slow to compare: it stops
// comparing, and grants nothing for it.
func TestGrantOfHostileClaims(t *testing.T) {
	k := keyWith(slices.Repeat([]string{strings.Repeat("*a", 127) + "b"}, MaxPatterns), AllActions)
	g := newGrant(k, AllActions, slices.Repeat([]string{strings.Repeat("a*", 127) + "c"}, 90))
	if g == nil {
		t.Fatal("refused: the comparison went to the end")
	}
	for _, name := range []string{strings.Repeat("a", 127) + "b", strings.Repeat("a", 127) + "c", "b", "c"} {
		if g.Channel(name) {
			t.Errorf("%s is granted", name)
		}
	}
}

func TestGrantActions(t *testing.T) {
	k := keyWith([]string{"**"}, Publish|Send)
	for _, c := range []struct {
		name   string
		claims tokenClaims
		want   Actions
	}{
		{"empty", tokenClaims{}, 0},
		{"within", tokenClaims{permissions: Send}, Send},
		{"all", tokenClaims{permissions: AllActions}, Publish | Send},
		{"beside", tokenClaims{permissions: Presence}, 0},
		{"with channels", tokenClaims{permissions: Send, channels: []byte(`["a"]`)}, Send},
		{"beyond, with channels", tokenClaims{permissions: AllActions, channels: []byte(`["a"]`)}, Publish | Send},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := k.grant(&c.claims).Actions(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestGrantDoesNotAllocate(t *testing.T) {
	g := newGrant(keyWith([]string{"room-*", "devices/**"}, AllActions), AllActions, []string{"room-1", "devices/*/events"})
	name := []byte("devices/17/events")
	if n := testing.AllocsPerRun(100, func() {
		if !g.ChannelBytes(name) || !g.Channel("room-1") || !g.Allows(Publish) {
			t.Error("not granted")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestGrantPatterns(t *testing.T) {
	k := keyWith([]string{"room-*"}, AllActions)
	if got := k.Grant().Patterns(); !slices.Equal(got, []string{"room-*"}) {
		t.Errorf("key: got %q", got)
	}
	g := newGrant(k, AllActions, []string{"room-1", "hall"})
	if got := g.Patterns(); !slices.Equal(got, []string{"room-1"}) {
		t.Errorf("claims: got %q", got)
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		name    string
		actions Actions
		want    string
	}{
		{"none", 0, ""},
		{"one", Presence, "presence"},
		{"all", AllActions, "publish, subscribe, presence, send"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.actions.String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			for _, word := range c.actions.Words() {
				if a, ok := ParseAction(word); !ok || !c.actions.Has(a) {
					t.Errorf("%s: got %v, %v", word, a, ok)
				}
			}
		})
	}
	for _, word := range []string{"", "Publish", "fly", "publish "} {
		if _, ok := ParseAction(word); ok {
			t.Errorf("%q is taken for an action", word)
		}
	}
}
