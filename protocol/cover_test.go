package protocol

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// coverTests are the table of TestGlobCovers and the seeds of FuzzGlobCovers.
var coverTests = []struct {
	name, glob, sub string
	want            bool
}{
	{"the same name", "room", "room", true},
	{"another name", "room", "hall", false},
	{"name under a glob", "room-*", "room-1", true},
	{"glob under a name", "room-1", "room-*", false},
	{"the same glob", "a/*/b", "a/*/b", true},
	{"everything", "**", "a/**/b*", true},
	{"everything but slashes", "*", "room-*", true},
	{"deep under star", "a/*", "a/**", false},
	{"star under deep", "a/**", "a/*", true},
	{"deeper under deep", "a/**", "a/b/**", true},
	{"slash under star", "*", "a/*", false},
	{"narrower on both sides", "a*z", "ab*yz", true},
	{"wider on one side", "ab*z", "a*z", false},
	{"star over literal and star", "a*", "ab*c*", true},
	{"two stars under one", "a*b", "a*x*b", true},
	{"one star under two", "*a*", "*aa*", true},
	{"star at the end takes nothing", "a*", "a", true},
	{"literal star under star", "a*", `a\*`, true},
	{"star under literal star", `a\*`, "a*", false},
	{"backslash name under glob", `a\\*`, `a\b`, true},
	{"deep with slash, star with slash", "**/*", "*/**", true},
	{"star with slash, deep with slash", "*/**", "**/*", true},
	{"deep with slash does not cover deep", "**/*", "**", false},
	{"star slash deep under deep", "**/**", "*/**", true},
	{"two deeps", "a/**/b/**", "a/**/b/c/**", true},
	{"two deeps, too few slashes", "a/**/b/**", "a/**b/**", false},
	{"overlapping is not covering", "a*", "*b", false},
	{"deep to choose among", "**a*", "*a**a*", true},
	{"claim of one app", "app_a/**", "app_b/**", false},
	{"claim over all", "app_a/**", "**", false},
}

func TestGlobCovers(t *testing.T) {
	for _, tt := range coverTests {
		t.Run(tt.name, func(t *testing.T) {
			if got := CompileGlob(tt.glob).Covers(CompileGlob(tt.sub)); got != tt.want {
				t.Errorf("CompileGlob(%q).Covers(%q) = %v, want %v", tt.glob, tt.sub, got, tt.want)
			}
		})
	}
}

// overlapTests are the table of TestGlobOverlaps and the seeds of
// FuzzGlobOverlaps.
var overlapTests = []struct {
	name, a, b string
	want       bool
}{
	{"the same name", "room", "room", true},
	{"two names", "room", "hall", false},
	{"name and glob", "room-*", "room-1", true},
	{"crossing globs", "a*", "*b", true},
	{"other starts", "a*", "b*", false},
	{"other ends", "*a", "*b", false},
	{"star and deep", "a/*", "**/b", true},
	{"levels differ", "a/*", "a/*/*", false},
	{"deep makes up for levels", "a/**", "a/*/*", true},
	{"slash under star", "*", "**/**", false},
	{"both may be nothing", "**", "*", true},
	{"shared middle", "*ab*", "*ba*", true},
	{"literal too long", "a*b", "ab", true},
	{"literal overlaps itself", "ab*ba", "aba", false},
	{"literal star", `a\*`, "a*", true},
	{"literal star and letter", `a\*`, "ab*", false},
	{"empty", "", "**", true},
	{"empty and literal", "", "*a", false},
}

func TestGlobOverlaps(t *testing.T) {
	for _, tt := range overlapTests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := CompileGlob(tt.a), CompileGlob(tt.b)
			if got := a.Overlaps(b); got != tt.want {
				t.Errorf("CompileGlob(%q).Overlaps(%q) = %v, want %v", tt.a, tt.b, got, tt.want)
			}
			if got := b.Overlaps(a); got != tt.want {
				t.Errorf("CompileGlob(%q).Overlaps(%q) = %v, want %v", tt.b, tt.a, got, tt.want)
			}
		})
	}
}

// words are all texts of up to max letters of the alphabet, shortest first.
func words(alphabet string, max int) []string {
	all, last := []string{""}, []string{""}
	for range max {
		var next []string
		for _, w := range last {
			for i := range len(alphabet) {
				next = append(next, w+alphabet[i:i+1])
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// language is the set of the texts, by index, that a glob matches.
type language []uint64

func languageOf(g Glob, texts []string) language {
	l := make(language, len(texts)/64+1)
	for i, text := range texts {
		if g.Match(text) {
			l[i/64] |= 1 << (i % 64)
		}
	}
	return l
}

// minus is the index of the first text in l and not in o, or -1.
func (l language) minus(o language) int {
	return l.first(func(i int) uint64 { return l[i] &^ o[i] })
}

// and is the index of the first text in both, or -1.
func (l language) and(o language) int {
	return l.first(func(i int) uint64 { return l[i] & o[i] })
}

func (l language) first(word func(i int) uint64) int {
	for i := range l {
		if w := word(i); w != 0 {
			for bit := range 64 {
				if w>>bit&1 == 1 {
					return i*64 + bit
				}
			}
		}
	}
	return -1
}

// TestGlobSetsBruteForce holds Covers and Overlaps, for all pairs of short
// patterns, against what all short texts say. The texts have a letter that no
// pattern has and are long enough to tell such patterns apart.
func TestGlobSetsBruteForce(t *testing.T) {
	texts := words("ax/", 7)
	var globs []Glob
	var languages []language
	for _, pattern := range words("a/*", 5) {
		g := CompileGlob(pattern)
		globs, languages = append(globs, g), append(languages, languageOf(g, texts))
	}
	for i, a := range globs {
		for j, b := range globs {
			if got, counter := a.Covers(b), languages[j].minus(languages[i]); got != (counter < 0) {
				t.Errorf("CompileGlob(%q).Covers(%q) = %v, counterexample %s", a, b, got, nth(texts, counter))
			}
			if got, witness := a.Overlaps(b), languages[i].and(languages[j]); got != (witness >= 0) {
				t.Errorf("CompileGlob(%q).Overlaps(%q) = %v, witness %s", a, b, got, nth(texts, witness))
			}
		}
	}
}

func nth(texts []string, i int) string {
	if i < 0 {
		return "none"
	}
	return `"` + texts[i] + `"`
}

// expand is a text that the pattern matches, its wildcards filled at random.
func expand(rng *rand.Rand, pattern []token) string {
	var b strings.Builder
	for _, t := range pattern {
		switch t {
		case tokenStar:
			b.WriteString(randomText(rng, "abx", 3))
		case tokenDeep:
			b.WriteString(randomText(rng, "abx//", 5))
		default:
			b.WriteByte(byte(t))
		}
	}
	return b.String()
}

func FuzzGlobCovers(f *testing.F) {
	for _, tt := range coverTests {
		f.Add(tt.glob, tt.sub, uint64(1))
	}
	f.Fuzz(func(t *testing.T, glob, sub string, seed uint64) {
		if len(glob) > MaxChannelLen || len(sub) > MaxChannelLen {
			return
		}
		g, s := CompileGlob(glob), CompileGlob(sub)
		if !g.Covers(g) {
			t.Errorf("CompileGlob(%q) does not cover itself", glob)
		}
		if name, ok := s.Literal(); ok && g.Covers(s) != g.Match(name) {
			t.Errorf("CompileGlob(%q).Covers(%q) = %v, want what Match says: %v", glob, sub, g.Covers(s), g.Match(name))
		}
		if !g.Covers(s) {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		for range 20 {
			if text := expand(rng, s.tokens()); !g.Match(text) {
				t.Fatalf("CompileGlob(%q).Covers(%q) = true, but it does not match %q", glob, sub, text)
			}
		}
		if !g.Overlaps(s) {
			t.Errorf("CompileGlob(%q) covers %q, but does not overlap it", glob, sub)
		}
	})
}

func FuzzGlobOverlaps(f *testing.F) {
	for _, tt := range overlapTests {
		f.Add(tt.a, tt.b, uint64(1))
	}
	f.Fuzz(func(t *testing.T, x, y string, seed uint64) {
		if len(x) > MaxChannelLen || len(y) > MaxChannelLen {
			return
		}
		a, b := CompileGlob(x), CompileGlob(y)
		got := a.Overlaps(b)
		if got != b.Overlaps(a) {
			t.Errorf("CompileGlob(%q).Overlaps(%q) = %v, but not the other way round", x, y, got)
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		for range 20 {
			text := expand(rng, a.tokens())
			if !a.Match(text) {
				t.Fatalf("CompileGlob(%q).Match(%q) = false, want true", x, text)
			}
			if b.Match(text) && !got {
				t.Fatalf("CompileGlob(%q).Overlaps(%q) = false, but both match %q", x, y, text)
			}
		}
	})
}

// TestGlobCoversRandom: patterns too long for brute force, derived from one
// another so that many do cover.
func TestGlobCoversRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	covering := 0
	for range 20_000 {
		sub := CompileGlob(randomText(rng, "ab/**", 12))
		g := CompileGlob(widen(rng, sub.String()))
		if !g.Covers(sub) {
			for range 3 {
				if text := expand(rng, sub.tokens()); !g.Overlaps(sub) && g.Match(text) {
					t.Fatalf("CompileGlob(%q).Overlaps(%q) = false, but both match %q", g, sub, text)
				}
			}
			continue
		}
		covering++
		for range 10 {
			if text := expand(rng, sub.tokens()); !g.Match(text) {
				t.Fatalf("CompileGlob(%q).Covers(%q) = true, but it does not match %q", g, sub, text)
			}
		}
	}
	if covering < 1000 {
		t.Errorf("only %d pairs cover: the test tells too little", covering)
	}
}

// widen puts a wildcard in the place of some part of the pattern.
func widen(rng *rand.Rand, pattern string) string {
	i := rng.IntN(len(pattern) + 1)
	j := i + rng.IntN(len(pattern)-i+1)
	return pattern[:i] + strings.Repeat("*", 1+rng.IntN(2)) + pattern[j:]
}

// TestGlobCoversGivesUp: where the cases multiply, the answer is a refusal and
// the work stays bounded.
func TestGlobCoversGivesUp(t *testing.T) {
	for _, tt := range []struct{ name, glob, sub string }{
		{"slashes under deeps", strings.Repeat("**/", 80) + "*", strings.Repeat("**/", 80) + "**"},
		{"levels under letters", "**" + strings.Repeat("/*", 120), strings.Repeat("**a", 80)},
		{"levels under levels", "**" + strings.Repeat("/*", 120) + "/**", strings.Repeat("**/", 80)},
		{"stars under stars", strings.Repeat("*a", 120), strings.Repeat("*a*", 80)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, sub := CompileGlob(tt.glob), CompileGlob(tt.sub)
			many := make([]Glob, 1000)
			for i := range many {
				many[i] = CompileGlob(tt.glob + strconv.Itoa(i))
			}
			for _, globs := range [][]Glob{{g}, many} {
				n := nfa{left: maxCoverWork}
				if n.anyCovers(globs, sub) {
					t.Errorf("%d globs cover it, want that none does", len(globs))
				}
				// One step may begin within the bound and end beyond it.
				if max := 100 * MaxChannelLen; -n.left > max {
					t.Errorf("looked at %d positions beyond the bound, want at most %d", -n.left, max)
				}
			}
			if !AnyCovers(append(many, sub), sub) {
				t.Error("a pattern behind many others does not cover itself")
			}
			if !CompileGlob("**").Covers(sub) {
				t.Error("** does not cover it")
			}
			if !sub.Covers(sub) || !g.Covers(g) {
				t.Error("a pattern does not cover itself")
			}
		})
	}
}
