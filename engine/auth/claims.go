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
	sub          string
	exp          float64 // unix seconds, as nbf
	nbf          float64 // -Inf if absent
	channels     []byte  // JSON list of strings, nil if absent; borrowed from the members
	permissions  Actions // AllActions if absent
	metadata     []byte  // compact, nil if absent
	peerMetadata []byte  // compact, nil if absent
}

// decode decodes m. null is a wrong type like any other. problem says in words what is wrong, and is empty if
// nothing is. Nothing but c.channels aliases m afterwards.
func (c *tokenClaims) decode(m *claimMembers) (problem string) {
	*c = tokenClaims{nbf: math.Inf(-1), permissions: AllActions}
	if problem = c.decodeSubject(m.sub); problem != "" {
		return problem
	}
	if problem = c.decodeTimes(m); problem != "" {
		return problem
	}
	if problem = c.decodeLists(m); problem != "" {
		return problem
	}
	return c.decodeMetadata(m)
}

func (c *tokenClaims) decodeSubject(raw []byte) string {
	if raw == nil {
		return "sub is missing"
	}
	var ok bool
	if c.sub, ok = decodeString(raw); !ok {
		return "sub is no string"
	}
	if !protocol.ValidPeerID(c.sub) {
		return "sub is not 1–128 bytes of printable ASCII"
	}
	return ""
}

func (c *tokenClaims) decodeTimes(m *claimMembers) string {
	var iat float64 // of no consequence
	for _, t := range [...]struct {
		name string
		raw  []byte
		dst  *float64
	}{
		{"exp", m.exp, &c.exp}, {"nbf", m.nbf, &c.nbf}, {"iat", m.iat, &iat},
	} {
		if t.raw == nil && t.name != "exp" {
			continue
		}
		seconds, ok := decodeNumber(t.raw)
		if !ok {
			return t.name + " is missing or no number"
		}
		if math.Abs(seconds) > maxUnix {
			return t.name + " is beyond every date"
		}
		*t.dst = seconds
	}
	return ""
}

// decodeLists ignores permissions it does not know: no key allows what they mean.
func (c *tokenClaims) decodeLists(m *claimMembers) string {
	if m.channels != nil {
		if !eachString(m.channels, func([]byte) {}) {
			return "channels is no list of strings"
		}
		c.channels = m.channels
	}
	if m.permissions != nil {
		c.permissions = 0
		ok := eachString(m.permissions, func(raw []byte) {
			if word, ok := plainText(raw); ok {
				c.permissions |= actionOf(word)
			} else if word, ok := decodeString(raw); ok {
				c.permissions |= actionOf([]byte(word))
			}
		})
		if !ok {
			return "permissions is no list of strings"
		}
	}
	return ""
}

// actionOf is the action that word names, or none.
func actionOf(word []byte) Actions {
	action, _ := ParseAction(string(word))
	return action
}

func (c *tokenClaims) decodeMetadata(m *claimMembers) string {
	for _, o := range [...]struct {
		name  string
		raw   []byte
		limit int
		dst   *[]byte
	}{
		{"metadata", m.metadata, MaxMetadataLen, &c.metadata},
		{"peerMetadata", m.peerMetadata, MaxPeerMetadataLen, &c.peerMetadata},
	} {
		if o.raw == nil {
			continue
		}
		if !bytes.HasPrefix(o.raw, []byte("{")) {
			return o.name + " is no object"
		}
		object := compact(o.raw)
		if len(object) > o.limit {
			return o.name + " is over " + strconv.Itoa(o.limit) + " bytes"
		}
		*o.dst = object
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

// plainText returns what the JSON string raw says if it has no escapes: a part of raw.
func plainText(raw []byte) (text []byte, ok bool) {
	if len(raw) < 2 || raw[0] != '"' || bytes.IndexByte(raw, '\\') >= 0 {
		return nil, false
	}
	return raw[1 : len(raw)-1], true
}

// decodeString decodes a JSON string, into memory of its own; null is none.
func decodeString(raw []byte) (s string, ok bool) {
	if text, ok := plainText(raw); ok {
		return string(text), true
	}
	var unescaped string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &unescaped) != nil {
		return "", false
	}
	return strings.Clone(unescaped), true // go-json's strings share one buffer
}

// eachString calls use with the elements of raw, a valid JSON value, in their quotes. It returns false if raw is no
// list of strings; use may have been called by then.
func eachString(raw []byte, use func(element []byte)) bool {
	if at(raw, 0) != '[' {
		return false
	}
	i := skipSpace(raw, 1)
	for at(raw, i) != ']' {
		end, _ := skipString(raw, i)
		if end < 0 {
			return false
		}
		use(raw[i:end])
		if i = skipSpace(raw, end); at(raw, i) == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return true
}

// decodeStrings decodes a valid JSON list of strings, each into memory of its own.
func decodeStrings(raw []byte) []string {
	list := []string{}
	eachString(raw, func(element []byte) {
		if s, ok := decodeString(element); ok {
			list = append(list, s)
		}
	})
	return list
}

// decodeNumber decodes a JSON number; one beyond float64 is infinite.
func decodeNumber(raw []byte) (f float64, ok bool) {
	if n, ok := smallInteger(raw); ok {
		return float64(n), true
	}
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	return f, err == nil || errors.Is(err, strconv.ErrRange)
}

// smallInteger decodes a number of up to 15 digits and nothing else: what a float64 holds exactly.
func smallInteger(raw []byte) (n int64, ok bool) {
	if len(raw) == 0 || len(raw) > 15 {
		return 0, false
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// compact returns raw, which is valid JSON, without insignificant white space and in memory of its own, no
// larger than it need be: it lives as long as a connection.
func compact(raw []byte) []byte {
	dst := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			end, _ := skipString(raw, i)
			dst = append(dst, raw[i:end]...)
			i = end
		case ' ', '\t', '\r', '\n':
			i++
		default:
			dst = append(dst, raw[i])
			i++
		}
	}
	if len(dst) < len(raw) {
		return bytes.Clone(dst)
	}
	return dst
}
