package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding"
	"hash"
)

// macStart holds the two SHA-256 states that every HMAC under one secret begins with: after the inner and after
// the outer padded key (RFC 2104 §4 recommends keeping them). Immutable.
type macStart struct {
	inner, outer []byte // as the hash marshals itself
}

// newMACStart hashes the padded forms of key, which is at most one block long.
func newMACStart(key []byte) macStart {
	return macStart{inner: padState(key, 0x36), outer: padState(key, 0x5c)}
}

func padState(key []byte, pad byte) []byte {
	var block [sha256.BlockSize]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	digest := newDigest()
	digest.Write(block[:])
	state, err := digest.AppendBinary(nil)
	if err != nil {
		panic("auth: crypto/sha256 cannot marshal its state: " + err.Error())
	}
	return state
}

// digest is a SHA-256 whose state can be saved and put back, as crypto/sha256 documents of its own.
type digest interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

func newDigest() digest { return sha256.New().(digest) }

// macVerifier checks HMAC-SHA256 signatures without allocating. Not for concurrent use.
type macVerifier struct {
	digest digest
	sum    [sha256.Size]byte
}

// verify reports whether signature is that of text. The time taken depends on the length of text only.
func (v *macVerifier) verify(start *macStart, text, signature []byte) bool {
	v.resume(start.inner)
	v.digest.Write(text)
	sum := v.digest.Sum(v.sum[:0])
	v.resume(start.outer)
	v.digest.Write(sum)
	return hmac.Equal(v.digest.Sum(v.sum[:0]), signature)
}

func (v *macVerifier) resume(state []byte) {
	if err := v.digest.UnmarshalBinary(state); err != nil {
		panic("auth: crypto/sha256 refuses its own state: " + err.Error())
	}
}
