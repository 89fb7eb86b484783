package auth

import "github.com/goccy/go-json"

// claimMembers are the raw JSON values of the claims that matter, without space around; nil where absent.
type claimMembers struct {
	sub, exp, nbf, iat, channels, permissions, metadata, peerMetadata []byte
}

// named is where the value of the claim with this name belongs, nil if it does not matter. Case does.
func (m *claimMembers) named(name []byte) *[]byte {
	switch string(name) {
	case "sub":
		return &m.sub
	case "exp":
		return &m.exp
	case "nbf":
		return &m.nbf
	case "iat":
		return &m.iat
	case "channels":
		return &m.channels
	case "permissions":
		return &m.permissions
	case "metadata":
		return &m.metadata
	case "peerMetadata":
		return &m.peerMetadata
	}
	return nil
}

// decodeMembers finds the members of text, a JSON object that encoding/json has found valid. Names match exactly,
// for it is a map that they go into, and the last of equal ones wins.
func decodeMembers(text []byte) (m claimMembers, ok bool) {
	var all map[string]json.RawMessage
	if json.Unmarshal(text, &all) != nil {
		return m, false
	}
	for name, raw := range all {
		if value := m.named([]byte(name)); value != nil {
			*value = raw
			if raw == nil {
				*value = []byte("null") // present, and a wrong type as any other
			}
		}
	}
	return m, true
}

// maxUsualDepth is how deep a usual token's claims nest.
const maxUsualDepth = 32

// scan finds the members of text, as decodeMembers does and without allocating, if text is a JSON object of the
// usual kind. It refuses what is no valid JSON and some of what is: spaces around the object, escapes in the
// claims' names, deep nesting. text must be valid UTF-8.
func (m *claimMembers) scan(text []byte) bool {
	*m = claimMembers{}
	if at(text, 0) != '{' {
		return false
	}
	i := skipSpace(text, 1)
	if at(text, i) == '}' {
		return i+1 == len(text)
	}
	for {
		name, start := scanName(text, i)
		if start < 0 {
			return false
		}
		end := skipValue(text, start, 1)
		if end < 0 {
			return false
		}
		if value := m.named(name); value != nil {
			*value = text[start:end:end]
		}
		i = skipSpace(text, end)
		switch at(text, i) {
		case ',':
			i = skipSpace(text, i+1)
		case '}':
			return i+1 == len(text)
		default:
			return false
		}
	}
}

// scanName takes the name of a claim, which must be without escapes, and the colon behind it. It returns the text
// of the name and where the value should start, or -1.
func scanName(text []byte, start int) (name []byte, value int) {
	end, plain := skipString(text, start)
	if end < 0 || !plain {
		return nil, -1
	}
	i := skipSpace(text, end)
	if at(text, i) != ':' {
		return nil, -1
	}
	return text[start+1 : end-1], skipSpace(text, i+1)
}
