package protocol

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// globTests are the table of TestGlobMatch and the seeds of FuzzGlobMatch.
var globTests = []struct {
	name, pattern, text string
	want                bool
}{
	{"empty, empty", "", "", true},
	{"empty, something", "", "a", false},
	{"verbatim", "app/room-1", "app/room-1", true},
	{"verbatim, other case", "app/room-1", "app/Room-1", false},
	{"verbatim, longer", "app/room-1", "app/room-12", false},
	{"verbatim, shorter", "app/room-1", "app/room-", false},
	{"verbatim keeps backslashes", `a\b\\c\`, `a\b\\c\`, true},
	{"verbatim resolves no escape", `a\\b`, `a\b`, false},

	{"star", "app_abc/*", "app_abc/room-1", true},
	{"star stops at slash", "app_abc/*", "app_abc/sub/deep", false},
	{"star takes nothing", "app_abc/*", "app_abc/", true},
	{"star needs its prefix", "app_abc/*", "app_abc", false},
	{"star in a word", "app_abc/room-*", "app_abc/room-7", true},
	{"star in a word, other word", "app_abc/room-*", "app_abc/hall-7", false},
	{"star in the middle", "devices/*/events", "devices/t1/events", true},
	{"star in the middle, two levels", "devices/*/events", "devices/a/b/events", false},
	{"star in the middle, longer end", "devices/*/events", "devices/t1/events2", false},
	{"star after a word", "fleet/sensor-*/telemetry", "fleet/sensor-12/telemetry", true},
	{"star after a word, other end", "fleet/sensor-*/telemetry", "fleet/sensor-12/alarm", false},
	{"star alone", "*", "room", true},
	{"star alone, slash", "*", "a/b", false},
	{"star first", "*-room", "a-room", true},
	{"star tries again", "*ab", "aab", true},
	{"star tries again behind another", "*ab*ac", "xabyabzac", true},
	{"star takes not ASCII", "a*e", "a日本e", true},

	{"deep", "tasks/**", "tasks/a/b/c", true},
	{"deep takes nothing", "tasks/**", "tasks/", true},
	{"deep needs its prefix", "tasks/**", "tasks", false},
	{"deep alone", "**", "any/thing", true},
	{"deep alone, empty", "**", "", true},
	{"deep in the middle", "a/**/z", "a/b/c/z", true},
	{"deep in the middle wants both slashes", "a/**/z", "a/z", false},
	{"deep in the middle takes nothing", "a/**/z", "a//z", true},
	{"three stars are deep", "a***", "a/b", true},
	{"four stars are deep", "a****b", "a/b", true},
	{"deep then star", "**/x*", "a/b/x1", true},
	{"deep then star, slash behind", "**/x*", "a/x/b", false},
	{"deep tries again for a star", "**a*b", "a/ab", true},
	{"deep tries again past a literal with slash", "**b/*c", "b/d/b/c", true},
	{"deep tries again after two literals", "**a*b/c*d", "ab/x/aab/cd", true},
	{"star then deep", "*/**", "a/b/c", true},
	{"star then deep, no slash", "*/**", "a", false},
	{"two deeps", "**/b/**", "a/b/c", true},
	{"two deeps, none between", "**/b/**", "a/c", false},

	{"escaped star", `a\*b`, "a*b", true},
	{"escaped star is no wildcard", `a\*b`, "axb", false},
	{"escaped backslash", `a\\*`, `a\x`, true},
	{"escaped backslash, then star", `a\\*`, "a*", false},
	{"backslash before a letter", `\a*`, `\ab`, true},
	{"backslash at the end", `*\`, `a\`, true},
	{"escapes behind a wildcard", `*\*\\\x`, `a*\\x`, true},
	{"escaped star between stars", `*\**`, "a*b", true},
	{"escaped star between stars, none there", `*\**`, "ab", false},
	{"two escaped stars", `\*\**`, "**x", true},

	{"bytes that are no UTF-8", "\xff*", "\xff\xfe", true},
}

func TestGlobMatch(t *testing.T) {
	for _, tt := range globTests {
		t.Run(tt.name, func(t *testing.T) {
			g := CompileGlob(tt.pattern)
			if got := g.Match(tt.text); got != tt.want {
				t.Errorf("CompileGlob(%q).Match(%q) = %v, want %v", tt.pattern, tt.text, got, tt.want)
			}
			if got := g.MatchBytes([]byte(tt.text)); got != tt.want {
				t.Errorf("CompileGlob(%q).MatchBytes(%q) = %v, want %v", tt.pattern, tt.text, got, tt.want)
			}
			if got := g.String(); got != tt.pattern {
				t.Errorf("String() = %q, want %q", got, tt.pattern)
			}
		})
	}
}

func TestGlobLiteral(t *testing.T) {
	for _, tt := range []struct {
		name, pattern, prefix, literal string
		ok                             bool
	}{
		{"empty", "", "", "", true},
		{"verbatim", "room/1", "room/1", "room/1", true},
		{"verbatim with backslashes", `a\\b\`, `a\\b\`, `a\\b\`, true},
		{"star", "room-*", "room-", "", false},
		{"deep", "a/**/b", "a/", "", false},
		{"wildcard first", "**", "", "", false},
		{"escaped star only", `a\*b`, "a*b", "a*b", true},
		{"escapes before the wildcard", `a\*\\\b*c`, `a*\\b`, "", false},
		{"backslash before the wildcard", `a\\*`, `a\`, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := CompileGlob(tt.pattern)
			if got := g.LiteralPrefix(); got != tt.prefix {
				t.Errorf("LiteralPrefix() = %q, want %q", got, tt.prefix)
			}
			if got, ok := g.Literal(); got != tt.literal || ok != tt.ok {
				t.Errorf("Literal() = %q, %v, want %q, %v", got, ok, tt.literal, tt.ok)
			}
		})
	}
}

func TestGlobComparable(t *testing.T) {
	set := map[Glob]bool{CompileGlob("a/*"): true}
	if !set[CompileGlob("a/"+strings.Repeat("*", 1))] {
		t.Error("globs of the same text differ")
	}
	if set[CompileGlob("a/**")] {
		t.Error("globs of different texts are equal")
	}
	if (Glob{}) != CompileGlob("") {
		t.Error("the zero Glob is not that of the empty text")
	}
}

// oracle translates a pattern, word for word from the contract, for a matcher
// that shares nothing with ours.
func oracle(pattern string) *regexp.Regexp {
	if !strings.Contains(pattern, "*") {
		return regexp.MustCompile(`\A` + regexp.QuoteMeta(pattern) + `\z`)
	}
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for pattern != "" {
		n := 1
		switch {
		case strings.HasPrefix(pattern, `\*`), strings.HasPrefix(pattern, `\\`):
			n = 2
			b.WriteString(regexp.QuoteMeta(pattern[1:2]))
		case strings.HasPrefix(pattern, "**"):
			n = 2
			b.WriteString(`.*`)
		case pattern[0] == '*':
			b.WriteString(`[^/]*`)
		default:
			_, n = utf8.DecodeRuneInString(pattern)
			b.WriteString(regexp.QuoteMeta(pattern[:n]))
		}
		pattern = pattern[n:]
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

func FuzzGlobMatch(f *testing.F) {
	for _, tt := range globTests {
		f.Add(tt.pattern, tt.text)
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 200 || len(text) > 1000 || !utf8.ValidString(pattern) || !utf8.ValidString(text) {
			return
		}
		g := CompileGlob(pattern)
		got, steps := matchGlob(g, text)
		if want := oracle(pattern).MatchString(text); got != want {
			t.Errorf("CompileGlob(%q).Match(%q) = %v, want %v", pattern, text, got, want)
		}
		if max := maxSteps(pattern, text); steps > max {
			t.Errorf("matching %q with %q took %d steps, want at most %d", text, pattern, steps, max)
		}
		if name, ok := g.Literal(); ok && g.Match(text) != (name == text) {
			t.Errorf("CompileGlob(%q).Literal() = %q, but Match(%q) = %v", pattern, name, text, g.Match(text))
		}
		if got && !strings.HasPrefix(text, g.LiteralPrefix()) {
			t.Errorf("CompileGlob(%q).LiteralPrefix() = %q, but it matches %q", pattern, g.LiteralPrefix(), text)
		}
	})
}

// TestGlobMatchRandom covers what fuzzing needs long to find: patterns dense
// with wildcards, names that nearly match them.
func TestGlobMatchRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		pattern, text := randomText(rng, `ab/**\`, 12), randomText(rng, `aab//*\`, 14)
		g := CompileGlob(pattern)
		if got, want := g.Match(text), oracle(pattern).MatchString(text); got != want {
			t.Fatalf("CompileGlob(%q).Match(%q) = %v, want %v", pattern, text, got, want)
		}
	}
}

// randomText is up to max bytes of the alphabet.
func randomText(rng *rand.Rand, alphabet string, max int) string {
	b := make([]byte, rng.IntN(max+1))
	for i := range b {
		b[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return string(b)
}

// maxSteps is what the contract allows: length × length, counting both ends.
func maxSteps(pattern, text string) int { return (len(pattern) + 1) * (len(text) + 1) }

func TestGlobMatchIsQuadratic(t *testing.T) {
	long := strings.Repeat("a", 4096)
	segments := strings.Repeat(strings.Repeat("a", 63)+"/", 64)
	for _, tt := range []struct{ name, pattern, text string }{
		{"stars between letters", strings.Repeat("*a", 100) + "*b", long},
		{"deeps between letters", strings.Repeat("**a", 100) + "**b", long},
		{"deep, then stars", "**" + strings.Repeat("a*", 100) + "b", long},
		{"deep, then stars, segments", "**" + strings.Repeat("a*", 20) + "b", segments},
		{"deep, then stars over segments", "**" + strings.Repeat("a*/", 50) + "b", segments},
		{"deep, then a long near miss", "**a*" + strings.Repeat("a", 50) + "b", segments},
		{"deep, stars, slash, near miss", "**a*/a*" + strings.Repeat("a", 50) + "b", segments},
		{"deep, slash literal, near miss", "**/a*" + strings.Repeat("a", 50) + "b", segments},
		{"stars and deeps in turn", strings.Repeat("*a**a/", 40) + "b", segments},
		{"one literal", "*" + strings.Repeat("a", 200) + "b", long},
		{"escapes", "**" + strings.Repeat(`\**`, 50) + "b", strings.Repeat("*", 2000) + "/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ok, steps := matchGlob(CompileGlob(tt.pattern), tt.text)
			if ok {
				t.Error("Match = true, want false")
			}
			if max := maxSteps(tt.pattern, tt.text); steps > max {
				t.Errorf("took %d steps, want at most %d", steps, max)
			}
		})
	}
}

func TestGlobMatchDoesNotAllocate(t *testing.T) {
	g := CompileGlob(`devices/**/s-*/e\*nts*`)
	text := "devices/" + strings.Repeat("s-/", 20) + "s-12/e*nts"
	name := []byte(text)
	got := testing.AllocsPerRun(100, func() {
		if !g.Match(text) || !g.MatchBytes(name) {
			t.Error("Match = false, want true")
		}
	})
	if got != 0 {
		t.Errorf("allocations = %v, want 0", got)
	}
}
