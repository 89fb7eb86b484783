package protocol

import "strings"

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
	rest   string // source from the first wildcard on; empty: none
	suffix string // text behind the last wildcard, empty if it holds an escape
}

// CompileGlob makes a Glob; every string is a valid one.
func CompileGlob(pattern string) Glob {
	if !IsGlob(pattern) {
		return Glob{source: pattern, prefix: pattern}
	}
	wild := firstWildcard(pattern)
	g := Glob{source: pattern, prefix: unescapeGlob(pattern[:wild]), rest: pattern[wild:]}
	if tail := pattern[strings.LastIndexByte(pattern, '*')+1:]; wild < len(pattern) && strings.IndexByte(tail, '\\') < 0 &&
		strings.IndexByte(g.rest, '\\') < 0 {
		g.suffix = tail
	}
	return g
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

// Match reports whether the whole of name matches. It does not allocate and
// takes at most len(pattern) × len(name) steps.
func (g Glob) Match(name string) bool {
	ok, _ := matchGlob(g, name)
	return ok
}

// MatchBytes is Match for a name held in bytes.
func (g Glob) MatchBytes(name []byte) bool {
	ok, _ := matchGlob(g, name)
	return ok
}

// matchGlob checks the prefix and leaves the rest to a matcher. steps counts
// the rounds of the matcher's loop, for the test that they stay bounded.
func matchGlob[T string | []byte](g Glob, name T) (ok bool, steps int) {
	if len(name) < len(g.prefix) || string(name[:len(g.prefix)]) != g.prefix {
		return false, 0
	}
	if g.rest == "" {
		return len(name) == len(g.prefix), 0
	}
	// What most patterns that do not match fail by is cheaper to look at first
	// than to find out step by step.
	if k := len(name) - len(g.suffix); k < len(g.prefix) || string(name[k:]) != g.suffix {
		return false, 0
	}
	m := matcher[T]{pattern: g.rest, name: name, n: len(g.prefix)}
	return m.run()
}

// matcher holds one attempt to match name[n:] with pattern[p:]. It places each
// literal as far left as it fits and on a mismatch returns to a wildcard to let
// it take more: to the last '*', and when that meets a '/', to the last '**'.
// Earlier wildcards need no second try, since what follows them was placed
// leftmost already.
type matcher[T string | []byte] struct {
	pattern string
	name    T
	p, n    int

	star, deep retry
}

// retry is where to go on when a wildcard takes one byte more. The pattern of
// matcher starts with a wildcard, so p is 0 exactly when there was none.
type retry struct {
	p int // after the wildcard
	n int // end of what it has taken
}

func (m *matcher[T]) run() (ok bool, steps int) {
	for {
		steps++
		switch {
		case m.p < len(m.pattern) && m.pattern[m.p] == '*':
			if m.wildcard() {
				return true, steps
			}
		case m.literal():
		case m.p == len(m.pattern) && m.n == len(m.name):
			return true, steps
		case !m.backtrack():
			return false, steps
		}
	}
}

// wildcard takes a run of stars, matching nothing at first. It reports true
// when a '**' ends the pattern: the rest of the name does not matter.
func (m *matcher[T]) wildcard() (matched bool) {
	p := m.p + 1
	for p < len(m.pattern) && m.pattern[p] == '*' {
		p++
	}
	deep := p-m.p > 1
	m.p = p
	if deep {
		m.deep, m.star = retry{p, m.n}, retry{}
		return p == len(m.pattern)
	}
	m.star = retry{p, m.n}
	return false
}

// literal matches one byte of both and steps over it.
func (m *matcher[T]) literal() bool {
	if m.p == len(m.pattern) || m.n == len(m.name) {
		return false
	}
	p := m.p
	if escapes(m.pattern, p) {
		p++
	}
	if m.pattern[p] != m.name[m.n] {
		return false
	}
	m.p, m.n = p+1, m.n+1
	return true
}

// backtrack lets the last wildcard that can take one byte more, and reports
// false when none can.
func (m *matcher[T]) backtrack() bool {
	if m.star.p > 0 {
		if m.star.n == len(m.name) {
			// A '**' that took more would only leave less to search.
			return false
		}
		if m.name[m.star.n] != '/' {
			m.star.n++
			m.p, m.n = m.star.p, m.star.n
			return true
		}
	}
	if m.deep.p == 0 || m.deep.n == len(m.name) {
		return false
	}
	m.deep.n = m.nextStart()
	if m.deep.n > len(m.name) {
		return false
	}
	m.p, m.n = m.deep.p, m.deep.n
	m.star = retry{}
	return true
}

// nextStart is where the last '**' tries to end next, beyond the name if there
// is nothing left to try. When the literal behind it and a '*' were placed, all
// starts up to the next '/' lead to the same failure: a literal without '/' only
// moves to the right before the same obstacle, one with '/' has its first where
// the name has not. To skip them keeps the work quadratic.
func (m *matcher[T]) nextStart() int {
	next := m.deep.n
	if m.star.p > 0 {
		for next < len(m.name) && m.name[next] != '/' {
			next++
		}
	}
	return next + 1
}
