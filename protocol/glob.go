package protocol

import (
	"strings"
	"unsafe"
)

// Glob is a compiled channel pattern: an immutable value, comparable with ==,
// equal exactly when the pattern texts are. The zero Glob is CompileGlob("").
//
//   - '*' stands for any run of characters but '/', the empty run included
//   - '**' (or more stars) for any run at all
//   - '\*' and '\\' for the character after the backslash; a backslash before
//     anything else stands for itself
//
// A text without any '*' is no pattern but a name: it stands for itself, byte
// for byte, backslashes included.
type Glob struct {
	source string // as given
	prefix string // unescaped text before the first wildcard
	rest   string // from the first wildcard on: literals, unescaped, with star or deep before each
}

// The wildcards of Glob.rest: bytes that no UTF-8 text holds.
const (
	star = 0xff // any run without '/'
	deep = 0xfe // any run
)

// CompileGlob makes a Glob; every string is a valid one.
func CompileGlob(pattern string) Glob {
	if !IsGlob(pattern) {
		return Glob{source: pattern, prefix: pattern}
	}
	wild := firstWildcard(pattern)
	return Glob{source: pattern, prefix: unescapeGlob(pattern[:wild]), rest: compileRest(pattern[wild:])}
}

// compileRest makes Glob.rest of a pattern from its first wildcard on.
func compileRest(pattern string) string {
	var b strings.Builder
	for len(pattern) > 0 {
		stars := len(pattern) - len(strings.TrimLeft(pattern, "*"))
		if stars > 1 {
			b.WriteByte(deep)
		} else {
			b.WriteByte(star)
		}
		pattern = pattern[stars:]
		next := firstWildcard(pattern)
		for _, c := range []byte(unescapeGlob(pattern[:next])) {
			// A pattern that is no UTF-8 must not be taken for one with more
			// wildcards; no name matches the byte it has instead either.
			b.WriteByte(min(c, deep-1))
		}
		pattern = pattern[next:]
	}
	return b.String()
}

// firstWildcard is the index of the first unescaped '*', or the length.
func firstWildcard(pattern string) int {
	for i := 0; i < len(pattern); i++ {
		switch {
		case pattern[i] == '*':
			return i
		case escapes(pattern, i):
			i++
		}
	}
	return len(pattern)
}

// escapes reports whether the byte at i is a backslash that makes the next one
// literal.
func escapes(pattern string, i int) bool {
	return pattern[i] == '\\' && i+1 < len(pattern) &&
		(pattern[i+1] == '*' || pattern[i+1] == '\\')
}

// unescapeGlob resolves the escapes of a text without wildcards.
func unescapeGlob(text string) string {
	if strings.IndexByte(text, '\\') < 0 {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if escapes(text, i) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// String is the pattern as it was given to CompileGlob.
func (g Glob) String() string { return g.source }

// LiteralPrefix is what every match starts with: the unescaped text before the
// first wildcard.
func (g Glob) LiteralPrefix() string { return g.prefix }

// Literal returns the only name g matches, and false when g has a wildcard. The
// name of an escaped glob such as `a\*b` holds a '*' and is no valid channel.
func (g Glob) Literal() (name string, ok bool) {
	if g.rest != "" {
		return "", false
	}
	return g.prefix, true
}

// Match reports whether the whole of name, valid UTF-8, matches. It does not
// allocate; see matchGlob for what it costs.
func (g Glob) Match(name string) bool {
	ok, _ := matchGlob(g, name)
	return ok
}

// MatchBytes is Match for a name held in bytes.
func (g Glob) MatchBytes(name []byte) bool {
	ok, _ := matchGlob(g, unsafe.String(unsafe.SliceData(name), len(name)))
	return ok
}

// matchGlob places each literal of the pattern as far left as it fits: earlier
// wildcards need no second try, since what follows them stands leftmost already.
// Only a star that would have to take a '/' sends it back, to the last deep
// wildcard, which then takes more. steps counts the literals placed, each found
// by one search: at most one for each literal and '/' of the name, so that
// hostile patterns cost no more than length × length.
func matchGlob(g Glob, name string) (ok bool, steps int) {
	if !strings.HasPrefix(name, g.prefix) || g.rest == "" {
		return name == g.prefix, 0
	}
	var retry struct {
		rest string // behind the last deep wildcard
		at   int    // where the literal there was placed
	}
	rest, n := g.rest, len(g.prefix)
	for {
		steps++
		wild := rest[0]
		rest = rest[1:]
		literal, last := rest, true
		if next := nextWildcard(rest); next >= 0 {
			literal, last = rest[:next], false
		}
		at := n // where the literal is placed
		if last {
			if at = len(name) - len(literal); at < n || name[at:] != literal {
				return false, steps
			}
		} else if i := strings.Index(name[n:], literal); i >= 0 {
			at = n + i
		} else {
			return false, steps
		}
		switch {
		case wild == deep:
			if last {
				return true, steps
			}
			retry.rest, retry.at = rest, at
		case strings.IndexByte(name[n:at], '/') < 0:
			if last {
				return true, steps
			}
		default:
			// Every place for the literal behind the deep wildcard up to the
			// next '/' leads to the same obstacle: one without a '/' in it only
			// moves towards it, one with a '/' has it where the name has not.
			slash := -1
			if retry.rest != "" {
				slash = strings.IndexByte(name[retry.at:], '/')
			}
			if slash < 0 {
				return false, steps
			}
			literal = retry.rest[:nextWildcard(retry.rest)]
			i := strings.Index(name[retry.at+slash+1:], literal)
			if i < 0 {
				return false, steps
			}
			retry.at += slash + 1 + i
			rest, at = retry.rest, retry.at
		}
		rest, n = rest[len(literal):], at+len(literal)
	}
}

// nextWildcard returns the index of the first wildcard of Glob.rest, or -1.
func nextWildcard(rest string) int {
	for i := range len(rest) {
		if rest[i] >= deep {
			return i
		}
	}
	return -1
}
