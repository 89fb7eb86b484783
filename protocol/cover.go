package protocol

import (
	"slices"
	"strings"
)

// token is one element of a pattern taken apart: a literal byte or a wildcard.
type token uint16

const (
	tokenStar  token = 256 + iota // any run without '/'
	tokenDeep                     // any run
	tokenFresh                    // a character that no pattern holds
)

// wild reports whether t stands for a run.
func (t token) wild() bool { return t == tokenStar || t == tokenDeep }

// takes reports whether the wildcard t may swallow the single character c.
func (t token) takes(c token) bool { return t == tokenDeep || t == tokenStar && c != '/' }

// tokens takes g apart. No two wildcards are neighbours: runs of stars are one.
func (g Glob) tokens() []token {
	ts := make([]token, 0, len(g.source))
	for i := 0; i < len(g.prefix); i++ {
		ts = append(ts, token(g.prefix[i]))
	}
	for i := 0; i < len(g.rest); i++ {
		switch c := g.rest[i]; c {
		case star:
			ts = append(ts, tokenStar)
		case deep:
			ts = append(ts, tokenDeep)
		default:
			ts = append(ts, token(c))
		}
	}
	return ts
}

// Overlaps reports whether some text matches both g and o. It walks all pairs
// of positions in the two patterns, so it is exact and takes len × len steps.
func (g Glob) Overlaps(o Glob) bool {
	a, b := g.tokens(), o.tokens()
	// below[j] tells whether a[i+1:] and b[j:] overlap, row[j] the same of a[i:].
	below, row := make([]bool, len(b)+1), make([]bool, len(b)+1)
	for i := len(a); i >= 0; i-- {
		for j := len(b); j >= 0; j-- {
			row[j] = overlapAt(a[i:], b[j:], below, row, j)
		}
		below, row = row, below
	}
	return below[0]
}

// overlapAt decides one pair of rests from those of the shorter rests. Two
// wildcards never need to swallow the same character: without it the text
// matches both just as well.
func overlapAt(a, b []token, below, row []bool, j int) bool {
	switch {
	case len(a) == 0 && len(b) == 0:
		return true
	case len(a) > 0 && a[0].wild():
		return below[j] || len(b) > 0 && (b[0].wild() || a[0].takes(b[0])) && row[j+1]
	case len(b) > 0 && b[0].wild():
		return row[j+1] || len(a) > 0 && b[0].takes(a[0]) && below[j]
	default:
		return len(a) > 0 && len(b) > 0 && a[0] == b[0] && below[j+1]
	}
}

// maxCoverWork is how many positions AnyCovers looks at before it gives up: some
// tenths of a millisecond. The patterns of a real key take a few hundred.
const maxCoverWork = 1 << 16

// AnyCovers reports whether one of the globs by itself covers sub, as Covers
// does. All of them together are given the work that one is.
func AnyCovers(globs []Glob, sub Glob) bool {
	n := nfa{left: maxCoverWork}
	return slices.Contains(globs, sub) || n.anyCovers(globs, sub)
}

// Covers reports whether g matches every text that sub matches. True is always
// right. False is, too, unless two patterns full of wildcards and slashes make
// more than maxCoverWork steps of it and Covers gives up.
//
// A run that sub leaves open may hold a character that occurs nowhere in g, so
// it suffices to try that one: g covers the text with it only if a wildcard of
// g takes it, and then it takes any other run as well. What remains open is how
// many slashes a '**' of sub stands for; g cannot tell apart more of them than
// it has itself, so the texts to try are finite.
func (g Glob) Covers(sub Glob) bool { return AnyCovers([]Glob{g}, sub) }

// nfa runs the tokens of a glob as a nondeterministic automaton: position i
// means that tokens[:i] matched.
type nfa struct {
	tokens []token
	left   int // positions that may still be looked at
}

// anyCovers reports whether one of the globs accepts every text of sub, or gives
// up.
func (n *nfa) anyCovers(globs []Glob, sub Glob) bool {
	tokens := sub.tokens()
	for _, g := range globs {
		if n.left < 0 {
			return false
		}
		if !strings.HasPrefix(sub.prefix, g.prefix) {
			continue // sub goes on with anything where g wants what is left of it
		}
		n.tokens = g.tokens()
		n.left -= len(n.tokens)
		if n.acceptsAll(tokens) {
			return true
		}
	}
	return false
}

// positions is a set of them, ascending and with every position that an empty
// run adds.
type positions []int

// acceptsAll reports whether every text of sub is accepted, or gives up. Each
// of sets is what one way to fill the runs of sub leads to.
func (n *nfa) acceptsAll(sub []token) bool {
	sets := []positions{n.enter(nil, 0)}
	for _, t := range sub {
		var next []positions
		for _, set := range sets {
			if t == tokenDeep {
				next = n.addDeep(next, set)
			} else {
				next = n.addMinimal(next, n.step(set, t))
			}
		}
		if sets = next; len(sets[0]) == 0 || n.left < 0 {
			return false
		}
	}
	for _, set := range sets {
		if set[len(set)-1] != len(n.tokens) {
			return false
		}
	}
	return true
}

// enter adds position i, and i+1 when the token there may stand for nothing.
func (n *nfa) enter(set positions, i int) positions {
	if len(set) == 0 || set[len(set)-1] < i {
		set = append(set, i)
	}
	if i < len(n.tokens) && n.tokens[i].wild() && set[len(set)-1] == i {
		set = append(set, i+1)
	}
	return set
}

// step is where set gets by one character. tokenStar counts as the fresh one:
// a run without slash.
func (n *nfa) step(set positions, c token) positions {
	if c == tokenStar {
		c = tokenFresh
	}
	n.left -= len(set)
	var next positions
	for _, i := range set {
		if i == len(n.tokens) {
			break
		}
		switch t := n.tokens[i]; {
		case t.wild():
			if t.takes(c) {
				next = n.enter(next, i)
			}
		case t == c:
			next = n.enter(next, i+1)
		}
	}
	return next
}

// addDeep adds to sets where set gets by fresh, fresh/fresh, fresh/fresh/fresh
// and so on, until longer texts make no difference, which is after as many
// slashes as g has tokens at the latest.
func (n *nfa) addDeep(sets []positions, set positions) []positions {
	set = n.step(set, tokenFresh)
	sets = n.addMinimal(sets, set)
	for range n.tokens {
		next := n.step(n.step(set, '/'), tokenFresh)
		if slices.Equal(next, set) || n.left < 0 {
			break
		}
		sets, set = n.addMinimal(sets, next), next
	}
	return sets
}

// addMinimal adds set unless a subset is there, which is the harder case and
// decides alone; supersets of set are dropped for the same reason. An empty set
// so ends up as the only one.
func (n *nfa) addMinimal(sets []positions, set positions) []positions {
	n.left -= len(sets) * len(set)
	for _, s := range sets {
		if subset(s, set) {
			return sets
		}
	}
	sets = slices.DeleteFunc(sets, func(s positions) bool { return subset(set, s) })
	return append(sets, set)
}

// subset reports whether b holds all of a.
func subset(a, b positions) bool {
	for _, i := range a {
		if _, ok := slices.BinarySearch(b, i); !ok {
			return false
		}
	}
	return true
}
