package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"strings"

	"signalbox/protocol"
)

const (
	// MaxKeys is how many keys an app may have, revoked ones included.
	MaxKeys = 50
	// MaxPatterns is how many channel patterns a key may list.
	MaxPatterns = 100
	// MinSecretLen is the shortest secret accepted, prefix included: a shorter one can be guessed offline
	// from one token.
	MinSecretLen = 32
)

// Credential prefixes, as the hosted service writes them.
const (
	secretIDPrefix    = "sk_id_"
	secretPrefix      = "sk_secret_"
	publishablePrefix = "pk_live_"
)

// App is a tenant: keys, a plan, and perhaps a TURN server and webhooks. Immutable.
type App struct {
	ID        string
	Suspended bool
	Plan      Plan
	Turn      *Turn // nil: none configured
	Webhooks  []*Webhook
	Keys      []*Key
}

// Plan holds an app's limits; zero means unlimited. Its JSON is the "plan" of GET /v1/usage.
type Plan struct {
	Name                     string `json:"name"`
	MaxConcurrentConnections int64  `json:"maxConcurrentConnections"`
	MaxMessagesPerPeriod     int64  `json:"maxMessagesPerPeriod"`
	OveragesAllowed          bool   `json:"overagesAllowed"`
	OveragesEnabled          bool   `json:"overagesEnabled"`
}

// Turn describes a TURN server that shares a secret with this one, after the coturn REST scheme.
type Turn struct {
	URLs   []string
	Secret string // never printed or logged
	TTL    int64  // seconds for which credentials made from it hold
}

// Key is one credential of an app, secret or publishable. Immutable, but for a cache with a lock of its own.
type Key struct {
	ID             string
	App            *App
	Patterns       []protocol.Glob
	Actions        Actions
	AllowedOrigins []string // nil: any origin, or none at all; publishable keys only
	Revoked        bool
	InjectTurn     bool

	secret secret
	// grants holds a ready grant for every set of actions, for tokens without a channels claim: their
	// connections share these.
	grants [actionSets]Grant
	// claimed holds grants of tokens with a channels claim, for the next token that claims the same.
	claimed *grantCache
}

// Secret reports whether k is a secret key, one that signs tokens and opens the REST API.
func (k *Key) Secret() bool { return k.secret.hmac != nil }

// Grant returns what the key by itself allows.
func (k *Key) Grant() *Grant { return &k.grants[k.Actions&AllActions] }

// secret is a secret in the shapes its uses need, each of a size that tells nothing of its length: so every
// verification costs the same.
type secret struct {
	// hmac is an HMAC-SHA256 key, at most one block long: RFC 2104 §2 hashes longer keys, which is done
	// here once. nil for a publishable key.
	hmac []byte
	// start is where every HMAC with it begins.
	start macStart
	// digest is the SHA-256 of the whole secret, for comparing a REST credential.
	digest [sha256.Size]byte
}

func newSecret(text string) secret {
	s := secret{hmac: []byte(text), digest: sha256.Sum256([]byte(text))}
	if len(text) > sha256.BlockSize {
		s.hmac = bytes.Clone(s.digest[:])
	}
	s.start = newMACStart(s.hmac)
	return s
}

// Set is an immutable snapshot of all apps.
type Set struct {
	apps     []*App
	appsByID map[string]*App
	keysByID map[string]*Key
	// decoy stands in for the secret of a key that does not exist, so that its absence takes no less time.
	// Random, and a match is refused all the same.
	decoy secret
}

// newSet indexes apps, whose ids and key ids are known to be unique, and readies their keys' grants.
func newSet(apps []*App) *Set {
	s := &Set{apps: apps, appsByID: make(map[string]*App), keysByID: make(map[string]*Key), decoy: newSecret(rand.Text() + rand.Text())}
	for _, app := range apps {
		s.appsByID[app.ID] = app
		for _, k := range app.Keys {
			s.keysByID[k.ID] = k
			k.claimed = new(grantCache)
			for actions := range k.grants {
				k.grants[actions] = Grant{key: k, actions: Actions(actions)}
			}
		}
	}
	return s
}

// App returns the app with this id, or nil.
func (s *Set) App(id string) *App { return s.appsByID[id] }

// Key returns the key with this id, secret or publishable, revoked or not, or nil.
func (s *Set) Key(id string) *Key { return s.keysByID[id] }

// Apps lists all apps in the file's order. The caller must not change the slice.
func (s *Set) Apps() []*App { return s.apps }

// ValidAppID reports whether id can name an app: 1–128 printable ASCII characters without a space.
func ValidAppID(id string) bool { return len(id) <= maxIDLen && isGraphic(id) }

// maxIDLen bounds app and key ids, in bytes.
const maxIDLen = 128

// validKeyID reports whether id is prefix and at least one character more, fit for a header: graphic ASCII,
// and no colon, which ends the id in a REST credential.
func validKeyID(id, prefix string) bool {
	return strings.HasPrefix(id, prefix) && len(id) > len(prefix) && len(id) <= maxIDLen &&
		isGraphic(id) && !strings.Contains(id, ":")
}

// isGraphic reports whether s is not empty and all printable ASCII other than the space.
func isGraphic(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
