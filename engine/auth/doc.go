// Package auth knows who may connect and what they may do: apps and their keys, the apps.yaml file they
// live in, JSON Web Tokens, publishable keys, REST credentials, and the grants that follow from them.
//
// # Terms
//
// An app is a tenant. A secret key (sk) signs tokens and opens the REST API; a publishable key (pk) is a
// credential by itself, bound to browser origins if it lists any. A [Set] is one reading of apps.yaml. An
// [Identity] is who a connection is; its [Grant] is what it may do: the intersection of what the token
// claims and what the key allows. A [Refusal] says why there is no identity and how the peer is to learn it.
//
// # Verdicts
//
// [Set.VerifyToken] checks in this order, and the first fault decides: the token's form (HTTP 401); its
// signature, by a key that exists, is secret and is not revoked (4001); the claims' types and limits, then nbf
// (4001); exp (4002); the channels claim against the key's patterns (4003); the app's suspension (4012). An
// unknown key costs the same work as a wrong signature, and both read the same from outside: only
// [Refusal.Detail], which never leaves the machine, tells them apart.
//
// A token as nearly all signers write it is read and verified here, without the JWT library and without allocating
// more than its identity; every other token goes to the library. Both ways give the same answers, word for word.
//
// # Ownership
//
// Everything reachable from a [Set] is immutable once Parse has returned it, and so are identities and
// grants: any goroutine may use them, for as long as it likes. Behind their backs each key remembers some grants,
// under a lock of its own, so that tokens with equal claims share one. A reload makes a new Set and
// never changes an old one. The package reads no clock (the time is an argument), starts no goroutine and
// does no I/O but for the apps file in file.go, whose writers exclude each other with a file lock.
//
// # Secrets
//
// No error, warning or Detail holds a value from the file, a token or a secret: faults are named by position
// (file:line:column) and by field.
//
// # Limits
//
// A token is at most [MaxTokenLen] bytes, its metadata [MaxMetadataLen] and peerMetadata [MaxPeerMetadataLen]
// bytes of compact JSON. An app has at most [MaxKeys] keys and a key [MaxPatterns] patterns of 256 bytes, so
// the cost of a grant's answer is bounded. apps.yaml is at most [MaxFileSize] bytes, in one document, without
// anchors, aliases or tags.
package auth
