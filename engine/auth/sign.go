package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"signalbox/protocol"
)

const (
	// DefaultExpiresIn and MaxExpiresIn bound a signed token's life, in seconds.
	DefaultExpiresIn = 3600
	MaxExpiresIn     = 86400
	// MaxClaimChannels and MaxClaimPermissions cap the lists of a signed token.
	MaxClaimChannels    = 100
	MaxClaimPermissions = 16
)

// Faults of claims to sign. The errors of Sign wrap one of them and say more in words that are safe to show
// to whoever sent the claims.
var (
	ErrInvalidClaims        = errors.New("invalid claims")
	ErrChannelNotAuthorized = errors.New("channel not authorized by the key")
	ErrActionNotPermitted   = errors.New("action not permitted by the key")
)

// Claims are what a token to sign shall say.
type Claims struct {
	PeerID       string   // printable ASCII, 1–128 bytes
	Channels     []string // names and globs; nil: absent, the key's patterns; empty: none
	Permissions  []string // action words; nil: absent, the key's actions
	ExpiresIn    int64    // seconds; 0: DefaultExpiresIn
	Metadata     []byte   // JSON object, nil: absent
	PeerMetadata []byte   // JSON object, nil: absent
}

// jwtClaims is the JSON of a signed token's claims.
type jwtClaims struct {
	Subject      string          `json:"sub"`
	IssuedAt     int64           `json:"iat"`
	ExpiresAt    int64           `json:"exp"`
	Channels     []string        `json:"channels,omitzero"`
	Permissions  []string        `json:"permissions,omitzero"`
	Metadata     json.RawMessage `json:"metadata,omitzero"`
	PeerMetadata json.RawMessage `json:"peerMetadata,omitzero"`
}

// Sign returns a token for c that holds from now on, and its exp in unix seconds. k must be a secret key. What
// c asks for beyond the key is refused, never narrowed, and what Sign returns VerifyToken accepts for as long as
// the key stays as it is.
func (k *Key) Sign(c Claims, now time.Time) (token string, expiresAt int64, err error) {
	if !k.Secret() {
		return "", 0, errors.New("auth: only a secret key signs tokens")
	}
	claims, err := k.checkClaims(c, now)
	if err != nil {
		return "", 0, err
	}
	// json.Marshal would escape <, > and & in the metadata, and so take it over its cap.
	var payload bytes.Buffer
	encoder := json.NewEncoder(&payload)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(claims); err != nil {
		return "", 0, fmt.Errorf("auth: encode claims: %w", err)
	}
	header := protocol.AppendString([]byte(`{"alg":"HS256","typ":"JWT","kid":`), k.ID)
	text := base64.RawURLEncoding.AppendEncode(nil, append(header, '}'))
	text = append(text, '.')
	text = base64.RawURLEncoding.AppendEncode(text, bytes.TrimRight(payload.Bytes(), "\n"))
	signature, err := jwt.SigningMethodHS256.Sign(string(text), k.secret.hmac)
	if err != nil {
		return "", 0, fmt.Errorf("auth: sign: %w", err)
	}
	text = append(text, '.')
	text = base64.RawURLEncoding.AppendEncode(text, signature)
	if len(text) > MaxTokenLen {
		return "", 0, fmt.Errorf("%w: the token would be over %d bytes", ErrInvalidClaims, MaxTokenLen)
	}
	return string(text), claims.ExpiresAt, nil
}

// checkClaims turns c into what goes into the token, if k may sign it.
func (k *Key) checkClaims(c Claims, now time.Time) (*jwtClaims, error) {
	if !protocol.ValidPeerID(c.PeerID) {
		return nil, fmt.Errorf("%w: peerId must be 1–128 bytes of printable ASCII", ErrInvalidClaims)
	}
	if c.ExpiresIn == 0 {
		c.ExpiresIn = DefaultExpiresIn
	}
	if c.ExpiresIn < 0 || c.ExpiresIn > MaxExpiresIn {
		return nil, fmt.Errorf("%w: a token lives for 1 to %d seconds", ErrInvalidClaims, MaxExpiresIn)
	}
	if err := k.checkChannels(c.Channels); err != nil {
		return nil, err
	}
	if err := k.checkPermissions(c.Permissions); err != nil {
		return nil, err
	}
	metadata, err := claimObject("metadata", c.Metadata, MaxMetadataLen)
	if err != nil {
		return nil, err
	}
	peerMetadata, err := claimObject("peerMetadata", c.PeerMetadata, MaxPeerMetadataLen)
	if err != nil {
		return nil, err
	}
	return &jwtClaims{
		Subject:      c.PeerID,
		IssuedAt:     now.Unix(),
		ExpiresAt:    now.Unix() + c.ExpiresIn,
		Channels:     c.Channels,
		Permissions:  c.Permissions,
		Metadata:     metadata,
		PeerMetadata: peerMetadata,
	}, nil
}

// checkChannels wants every channel valid and within one pattern of the key. A name without a star is covered
// by what matches it.
func (k *Key) checkChannels(channels []string) error {
	if len(channels) > MaxClaimChannels {
		return fmt.Errorf("%w: more than %d channels", ErrInvalidClaims, MaxClaimChannels)
	}
	for i, name := range channels {
		if !protocol.ValidChannel(name) {
			return fmt.Errorf("%w: channels[%d] is no valid channel name or pattern", ErrInvalidClaims, i)
		}
		if !protocol.AnyCovers(k.Patterns, protocol.CompileGlob(name)) {
			return fmt.Errorf("%w: channels[%d]", ErrChannelNotAuthorized, i)
		}
	}
	return nil
}

// checkPermissions wants every word to be an action, and one that the key has.
func (k *Key) checkPermissions(words []string) error {
	if len(words) > MaxClaimPermissions {
		return fmt.Errorf("%w: more than %d permissions", ErrInvalidClaims, MaxClaimPermissions)
	}
	var asked Actions
	for i, word := range words {
		action, known := ParseAction(word)
		if !known {
			return fmt.Errorf("%w: permissions[%d] is none of %s", ErrInvalidClaims, i, AllActions)
		}
		asked |= action
	}
	if !k.Actions.Has(asked) {
		return fmt.Errorf("%w: %s", ErrActionNotPermitted, asked&^k.Actions)
	}
	return nil
}

// claimObject checks one of the metadata objects and returns it compact, nil if raw is nil.
func claimObject(name string, raw []byte, limit int) (json.RawMessage, error) {
	if raw == nil {
		return nil, nil
	}
	object := bytes.TrimLeft(raw, " \t\r\n")
	if len(object) == 0 || object[0] != '{' || !json.Valid(object) || !utf8.Valid(object) {
		return nil, fmt.Errorf("%w: %s must be a JSON object in UTF-8", ErrInvalidClaims, name)
	}
	if object = compact(object); len(object) > limit {
		return nil, fmt.Errorf("%w: %s is over %d bytes", ErrInvalidClaims, name, limit)
	}
	return object, nil
}
