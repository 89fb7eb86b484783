package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"signalbox/protocol"
)

var secretOf = map[string]string{
	skID: skSecret, narrowID: narrowSecret, revokedID: revokedSecret, longID: longSecret, suspendedID: suspendedSecret,
}

func nowForOracle() time.Time { return testNow }

// FuzzVerifyToken feeds raw tokens, and signs raw headers and claims with two keys, for otherwise no mutation gets
// behind the signature. What is accepted the oracle accepts, with the same meaning.
func FuzzVerifyToken(f *testing.F) {
	for _, c := range tokenCases() {
		parts := strings.Split(c.token, ".")
		f.Add(c.token, "", "")
		if len(parts) == 3 {
			head, _ := jwtParser.DecodeSegment(parts[0])
			claims, _ := jwtParser.DecodeSegment(parts[1])
			f.Add("", string(head), string(claims))
		}
	}
	set := testSet(f)
	f.Fuzz(func(t *testing.T, raw, head, claims string) {
		for _, token := range []string{raw, forge(head, claims, skSecret), forge(head, claims, narrowSecret)} {
			checkAgainstOracle(t, set, token)
			checkAgainstLibrary(t, set, token)
		}
	})
}

// FuzzClaims signs any claims under a usual header, so that what the scanner of usual tokens takes is compared with
// what the JWT library takes, and more often than by FuzzVerifyToken.
func FuzzClaims(f *testing.F) {
	for _, c := range tokenCases() {
		if parts := strings.Split(c.token, "."); len(parts) == 3 {
			claims, _ := jwtParser.DecodeSegment(parts[1])
			f.Add(string(claims))
		}
	}
	for _, c := range claimCases {
		f.Add(c.claims)
	}
	set := testSet(f)
	f.Fuzz(func(t *testing.T, claims string) {
		token := forge(header(skID), claims, skSecret)
		checkAgainstLibrary(t, set, token)
		var m claimMembers
		if m.scan([]byte(claims)) && !json.Valid([]byte(claims)) {
			t.Fatalf("scanned %q, which is no JSON", claims)
		}
	})
}

// checkAgainstLibrary wants the same refusal or the same identity from VerifyToken as from the JWT library alone,
// now and long after.
func checkAgainstLibrary(t *testing.T, set *Set, token string) {
	t.Helper()
	for _, now := range []time.Time{testNow, testNow.AddDate(10, 0, 0)} {
		got, gotErr := set.VerifyToken(token, now)
		want, wantErr := set.verifyByLibrary(token, now)
		if (gotErr == nil) != (wantErr == nil) || gotErr != nil && *refusalOf(t, gotErr) != *refusalOf(t, wantErr) {
			t.Fatalf("%q: got error %#v, the library's %#v", token, gotErr, wantErr)
		}
		if gotErr == nil {
			sameIdentity(t, got, want)
		}
	}
}

func sameIdentity(t *testing.T, got, want *Identity) {
	t.Helper()
	a, b := *got, *want
	if !reflect.DeepEqual(a.Grant, b.Grant) {
		t.Fatalf("got grant %+v, want %+v", a.Grant, b.Grant)
	}
	a.Grant, b.Grant = nil, nil
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("got %+v, want %+v", a, b)
	}
}

func checkAgainstOracle(t *testing.T, set *Set, token string) {
	id, err := set.VerifyToken(token, testNow)
	if err != nil {
		refusalOf(t, err)
		return
	}
	claims, k, ok := oracle(set, token)
	if !ok {
		t.Fatalf("accepted %q, which the oracle refuses", token)
	}
	exp, err := claims.GetExpirationTime()
	if err != nil || id.ExpiresAt != exp.Unix() || id.PeerID != claims["sub"] || id.Key != k {
		t.Fatalf("got peer %q of key %s until %d, want %q of %s until %v", id.PeerID, id.Key.ID, id.ExpiresAt, claims["sub"], k.ID, exp)
	}
	list, listed := claims["channels"].([]any)
	for _, name := range []string{"room-1", "room-", "a", "a/b", "devices/x/events", "*"} {
		claimed := !listed
		for _, entry := range list {
			claimed = claimed || naiveMatch(entry.(string), name)
		}
		if id.Grant.Channel(name) && !claimed {
			t.Fatalf("channel %q granted beyond the claims %v", name, list)
		}
	}
	for _, action := range []string{"publish", "subscribe", "presence", "send"} {
		bit, _ := ParseAction(action)
		words, given := claims["permissions"].([]any)
		claimed := !given
		for _, word := range words {
			claimed = claimed || word == action
		}
		if want := claimed && k.Actions.Has(bit); id.Grant.Allows(bit) != want {
			t.Fatalf("action %s: got %v, want %v", action, id.Grant.Allows(bit), want)
		}
	}
	for name, got := range map[string][]byte{"metadata": id.Metadata, "peerMetadata": id.PeerMetadata} {
		if _, claimed := claims[name]; claimed != (got != nil) || claimed && !sameObject(got, claims[name]) {
			t.Fatalf("%s: got %q, claimed is %v", name, got, claims[name])
		}
	}
	if len(id.Metadata) > MaxMetadataLen || len(id.PeerMetadata) > MaxPeerMetadataLen {
		t.Fatalf("metadata of %d and %d bytes", len(id.Metadata), len(id.PeerMetadata))
	}
}

// sameObject reports whether text means what encoding/json made of the claim.
func sameObject(text []byte, claim any) bool {
	var object any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(&object) == nil && reflect.DeepEqual(object, claim)
}

// FuzzParse parses any file: no panic, no secret in an error, and what is accepted is within the limits and can be
// edited or refuses to be.
func FuzzParse(f *testing.F) {
	f.Add(testFile)
	text, _, _, _ := Template("app_demo")
	f.Add(string(text))
	for _, c := range parseFaults() {
		f.Add(c.text)
	}
	for _, c := range layouts {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := Parse("apps.yaml", []byte(text))
		if err != nil {
			checkFileError(t, text, err)
			return
		}
		for _, app := range set.Apps() {
			if !ValidAppID(app.ID) || len(app.Keys) > MaxKeys {
				t.Fatalf("accepted app %q with %d keys", app.ID, len(app.Keys))
			}
			for _, k := range app.Keys {
				checkKey(t, k)
				checkEdits(t, set, text, k)
			}
		}
	})
}

// checkFileError wants a position and none of the file's words that could be a secret.
func checkFileError(t *testing.T, text string, err error) {
	t.Helper()
	var fault *FileError
	if !errors.As(err, &fault) || fault.Line < 1 || fault.Col < 1 || fault.Problem == "" {
		t.Fatalf("got error %#v, want a FileError with a position", err)
	}
	if strings.ContainsAny(err.Error(), "\n") {
		t.Fatalf("more than one line: %q", err)
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,:[]{}\"'", r) }) {
		if len(word) > len(secretPrefix) && strings.HasPrefix(word, secretPrefix) && strings.Contains(err.Error(), word) {
			t.Fatalf("the error shows %q: %v", word, err)
		}
	}
}

func checkKey(t *testing.T, k *Key) {
	t.Helper()
	prefix := publishablePrefix
	if k.Secret() {
		prefix = secretIDPrefix
	}
	if !validKeyID(k.ID, prefix) || len(k.Patterns) > MaxPatterns {
		t.Fatalf("accepted key %q with %d patterns", k.ID, len(k.Patterns))
	}
	for _, p := range k.Patterns {
		if !protocol.ValidChannel(p.String()) {
			t.Fatalf("accepted pattern %q", p)
		}
	}
}

// checkEdits edits an accepted file. addKey and revokeKey compare their outcome themselves and fail with errLayout
// if it is not what it should be; here they must not fail in any other way.
func checkEdits(t *testing.T, set *Set, text string, k *Key) {
	t.Helper()
	if edited, err := revokeKey("apps.yaml", []byte(text), k.ID); err == nil {
		again, err := Parse("apps.yaml", edited)
		if err != nil || !again.Key(k.ID).Revoked {
			t.Fatalf("revoked: %v, %q", err, edited)
		}
	} else if !errors.Is(err, errLayout) {
		t.Fatal(err)
	}
	if len(k.App.Keys) == MaxKeys || set.Key("sk_id_new") != nil {
		return
	}
	spec := KeySpec{Patterns: []string{`\*"é`}, Actions: AllActions}
	_, err := addKey("apps.yaml", []byte(text), k.App.ID, spec.keyText("sk_id_new", skSecret), "sk_id_new")
	if err != nil && !errors.Is(err, errLayout) && len(text) < MaxFileSize/2 {
		t.Fatal(err)
	}
}
