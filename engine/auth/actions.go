package auth

import "strings"

// Actions is a set of things a key or a token permits, one bit each.
type Actions uint8

const (
	Publish Actions = 1 << iota
	Subscribe
	Presence
	Send

	// AllActions holds every action there is.
	AllActions = Publish | Subscribe | Presence | Send
)

// actionSets is the number of different values of Actions.
const actionSets = int(AllActions) + 1

// actionNames lists the words in the order of their bits.
var actionNames = [...]string{"publish", "subscribe", "presence", "send"}

// Has reports whether every action of b is in a.
func (a Actions) Has(b Actions) bool { return a&b == b }

// ParseAction returns the action that word names; case matters.
func ParseAction(word string) (Actions, bool) {
	for i, name := range actionNames {
		if word == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// Words lists the actions of a by name, in a fixed order.
func (a Actions) Words() []string {
	words := make([]string, 0, len(actionNames))
	for i, name := range actionNames {
		if a.Has(1 << i) {
			words = append(words, name)
		}
	}
	return words
}

// String joins the words of a with commas, as in "publish, send".
func (a Actions) String() string { return strings.Join(a.Words(), ", ") }
