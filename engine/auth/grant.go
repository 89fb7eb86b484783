package auth

import (
	"slices"

	"signalbox/protocol"
)

// Grant is what a connection may do: the intersection of a token's claims and its key. Immutable; connections
// with equal rights may share one. Its methods do not allocate.
type Grant struct {
	key     *Key
	actions Actions // already within the key's
	// claimed tells an absent channels claim (the key's patterns alone decide) from an empty one (none).
	claimed bool
	// claims holds the channels claim, less what no name of the key could satisfy.
	claims []protocol.Glob
}

// Key returns the key that the grant is part of.
func (g *Grant) Key() *Key { return g.key }

// maxOverlapWork bounds the comparison of a channels claim with the key's patterns, in pairs of bytes: a few
// milliseconds. Usual tokens take some hundreds. What is left undecided is kept, which grants nothing: a channel
// must match the key in any case.
const maxOverlapWork = 1 << 18

// grant is what a token with claims c, signed with k, may do. It is nil if channels lists something and no name at
// all satisfies both an entry of it and a pattern of k. Tokens that claim the same share one, as far as k remembers.
func (k *Key) grant(c *tokenClaims) *Grant {
	actions := k.Actions & c.permissions
	if c.channels == nil {
		return &k.grants[actions]
	}
	if g := k.claimed.find(actions, c.channels); g != nil {
		return g
	}
	g := newGrant(k, actions, decodeStrings(c.channels))
	if g == nil {
		return nil
	}
	return k.claimed.add(c.channels, g)
}

// newGrant intersects channels with what k allows; actions are within k's. It returns nil if channels is not empty
// and no name at all satisfies both an entry of it and a pattern of k. The grant keeps the strings.
func newGrant(k *Key, actions Actions, channels []string) *Grant {
	g := &Grant{key: k, actions: actions, claimed: true}
	budget := maxOverlapWork
	for _, name := range channels {
		if !protocol.ValidChannel(name) {
			continue // too long, empty or with control characters: no channel is called so
		}
		claim := protocol.CompileGlob(name)
		if overlapsAny(k.Patterns, claim, &budget) {
			g.claims = append(g.claims, claim)
		}
	}
	if len(channels) > 0 && len(g.claims) == 0 {
		return nil
	}
	g.claims = slices.Clip(g.claims)
	return g
}

// Allows reports whether every action of a is granted.
func (g *Grant) Allows(a Actions) bool { return g.actions.Has(a) }

// Actions returns all granted actions.
func (g *Grant) Actions() Actions { return g.actions }

// Channel reports whether the concrete channel name is granted: some claim and some pattern of the key match
// it. It says nothing of the name's validity, nor of reserved names.
func (g *Grant) Channel(name string) bool {
	return matchesAny(g.key.Patterns, name) && (!g.claimed || matchesAny(g.claims, name))
}

// ChannelBytes is Channel for a borrowed name.
func (g *Grant) ChannelBytes(name []byte) bool {
	return matchesAnyBytes(g.key.Patterns, name) && (!g.claimed || matchesAnyBytes(g.claims, name))
}

// Covers reports whether a wildcard subscription to glob stays within the grant: one claim and one pattern of
// the key each match, alone, every name that glob matches. It may refuse what two patterns cover together; it
// never allows more.
func (g *Grant) Covers(glob protocol.Glob) bool {
	return protocol.AnyCovers(g.key.Patterns, glob) && (!g.claimed || protocol.AnyCovers(g.claims, glob))
}

// Patterns lists the channel names and globs claimed, or the key's patterns if none were: a description of the
// grant for people, wider than the grant where a claim reaches beyond the key.
func (g *Grant) Patterns() []string {
	from := g.key.Patterns
	if g.claimed {
		from = g.claims
	}
	names := make([]string, 0, len(from))
	for _, p := range from {
		names = append(names, p.String())
	}
	return names
}

func matchesAny(patterns []protocol.Glob, name string) bool {
	for i := range patterns {
		if patterns[i].Match(name) {
			return true
		}
	}
	return false
}

func matchesAnyBytes(patterns []protocol.Glob, name []byte) bool {
	for i := range patterns {
		if patterns[i].MatchBytes(name) {
			return true
		}
	}
	return false
}

// overlapsAny reports whether some channel's name can match both claim and one of patterns. It takes its work off
// budget and answers yes when that is used up.
func overlapsAny(patterns []protocol.Glob, claim protocol.Glob, budget *int) bool {
	if name, literal := claim.Literal(); literal {
		return !protocol.IsGlob(name) && matchesAny(patterns, name) // an escaped star is in no channel's name
	}
	for i := range patterns {
		a, b := patterns[i].LiteralPrefix(), claim.LiteralPrefix()
		if n := min(len(a), len(b)); a[:n] != b[:n] {
			continue
		}
		if *budget -= len(patterns[i].String()) * len(claim.String()); *budget < 0 || patterns[i].Overlaps(claim) {
			return true
		}
	}
	return false
}
