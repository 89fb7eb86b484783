package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
)

// ErrUnauthorized is every failure of a REST credential: they read alike.
var ErrUnauthorized = errors.New("auth: unauthorized")

// VerifyBearer returns the secret key of a REST credential, "Bearer <id>:<secret>" in an Authorization
// header. The scheme's case does not matter (RFC 9110 §11.1). A revoked key and a suspended app fail as an
// unknown key does. The time taken depends on the length of the header only.
func (s *Set) VerifyBearer(header string) (*Key, error) {
	id, given := cutBearer(header)
	k := s.Key(id)
	usable := k != nil && k.Secret() && !k.Revoked && !k.App.Suspended
	want := &s.decoy.digest
	if usable {
		want = &k.secret.digest
	}
	got := sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !usable {
		return nil, ErrUnauthorized
	}
	return k, nil
}

// cutBearer splits an Authorization header into a key id and a secret, both empty if it is no such thing.
func cutBearer(header string) (id, secret string) {
	scheme, credential, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ""
	}
	id, secret, _ = strings.Cut(strings.Trim(credential, " "), ":")
	return id, secret
}
