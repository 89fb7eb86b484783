package auth

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-json"
	"github.com/golang-jwt/jwt/v5"

	"signalbox/protocol"
)

const (
	// MaxMetadataLen and MaxPeerMetadataLen cap a token's two metadata objects, in bytes of compact JSON as
	// the token spells it.
	MaxMetadataLen     = 8 << 10
	MaxPeerMetadataLen = 4 << 10

	// maxUnix is the latest time a claim may name: beyond 2^53 clients cannot count seconds.
	maxUnix = 1<<53 - 1
)

// rawClaims is what the JWT parser decodes the claims into: their text, to be looked at once the signature is
// known to be good. The embedded claims stay empty: they make it a jwt.Claims.
type rawClaims struct {
	jwt.RegisteredClaims
	text []byte
}

var errClaimsText = errors.New("auth: claims are no JSON object in UTF-8")

// UnmarshalJSON keeps text, which is valid JSON, if it is an object and valid UTF-8 (RFC 7519 §7.2).
func (c *rawClaims) UnmarshalJSON(text []byte) error {
	if len(text) == 0 || text[0] != '{' || !utf8.Valid(text) {
		return errClaimsText
	}
	c.text = bytes.Clone(text)
	return nil
}

// tokenClaims are a token's claims, decoded and checked as far as they can be without a key or a clock.
type tokenClaims struct {
	sub            string
	exp            float64 // unix seconds, as nbf
	nbf            float64 // -Inf if absent
	hasChannels    bool
	channels       []string
	hasPermissions bool
	permissions    Actions
	metadata       []byte // compact, nil if absent
	peerMetadata   []byte // compact, nil if absent
}

// decodeClaims decodes text, a JSON object that encoding/json has found valid. Names match exactly, for it is a
// map that they go into, and the last of equal ones wins; null is a wrong type like any other. problem says in
// words what is wrong, and is empty if nothing is.
func decodeClaims(text []byte) (c *tokenClaims, problem string) {
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return nil, "the claims are no JSON object"
	}
	c = &tokenClaims{nbf: math.Inf(-1)}
	problem = c.decodeSubject(members)
	if problem == "" {
		problem = c.decodeTimes(members)
	}
	if problem == "" {
		problem = c.decodeLists(members)
	}
	if problem == "" {
		problem = c.decodeMetadata(members)
	}
	return c, problem
}

func (c *tokenClaims) decodeSubject(members map[string]json.RawMessage) string {
	raw, ok := members["sub"]
	if !ok {
		return "sub is missing"
	}
	if c.sub, ok = decodeString(raw); !ok {
		return "sub is no string"
	}
	if !protocol.ValidPeerID(c.sub) {
		return "sub is not 1–128 bytes of printable ASCII"
	}
	return ""
}

func (c *tokenClaims) decodeTimes(members map[string]json.RawMessage) string {
	for _, m := range [...]struct {
		name string
		dst  *float64 // nil: of no consequence
	}{
		{"exp", &c.exp}, {"nbf", &c.nbf}, {"iat", nil},
	} {
		raw, present := members[m.name]
		if !present && m.name != "exp" {
			continue
		}
		seconds, ok := decodeNumber(raw)
		if !ok {
			return m.name + " is missing or no number"
		}
		if math.Abs(seconds) > maxUnix {
			return m.name + " is beyond every date"
		}
		if m.dst != nil {
			*m.dst = seconds
		}
	}
	return ""
}

// decodeLists ignores permissions it does not know: no key allows what they mean.
func (c *tokenClaims) decodeLists(members map[string]json.RawMessage) string {
	raw, ok := members["channels"]
	if c.hasChannels = ok; ok {
		if c.channels, ok = decodeStrings(raw); !ok {
			return "channels is no list of strings"
		}
	}
	raw, ok = members["permissions"]
	if c.hasPermissions = ok; ok {
		words, ok := decodeStrings(raw)
		if !ok {
			return "permissions is no list of strings"
		}
		for _, word := range words {
			action, _ := ParseAction(word)
			c.permissions |= action
		}
	}
	return ""
}

func (c *tokenClaims) decodeMetadata(members map[string]json.RawMessage) string {
	for _, m := range [...]struct {
		name  string
		limit int
		dst   *[]byte
	}{
		{"metadata", MaxMetadataLen, &c.metadata},
		{"peerMetadata", MaxPeerMetadataLen, &c.peerMetadata},
	} {
		raw, present := members[m.name]
		if !present {
			continue
		}
		if !bytes.HasPrefix(raw, []byte("{")) {
			return m.name + " is no object"
		}
		object := compact(raw)
		if len(object) > m.limit {
			return m.name + " is over " + strconv.Itoa(m.limit) + " bytes"
		}
		*m.dst = object
	}
	return ""
}

// checkTimes refuses claims that are not valid at now, which is before nbf or not before exp.
func (c *tokenClaims) checkTimes(now time.Time) *Refusal {
	if float64(now.Unix())+float64(now.Nanosecond())/1e9 < c.nbf {
		return unauthorized("nbf is in the future: the token is not valid yet")
	}
	if now.Unix() >= c.expiresAt() {
		return expired("exp has passed, at " + time.Unix(c.expiresAt(), 0).UTC().Format(time.RFC3339))
	}
	return nil
}

// expiresAt is exp in whole seconds: a fraction is not waited for.
func (c *tokenClaims) expiresAt() int64 { return int64(math.Floor(c.exp)) }

// decodeString decodes a JSON string, into memory of its own; null is none.
func decodeString(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return strings.Clone(s), true // go-json's strings share one buffer
}

// decodeStrings decodes a JSON list of strings; null is none, and no element either.
func decodeStrings(raw json.RawMessage) (list []string, ok bool) {
	var elements []*string
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &elements) != nil {
		return nil, false
	}
	list = make([]string, 0, len(elements))
	for _, s := range elements {
		if s == nil {
			return nil, false
		}
		list = append(list, *s)
	}
	return list, true
}

// decodeNumber decodes a JSON number; one beyond float64 is infinite.
func decodeNumber(raw json.RawMessage) (f float64, ok bool) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	return f, err == nil || errors.Is(err, strconv.ErrRange)
}

// compact returns raw, which is valid JSON, without insignificant white space and in memory of its own, no
// larger than it need be: it lives as long as a connection.
func compact(raw []byte) []byte {
	dst := make([]byte, 0, len(raw))
	quoted := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			dst = append(dst, c)
			i++ // what is escaped ends no string
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			continue
		}
		dst = append(dst, raw[i])
	}
	if len(dst) < len(raw) {
		return bytes.Clone(dst)
	}
	return dst
}
