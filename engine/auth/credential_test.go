package auth

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestVerifyKey(t *testing.T) {
	set := testSet(t)
	for _, c := range []struct{ name, id, origin, want string }{
		{"no origins, none sent", pkID, "", "ok"},
		{"no origins, one sent", pkID, "https://any.example", "ok"},
		{"its origin", boundID, "https://app.example", "ok"},
		{"its other origin", boundID, "http://localhost:3000", "ok"},
		{"no origin sent", boundID, "", "401 origin_not_allowed"},
		{"another origin", boundID, "https://evil.example", "401 origin_not_allowed"},
		{"origin null", boundID, "null", "401 origin_not_allowed"},
		{"another scheme", boundID, "http://app.example", "401 origin_not_allowed"},
		{"another port", boundID, "https://app.example:8443", "401 origin_not_allowed"},
		{"default port spelled out", boundID, "https://app.example:443", "401 origin_not_allowed"},
		{"another case", boundID, "https://APP.example", "401 origin_not_allowed"},
		{"its origin as a prefix", boundID, "https://app.example.evil.example", "401 origin_not_allowed"},
		{"its origin and a path", boundID, "https://app.example/", "401 origin_not_allowed"},
		{"empty list", nowhereID, "https://app.example", "401 origin_not_allowed"},
		{"no key", "", "", "401 invalid_token"},
		{"unknown", "pk_live_ffff", "", "4001"},
		{"garbage", "\x00\xff", "", "4001"},
		{"revoked", revokedPKID, "", "4001"},
		{"secret key's id", skID, "", "4001"},
		{"secret", skSecret, "", "4001"},
		{"suspended app", suspendedPKID, "", "4012"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := set.VerifyKey(c.id, c.origin)
			if got := verdict(t, err); got != c.want {
				t.Errorf("got %s (%v), want %s", got, err, c.want)
			}
		})
	}
}

func TestVerifyKeyIdentity(t *testing.T) {
	set := testSet(t)
	seen := map[string]bool{}
	for range 100 {
		id, err := set.VerifyKey(pkID, "")
		if err != nil {
			t.Fatal(err)
		}
		if id.ExpiresAt != 0 || id.Metadata != nil || id.PeerMetadata != nil || id.App.ID != "app_one" || id.Grant != set.Key(pkID).Grant() {
			t.Fatalf("got %+v", id)
		}
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id.PeerID) {
			t.Fatalf("peer id %q is no UUID of version 4", id.PeerID)
		}
		seen[id.PeerID] = true
	}
	if len(seen) != 100 {
		t.Errorf("got %d different peer ids, want 100", len(seen))
	}
}

func TestVerifyBearer(t *testing.T) {
	set := testSet(t)
	for _, c := range []struct {
		name, header string
		want         string // the key's id; "": refused
	}{
		{"good", "Bearer " + skID + ":" + skSecret, skID},
		{"scheme in another case", "bEARER " + narrowID + ":" + narrowSecret, narrowID},
		{"more spaces", "Bearer   " + skID + ":" + skSecret + " ", skID},
		{"long secret", "Bearer " + longID + ":" + longSecret, longID},
		{"empty", "", ""},
		{"scheme only", "Bearer", ""},
		{"no scheme", skID + ":" + skSecret, ""},
		{"another scheme", "Basic " + skID + ":" + skSecret, ""},
		{"no secret", "Bearer " + skID, ""},
		{"empty secret", "Bearer " + skID + ":", ""},
		{"secret only", "Bearer :" + skSecret, ""},
		{"another key's secret", "Bearer " + skID + ":" + narrowSecret, ""},
		{"secret cut short", "Bearer " + skID + ":" + skSecret[:len(skSecret)-1], ""},
		{"secret and more", "Bearer " + skID + ":" + skSecret + "0", ""},
		{"secret in another case", "Bearer " + skID + ":" + strings.ToUpper(skSecret), ""},
		{"unknown key", "Bearer sk_id_ffff:" + skSecret, ""},
		{"revoked key", "Bearer " + revokedID + ":" + revokedSecret, ""},
		{"publishable key", "Bearer " + pkID + ":", ""},
		{"publishable key twice", "Bearer " + pkID + ":" + pkID, ""},
		{"suspended app", "Bearer " + suspendedID + ":" + suspendedSecret, ""},
		{"a token", "Bearer " + forge(header(skID), claimsWith(""), skSecret), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := set.VerifyBearer(c.header)
			if c.want == "" {
				if k != nil || !errors.Is(err, ErrUnauthorized) {
					t.Errorf("got %v, %v, want ErrUnauthorized", k, err)
				}
				return
			}
			if err != nil || k.ID != c.want {
				t.Errorf("got %v, %v, want %s", k, err, c.want)
			}
		})
	}
}

func TestWelcomeMetadata(t *testing.T) {
	set := testSet(t)
	username := fmt.Sprintf("%d:%s", testNow.Unix()+600, `al"ice`)
	mac := hmac.New(sha1.New, []byte("north"))
	mac.Write([]byte(username))
	servers := `[{"urls":["turn:turn.example:3478","turns:turn.example:5349"],"username":"` + strings.ReplaceAll(username, `"`, `\"`) +
		`","credential":"` + base64.StdEncoding.EncodeToString(mac.Sum(nil)) + `"}]`
	for _, c := range []struct{ name, kid, metadata, want string }{
		{"none of its own", skID, "", `{"iceServers":` + servers + `}`},
		{"empty", skID, `{ }`, `{"iceServers":` + servers + `}`},
		{"its own", skID, `{"a": 1e999}`, `{"a":1e999,"iceServers":` + servers + `}`},
		{"its own servers", skID, `{"iceServers":[]}`, `{"iceServers":[]}`},
		{"its own servers, escaped", skID, `{"\u0069ceServers":null}`, `{"\u0069ceServers":null}`},
		{"servers in another case", skID, `{"IceServers":1}`, `{"IceServers":1,"iceServers":` + servers + `}`},
		{"servers deeper", skID, `{"a":{"iceServers":1}}`, `{"a":{"iceServers":1},"iceServers":` + servers + `}`},
		{"key without injection", narrowID, `{"a":1}`, `{"a":1}`},
		{"key without injection, none of its own", narrowID, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := `{"sub":"al\"ice","exp":1700000600}`
			if c.metadata != "" {
				claims = `{"sub":"al\"ice","exp":1700000600,"metadata":` + c.metadata + `}`
			}
			id, err := set.VerifyToken(forge(header(c.kid), claims, secretOf[c.kid]), testNow)
			if err != nil {
				t.Fatal(err)
			}
			got := id.WelcomeMetadata(testNow)
			if string(got) != c.want || (got == nil) != (c.want == "") {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if got != nil && !json.Valid(got) {
				t.Error("no valid JSON")
			}
		})
	}
}

func TestWelcomeMetadataOfPublishableKey(t *testing.T) {
	set := testSet(t)
	id, err := set.VerifyKey(pkID, "")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		IceServers []struct{ Username string }
	}
	if err := json.Unmarshal(id.WelcomeMetadata(testNow), &got); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d:%s", testNow.Unix()+600, id.PeerID); len(got.IceServers) != 1 || got.IceServers[0].Username != want {
		t.Errorf("got %+v, want the username %s", got, want)
	}
}

func TestTemplate(t *testing.T) {
	for _, appID := range []string{"app_demo", "true", "17", "a-b", `a"b\`, "null", "0x_1", "1_000", "#a", "{a}", "_", "*a", "a:"} {
		t.Run(appID, func(t *testing.T) {
			text, skID, skSecret, pk := Template(appID)
			set, err := Parse("apps.yaml", text)
			if err != nil {
				t.Fatal(err)
			}
			if set.App(appID) == nil {
				t.Errorf("got app %q", set.Apps()[0].ID)
			}
			if k, err := set.VerifyBearer("Bearer " + skID + ":" + skSecret); err != nil || k.Actions != AllActions {
				t.Errorf("secret key: %v, %v", k, err)
			}
			if _, err := set.VerifyKey(pk, ""); err != nil {
				t.Errorf("publishable key: %v", err)
			}
			// Sizes of the contract: 32, at least 48 and 32 hexadecimal digits.
			if len(skID) != len(secretIDPrefix)+32 || len(skSecret) != len(secretPrefix)+48 || len(pk) != len(publishablePrefix)+32 {
				t.Errorf("got credentials %s, %d bytes and %s", skID, len(skSecret), pk)
			}
		})
	}
}
