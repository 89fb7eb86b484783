package auth

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// MaxTokenLen caps a token's length in bytes: a request head is no longer.
const MaxTokenLen = 32 << 10

// jwtParser decodes and verifies; the claims are checked here, in the order that the answers need.
var jwtParser = jwt.NewParser(
	jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
	jwt.WithStrictDecoding(),
	jwt.WithoutClaimsValidation(),
)

// errHeader makes the parser give up on a token whose header names no usable key.
var errHeader = errors.New("auth: unusable token header")

// VerifyToken identifies the bearer of a JWT at the time now. The error is always a *Refusal; doc.go has the
// order of the checks. A usual token costs no more than its identity; any other goes through the JWT library.
func (s *Set) VerifyToken(token string, now time.Time) (*Identity, error) {
	return verifyToken(s, token, now)
}

// VerifyTokenBytes is VerifyToken for bytes, borrowed until it returns.
func (s *Set) VerifyTokenBytes(token []byte, now time.Time) (*Identity, error) {
	return verifyToken(s, token, now)
}

func verifyToken[T string | []byte](s *Set, token T, now time.Time) (*Identity, error) {
	u := usualTokens.Get().(*usualToken)
	defer usualTokens.Put(u)
	if len(token) > MaxTokenLen || !u.read(append(u.text[:0], token...)) {
		return s.verifyByLibrary(string(token), now)
	}
	k, refusal := s.verifyUsual(u)
	if refusal != nil {
		return nil, refusal
	}
	return identify(k, &u.members, now)
}

// verifyByLibrary is VerifyToken for every token.
func (s *Set) verifyByLibrary(token string, now time.Time) (*Identity, error) {
	k, claims, refusal := s.verifySignature(token)
	if refusal != nil {
		return nil, refusal
	}
	m, ok := decodeMembers(claims)
	if !ok {
		return nil, unauthorized("the claims are no JSON object")
	}
	return identify(k, &m, now)
}

// identify makes the identity of whoever has claims m, which k signed. It keeps nothing of m.
func identify(k *Key, m *claimMembers, now time.Time) (*Identity, error) {
	var c tokenClaims
	if problem := c.decode(m); problem != "" {
		return nil, unauthorized(problem)
	}
	if refusal := c.checkTimes(now); refusal != nil {
		return nil, refusal
	}
	grant := k.grant(&c)
	if grant == nil {
		return nil, noChannels("no name in the channels claim can match any of the key's channelPatterns")
	}
	if refusal := suspension(k.App); refusal != nil {
		return nil, refusal
	}
	return &Identity{
		App:          k.App,
		Key:          k,
		PeerID:       c.sub,
		ExpiresAt:    c.expiresAt(),
		Grant:        grant,
		Metadata:     c.metadata,
		PeerMetadata: c.peerMetadata,
	}, nil
}

// verifySignature returns the key that signed token and the text of its claims. A key that does not exist, is
// not secret or is revoked costs one HMAC as any other.
func (s *Set) verifySignature(token string) (*Key, []byte, *Refusal) {
	if problem := checkForm(token); problem != "" {
		return nil, nil, malformed(problem)
	}
	var k *Key
	var problem string
	claims := &rawClaims{}
	_, err := jwtParser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		var kid string
		if kid, problem = keyID(t); problem != "" {
			return nil, errHeader
		}
		if k = s.Key(kid); k == nil || !k.Secret() {
			return s.decoy.hmac, nil
		}
		return k.secret.hmac, nil
	})
	switch {
	case errors.Is(err, errHeader):
		return nil, nil, malformed(problem)
	case errors.Is(err, errClaimsText), err == nil && claims.text == nil: // claims `null` are never decoded
		return nil, nil, malformed("the claims are no JSON object in UTF-8")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, nil, malformed("the token is not made of three base64url parts: JSON header, JSON claims, signature")
	case err != nil && !errors.Is(err, jwt.ErrSignatureInvalid):
		return nil, nil, malformed("alg in the header is not HS256")
	}
	if detail := untrusted(k, err == nil); detail != "" {
		return nil, nil, unauthorized(detail)
	}
	return k, claims.text, nil
}

// keyID returns the kid of a token whose alg is known to be HS256, or says what is wrong with the header. Names
// match exactly, and the last of equal ones wins, as encoding/json decodes into a map.
func keyID(t *jwt.Token) (kid, problem string) {
	segment, _, _ := strings.Cut(t.Raw, ".")
	if header, err := jwtParser.DecodeSegment(segment); err != nil || !utf8.Valid(header) {
		return "", "the header is not UTF-8"
	}
	// RFC 7515 §4.1.11: extensions that are not understood must not be ignored, and none is.
	if _, critical := t.Header["crit"]; critical {
		return "", "crit in the header asks for an extension; none is supported"
	}
	if kid, _ = t.Header["kid"].(string); kid == "" {
		return "", "kid in the header is missing or no string: it must name the key"
	}
	return kid, ""
}

// untrusted says why a signature by k, which is good or not as far as HMAC goes, is not to be trusted.
func untrusted(k *Key, good bool) string {
	switch {
	case k == nil:
		return "kid in the header names no key"
	case !k.Secret():
		return "kid in the header names a publishable key, which signs no tokens"
	case !good:
		return "the signature is wrong: not made with this key's secret, or the token was changed"
	case k.Revoked:
		return "the key is revoked"
	}
	return ""
}

// checkForm says what is wrong with a token that is not to be parsed at all. It admits the base64url alphabet
// and dots only: encoding/base64 skips line breaks, which would give one token many spellings.
func checkForm(token string) string {
	if token == "" {
		return "no token and no key"
	}
	if len(token) > MaxTokenLen {
		return "the token is longer than 32 KiB"
	}
	for i := range len(token) {
		switch c := token[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return "the token holds a character that base64url has not"
		}
	}
	return ""
}
