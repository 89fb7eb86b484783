package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"unicode/utf8"
)

// usualToken reads tokens as nearly all signers write them, without allocating: a header of just alg, typ and kid,
// claims without oddities in their JSON. What it reads, the JWT library would read the same; what it does not, may
// be good or bad, and the library is to say. It is the scratch of one verification, reused by the next.
type usualToken struct {
	text []byte // the token
	data []byte // its three parts decoded, one after the other

	// Borrowed from text and data until the next read.
	signed    []byte // header and claims as they were signed
	kid       []byte
	signature []byte
	members   claimMembers

	mac macVerifier
}

var usualTokens = sync.Pool{New: func() any {
	return &usualToken{mac: macVerifier{digest: newDigest()}}
}}

// segmentEncoding is base64url without padding and without stray bits at the end.
var segmentEncoding = base64.RawURLEncoding.Strict()

// signatureLen is the length of an HMAC-SHA256 in base64url.
const signatureLen = (sha256.Size*8 + 5) / 6

// read takes a token apart, of which text is now its own copy, and reports whether it is a usual one. Nothing is
// verified yet.
func (u *usualToken) read(text []byte) bool {
	u.text, u.data = text, u.data[:0]
	claimsAt := bytes.IndexByte(text, '.') + 1
	signatureAt := len(text) - signatureLen
	if claimsAt == 0 || signatureAt <= claimsAt || text[signatureAt-1] != '.' {
		return false
	}
	u.signed = u.text[:signatureAt-1]

	header, ok := u.decode(u.text[:claimsAt-1])
	if !ok {
		return false
	}
	if u.kid, ok = usualHeader(header); !ok {
		return false
	}
	claims, ok := u.decode(u.text[claimsAt : signatureAt-1])
	if !ok || !utf8.Valid(claims) || !u.members.scan(claims) {
		return false
	}
	u.signature, ok = u.decode(u.text[signatureAt:])
	return ok
}

// decode decodes one part of the token, a further dot in which is no base64url. encoding/base64 skips line breaks,
// and the text is shorter then.
func (u *usualToken) decode(segment []byte) (text []byte, ok bool) {
	start := len(u.data)
	data, err := segmentEncoding.AppendDecode(u.data, segment)
	if err != nil || len(data)-start != segmentEncoding.DecodedLen(len(segment)) {
		return nil, false
	}
	u.data = data
	return data[start:], true
}

// usualHeader returns the kid of a header that is made of "alg":"HS256", "kid" and perhaps "typ":"JWT", each once
// and in any order, without spaces or escapes.
func usualHeader(header []byte) (kid []byte, ok bool) {
	rest, ok := bytes.CutPrefix(header, []byte("{"))
	if !ok {
		return nil, false
	}
	for alg, typ := false, false; ; {
		switch {
		case !alg && bytes.HasPrefix(rest, []byte(`"alg":"HS256"`)):
			alg, rest = true, rest[len(`"alg":"HS256"`):]
		case !typ && bytes.HasPrefix(rest, []byte(`"typ":"JWT"`)):
			typ, rest = true, rest[len(`"typ":"JWT"`):]
		case kid == nil && bytes.HasPrefix(rest, []byte(`"kid":"`)):
			if kid, rest, ok = cutKeyID(rest[len(`"kid":"`):]); !ok {
				return nil, false
			}
		default:
			return nil, false
		}
		switch {
		case string(rest) == "}":
			return kid, alg && kid != nil
		case at(rest, 0) != ',':
			return nil, false
		}
		rest = rest[1:]
	}
}

// cutKeyID takes a key id up to its closing quote: printable ASCII, and no backslash.
func cutKeyID(text []byte) (kid, rest []byte, ok bool) {
	for i, c := range text {
		switch {
		case c == '"':
			return text[:i:i], text[i+1:], i > 0
		case c < ' ' || c > '~' || c == '\\':
			return nil, nil, false
		}
	}
	return nil, nil, false
}

// verifyUsual returns the key that signed u. As in verifySignature, a key that is of no use costs one HMAC as any
// other.
func (s *Set) verifyUsual(u *usualToken) (*Key, *Refusal) {
	k := s.keysByID[string(u.kid)]
	start := &s.decoy.start
	if k != nil && k.Secret() {
		start = &k.secret.start
	}
	if detail := untrusted(k, u.mac.verify(start, u.signed, u.signature)); detail != "" {
		return nil, unauthorized(detail)
	}
	return k, nil
}
