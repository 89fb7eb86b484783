package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

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

// decodeClaims decodes text, a JSON object. Names match exactly and the last of equal ones wins; null is a
// wrong type like any other. problem says in words what is wrong, and is empty if nothing is.
func decodeClaims(text []byte) (c *tokenClaims, problem string) {
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return nil, "the claims are no JSON object"
	}
	c = &tokenClaims{nbf: math.Inf(-1)}
	for _, step := range [...]func(map[string]json.RawMessage) string{
		c.decodeSubject, c.decodeTimes, c.decodeChannels, c.decodePermissions, c.decodeMetadata,
	} {
		if problem := step(members); problem != "" {
			return nil, problem
		}
	}
	return c, ""
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

func (c *tokenClaims) decodeChannels(members map[string]json.RawMessage) string {
	raw, ok := members["channels"]
	if !ok {
		return ""
	}
	c.hasChannels = true
	if c.channels, ok = decodeStrings(raw); !ok {
		return "channels is no list of strings"
	}
	return ""
}

// decodePermissions ignores words it does not know: no key allows what they mean.
func (c *tokenClaims) decodePermissions(members map[string]json.RawMessage) string {
	raw, ok := members["permissions"]
	if !ok {
		return ""
	}
	c.hasPermissions = true
	words, ok := decodeStrings(raw)
	if !ok {
		return "permissions is no list of strings"
	}
	for _, word := range words {
		action, _ := ParseAction(word)
		c.permissions |= action
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
		object, ok := compactObject(raw)
		if !ok {
			return m.name + " is no object"
		}
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

// decodeString decodes a JSON string; null is none.
func decodeString(raw json.RawMessage) (s string, ok bool) {
	return s, len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
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

// compactObject returns raw without insignificant white space, in memory of its own, if it is a JSON object.
func compactObject(raw []byte) ([]byte, bool) {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 || raw[0] != '{' {
		return nil, false
	}
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		return nil, false
	}
	return bytes.Clone(compact.Bytes()), true
}
