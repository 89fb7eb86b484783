package session

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"signalbox/engine/auth"
	"signalbox/engine/cluster"
	"signalbox/engine/quota"
	"signalbox/engine/registry"
)

const (
	testKeyID = "sk_id_00000000000000000000000000000001"
	testApps  = `
apps:
  - id: app_one
    keys:
      - {id: ` + testKeyID + `, secret: sk_secret_000000000000000000000000000000000000000000000001, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}
`
)

// all is every permission.
var all = []string{"publish", "subscribe", "presence", "send"}

func testKeys(t testing.TB) *auth.Set {
	t.Helper()
	keys, err := auth.Parse("apps.yaml", []byte(testApps))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// identify returns the identity of a token for the peer that lives for so many
// seconds.
func identify(t testing.TB, keys *auth.Set, peer, meta string, permissions []string, life int64) *auth.Identity {
	t.Helper()
	return identifyBy(t, keys, testKeyID, peer, meta, permissions, life)
}

// identifyBy is identify with a token of that key.
func identifyBy(t testing.TB, keys *auth.Set, key, peer, meta string, permissions []string, life int64) *auth.Identity {
	t.Helper()
	claims := auth.Claims{PeerID: peer, Permissions: permissions, ExpiresIn: life}
	if meta != "" {
		claims.PeerMetadata = []byte(meta)
	}
	token, _, err := keys.Key(key).Sign(claims, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id, err := keys.VerifyToken(token, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// testLimits are small enough for a test to reach.
func testLimits() Limits {
	return Limits{
		MaxMessageSize:   1 << 10,
		MaxSubscriptions: 20,
		PingInterval:     time.Hour,
		MaxBacklog:       1,
		MaxBacklogTotal:  30_000,
		PresenceWindow:   50 * time.Millisecond,
		SnapshotDelay:    5 * time.Millisecond,
	}
}

func testHub(t testing.TB, loops int, limits Limits) *Hub { return testHubTo(t, loops, limits, nil) }

// testHubTo returns a hub whose events go to e.
func testHubTo(t testing.TB, loops int, limits Limits, e registry.Events) *Hub {
	return testHubOn(t, loops, limits, e, cluster.Local{})
}

// testHubOn is testHubTo of a node of a cluster.
func testHubOn(t testing.TB, loops int, limits Limits, e registry.Events, bus cluster.Bus) *Hub {
	t.Helper()
	ledger, err := quota.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return NewHub(Config{
		Loops: loops, Limits: limits, Keys: testKeys(t), Ledger: ledger, Bus: bus, Logger: slog.New(slog.DiscardHandler),
		Events: func(string) registry.Events { return e },
	})
}

// flag is a Waker that remembers that it was called.
type flag struct {
	up    atomic.Bool
	batch []batched // the loop's
}

// batched is a write to come.
type batched struct {
	w *wire
	b []byte
}

// Submit writes what connections have batched.
func (f *flag) Submit() {
	for _, d := range f.batch {
		if d.w.Write(d.b); d.w.queued > 0 && !d.w.over {
			d.w.session.Behind()
		}
	}
	f.batch = f.batch[:0]
}

func (f *flag) Wake()     { f.up.Store(true) }
func (f *flag) WakeFair() { f.up.Store(true) }
