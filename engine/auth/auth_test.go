package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	"signalbox/protocol"
)

// The keys of testFile.
const (
	skID     = "sk_id_00000000000000000000000000000001"
	skSecret = "sk_secret_000000000000000000000000000000000000000000000001"

	narrowID     = "sk_id_00000000000000000000000000000002"
	narrowSecret = "sk_secret_000000000000000000000000000000000000000000000002"

	revokedID     = "sk_id_00000000000000000000000000000003"
	revokedSecret = "sk_secret_000000000000000000000000000000000000000000000003"

	longID     = "sk_id_long"
	longSecret = "sk_secret_" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

	pkID        = "pk_live_00000000000000000000000000000004"
	boundID     = "pk_live_00000000000000000000000000000005"
	nowhereID   = "pk_live_00000000000000000000000000000006"
	revokedPKID = "pk_live_00000000000000000000000000000007"

	suspendedID     = "sk_id_00000000000000000000000000000008"
	suspendedSecret = "sk_secret_000000000000000000000000000000000000000000000008"
	suspendedPKID   = "pk_live_00000000000000000000000000000009"
)

const testFile = `
apps:
  - id: app_one
    plan: {name: PRO, maxConcurrentConnections: 10, maxMessagesPerPeriod: 20, overagesAllowed: true, overagesEnabled: false}
    turn: {urls: ["turn:turn.example:3478", "turns:turn.example:5349"], secret: "north", ttl: 600}
    keys:
      - {id: ` + skID + `, secret: ` + skSecret + `, channelPatterns: ["**"], actions: [publish, subscribe, presence, send], injectTurn: true}
      - {id: ` + narrowID + `, secret: ` + narrowSecret + `, channelPatterns: ["room-*", "devices/*/events"], actions: [subscribe, presence]}
      - {id: ` + revokedID + `, secret: ` + revokedSecret + `, channelPatterns: ["**"], actions: [publish], revoked: true}
      - {id: ` + longID + `, secret: ` + longSecret + `, channelPatterns: ["**"], actions: [publish]}
      - {id: ` + pkID + `, channelPatterns: ["room-*"], actions: [subscribe, send], injectTurn: true}
      - {id: ` + boundID + `, channelPatterns: ["room-*"], actions: [subscribe], allowedOrigins: ["https://app.example", "http://localhost:3000"]}
      - {id: ` + nowhereID + `, channelPatterns: ["room-*"], actions: [subscribe], allowedOrigins: []}
      - {id: ` + revokedPKID + `, channelPatterns: ["room-*"], actions: [subscribe], revoked: true}
  - id: app_two
    suspended: true
    keys:
      - {id: ` + suspendedID + `, secret: ` + suspendedSecret + `, channelPatterns: ["**"], actions: [publish]}
      - {id: ` + suspendedPKID + `, channelPatterns: ["**"], actions: [publish]}
`

// testNow is the time in all tests, between two seconds.
var testNow = time.Unix(1_700_000_000, 500_000_000)

func testSet(t testing.TB) *Set {
	t.Helper()
	set, err := Parse("apps.yaml", []byte(testFile))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// header is the JOSE header that every signer writes.
func header(kid string) string { return `{"alg":"HS256","typ":"JWT","kid":"` + kid + `"}` }

// claimsWith is a good set of claims and more; more begins with a comma unless empty.
func claimsWith(more string) string { return `{"sub":"alice","exp":1700000600` + more + `}` }

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// forge signs any two texts, without a JWT library.
func forge(header, claims, secret string) string {
	signed := segment(header) + "." + segment(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// refusalOf takes the Refusal out of an error that must be one.
func refusalOf(t testing.TB, err error) *Refusal {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("got error %v, want a *Refusal", err)
	}
	return r
}

// verdict is a Refusal in one word, or "ok".
func verdict(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return "ok"
	}
	r := refusalOf(t, err)
	if r.Message == "" || r.Detail == "" {
		t.Errorf("refusal without words: %+v", r)
	}
	if r.Status != 0 {
		if r.Close != protocol.CloseUnauthorized {
			t.Errorf("close code with status %d: got %d, want %d", r.Status, r.Close, protocol.CloseUnauthorized)
		}
		return fmt.Sprintf("%d %s", r.Status, r.Code)
	}
	return fmt.Sprint(uint16(r.Close))
}
