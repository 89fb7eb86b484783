package auth

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
)

// Identity is who a connection is and what it may do. Immutable; nothing in it aliases the credential it was
// made from.
type Identity struct {
	App    *App
	Key    *Key
	PeerID string
	// ExpiresAt is the token's exp in unix seconds, rounded down; 0: never (a publishable key).
	ExpiresAt int64
	Grant     *Grant
	// Metadata is a compact JSON object for the peer's own welcome, nil if the token has none. The welcome
	// takes it through WelcomeMetadata.
	Metadata []byte
	// PeerMetadata is a compact JSON object for other peers, nil if the token has none.
	PeerMetadata []byte
}

// VerifyKey identifies the bearer of a publishable key. origin is the request's Origin header, "" without one;
// it is compared exactly, as browsers serialise it (RFC 6454 §6.2). The error is always a *Refusal.
func (s *Set) VerifyKey(id, origin string) (*Identity, error) {
	if id == "" {
		return nil, malformed("no token and no key")
	}
	k := s.Key(id)
	switch {
	case k == nil:
		return nil, unauthorized("no such key")
	case k.Secret():
		return nil, unauthorized("a secret key's id is no credential: it signs tokens")
	case k.AllowedOrigins != nil && !slices.Contains(k.AllowedOrigins, origin):
		return nil, originNotAllowed("the Origin header is not among the key's allowedOrigins")
	case k.Revoked:
		return nil, unauthorized("the key is revoked")
	}
	if refusal := suspension(k.App); refusal != nil {
		return nil, refusal
	}
	return &Identity{App: k.App, Key: k, PeerID: newUUID(), Grant: k.Grant()}, nil
}

// newUUID returns a random UUID (RFC 9562 §5.4, version 4).
func newUUID() string {
	var u [16]byte
	rand.Read(u[:]) // never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	text := make([]byte, 0, 36)
	for i, part := range [...][]byte{u[:4], u[4:6], u[6:8], u[8:10], u[10:]} {
		if i > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, part)
	}
	return string(text)
}
