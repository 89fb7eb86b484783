package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

const badToken = "401 invalid_token"

// tokenCases are tokens of every kind and their fate; they seed the fuzz target too.
func tokenCases() []struct{ name, token, want string } {
	good := forge(header(skID), claimsWith(""), skSecret)
	parts := strings.Split(good, ".")
	signed := func(claims string) string { return forge(header(skID), claims, skSecret) }
	withHeader := func(h string) string { return forge(h, claimsWith(""), skSecret) }
	return []struct{ name, token, want string }{
		{"good", good, "ok"},
		{"good, secret longer than a hash block", forge(header(longID), claimsWith(""), longSecret), "ok"},
		{"no typ", withHeader(`{"alg":"HS256","kid":"` + skID + `"}`), "ok"},
		{"white space in header and claims", forge("{ \"kid\" : \""+skID+"\",\n\"alg\":\"HS256\" }", "\n{ \"sub\" : \"a\", \"exp\":1700000600 } ", skSecret), "ok"},

		{"empty", "", badToken},
		{"not a token", "hello", badToken},
		{"two parts", parts[0] + "." + parts[1], badToken},
		{"four parts", good + ".x", badToken},
		{"only dots", "..", badToken},
		{"padded", parts[0] + "=." + parts[1] + "." + parts[2], badToken},
		{"padded signature", good + "=", badToken},
		{"standard alphabet", parts[0] + "." + parts[1] + "." + parts[2][:10] + "+/", badToken},
		{"line break in the signature", good[:len(good)-4] + "\n" + good[len(good)-4:], badToken},
		{"space around", " " + good, badToken},
		{"stray bits at the end", parts[0] + "." + parts[1] + "." + parts[2][:42] + strayBits(parts[2]), badToken},
		{"over 32 KiB", signed(claimsWith(`,"x":"` + strings.Repeat("x", 25<<10) + `"`)), badToken},

		{"header not JSON", withHeader(`{"alg":"HS256"`), badToken},
		{"header with trailing garbage", withHeader(header(skID) + "x"), badToken},
		{"header null", withHeader(`null`), badToken},
		{"header a list", withHeader(`["HS256"]`), badToken},
		{"header not UTF-8", withHeader("{\"alg\":\"HS256\",\"kid\":\"" + skID + "\",\"x\":\"\xff\"}"), badToken},
		{"alg missing", withHeader(`{"kid":"` + skID + `"}`), badToken},
		{"alg null", withHeader(`{"alg":null,"kid":"` + skID + `"}`), badToken},
		{"alg a number", withHeader(`{"alg":256,"kid":"` + skID + `"}`), badToken},
		{"alg none", withHeader(`{"alg":"none","kid":"` + skID + `"}`), badToken},
		{"alg none, no signature", segment(`{"alg":"none","kid":"`+skID+`"}`) + "." + segment(claimsWith("")) + ".", badToken},
		{"alg None", withHeader(`{"alg":"None","kid":"` + skID + `"}`), badToken},
		{"alg hs256", withHeader(`{"alg":"hs256","kid":"` + skID + `"}`), badToken},
		{"alg HS384", withHeader(`{"alg":"HS384","kid":"` + skID + `"}`), badToken},
		{"alg HS512", withHeader(`{"alg":"HS512","kid":"` + skID + `"}`), badToken},
		{"alg RS256", withHeader(`{"alg":"RS256","kid":"` + skID + `"}`), badToken},
		{"alg ES256", withHeader(`{"alg":"ES256","kid":"` + skID + `"}`), badToken},
		{"alg unheard of", withHeader(`{"alg":"HS257","kid":"` + skID + `"}`), badToken},
		{"Alg in another case", withHeader(`{"Alg":"HS256","kid":"` + skID + `"}`), badToken},
		{"alg twice, the last none", withHeader(`{"alg":"HS256","kid":"` + skID + `","alg":"none"}`), badToken},
		{"alg twice, the last HS256", withHeader(`{"alg":"none","kid":"` + skID + `","alg":"HS256"}`), "ok"},
		{"alg escaped", withHeader(`{"\u0061lg":"HS\u003256","kid":"` + skID + `"}`), "ok"},
		{"kid missing", withHeader(`{"alg":"HS256"}`), badToken},
		{"kid empty", withHeader(`{"alg":"HS256","kid":""}`), badToken},
		{"kid null", withHeader(`{"alg":"HS256","kid":null}`), badToken},
		{"kid a number", withHeader(`{"alg":"HS256","kid":1}`), badToken},
		{"kid a list", withHeader(`{"alg":"HS256","kid":["` + skID + `"]}`), badToken},
		{"Kid in another case", withHeader(`{"alg":"HS256","KID":"` + skID + `"}`), badToken},
		{"kid twice, the last missing a type", withHeader(`{"alg":"HS256","kid":"` + skID + `","kid":7}`), badToken},
		{"kid twice, the last another's", withHeader(`{"alg":"HS256","kid":"` + skID + `","kid":"` + narrowID + `"}`), "4001"},
		{"crit", withHeader(`{"alg":"HS256","kid":"` + skID + `","crit":["exp"]}`), badToken},
		{"crit b64", withHeader(`{"alg":"HS256","kid":"` + skID + `","b64":false,"crit":["b64"]}`), badToken},

		{"claims not JSON", signed(`{"sub":"alice"`), badToken},
		{"claims with trailing garbage", signed(claimsWith("") + "{}"), badToken},
		{"claims empty", signed(""), badToken},
		{"claims null", signed(`null`), badToken},
		{"claims a list", signed(`[]`), badToken},
		{"claims a string", signed(`"alice"`), badToken},
		{"claims not UTF-8", signed(claimsWith(",\"x\":\"\xff\"")), badToken},
		{"claims encrypted by hand", signed("\x00\x01\x02"), badToken},

		{"unknown kid", forge(header("sk_id_ffff"), claimsWith(""), skSecret), "4001"},
		{"kid a publishable key", forge(header(pkID), claimsWith(""), pkID), "4001"},
		{"kid a publishable key, empty secret", forge(header(pkID), claimsWith(""), ""), "4001"},
		{"kid with another case", forge(header(strings.ToUpper(skID)), claimsWith(""), skSecret), "4001"},
		{"revoked key", forge(header(revokedID), claimsWith(""), revokedSecret), "4001"},
		{"revoked key, wrong signature", forge(header(revokedID), claimsWith(""), skSecret), "4001"},
		{"wrong secret", forge(header(skID), claimsWith(""), narrowSecret), "4001"},
		{"empty secret", forge(header(skID), claimsWith(""), ""), "4001"},
		{"the id as secret", forge(header(skID), claimsWith(""), skID), "4001"},
		{"signature of other claims", parts[0] + "." + segment(claimsWith(`,"x":1`)) + "." + parts[2], "4001"},
		{"signature of another header", segment(header(narrowID)) + "." + parts[1] + "." + parts[2], "4001"},
		{"signature empty", parts[0] + "." + parts[1] + ".", "4001"},
		{"signature short", parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString([]byte("short")), "4001"},
		{"signature too long", good + "AAAA", "4001"},
		{"wrong signature before expiry", forge(header(skID), `{"sub":"alice","exp":1}`, narrowSecret), "4001"},
		{"revoked before expiry", forge(header(revokedID), `{"sub":"alice","exp":1}`, revokedSecret), "4001"},

		{"sub missing", signed(`{"exp":1700000600}`), "4001"},
		{"sub null", signed(`{"sub":null,"exp":1700000600}`), "4001"},
		{"sub a number", signed(`{"sub":7,"exp":1700000600}`), "4001"},
		{"sub empty", signed(`{"sub":"","exp":1700000600}`), "4001"},
		{"sub not ASCII", signed(`{"sub":"zoë","exp":1700000600}`), "4001"},
		{"sub with a control character", signed(`{"sub":"a\u0007","exp":1700000600}`), "4001"},
		{"sub of 128 bytes", signed(`{"sub":"` + strings.Repeat("a", 128) + `","exp":1700000600}`), "ok"},
		{"sub of 129 bytes", signed(`{"sub":"` + strings.Repeat("a", 129) + `","exp":1700000600}`), "4001"},
		{"Sub in another case", signed(`{"Sub":"alice","exp":1700000600}`), "4001"},
		{"sub beside Sub", signed(claimsWith(`,"Sub":7,"SUB":"mallory"`)), "ok"},
		{"sub escaped", signed(`{"\u0073u\u0062":"al\u0069ce","exp":1700000600}`), "ok"},
		{"sub escaped, then wrong", signed(claimsWith(`,"\u0073ub":7`)), "4001"},
		{"sub a lone surrogate", signed(`{"sub":"\ud800","exp":1700000600}`), "4001"},
		{"sub twice, the last wrong", signed(claimsWith(`,"sub":7`)), "4001"},
		{"sub twice, the last good", signed(`{"sub":7,"sub":"alice","exp":1700000600}`), "ok"},

		{"exp missing", signed(`{"sub":"alice"}`), "4001"},
		{"exp null", signed(`{"sub":"alice","exp":null}`), "4001"},
		{"exp a string", signed(`{"sub":"alice","exp":"1700000600"}`), "4001"},
		{"exp a truth value", signed(`{"sub":"alice","exp":true}`), "4001"},
		{"exp a list", signed(`{"sub":"alice","exp":[1700000600]}`), "4001"},
		{"EXP in another case", signed(`{"sub":"alice","EXP":1700000600}`), "4001"},
		{"exp twice, the last passed", signed(claimsWith(`,"exp":1`)), "4002"},
		{"exp twice, the last to come", signed(`{"sub":"alice","exp":1,"exp":1700000600}`), "ok"},
		{"exp now", signed(`{"sub":"alice","exp":1700000000}`), "4002"},
		{"exp this second, fraction to come", signed(`{"sub":"alice","exp":1700000000.9}`), "4002"},
		{"exp in half a second", signed(`{"sub":"alice","exp":1700000001}`), "ok"},
		{"exp a fraction", signed(`{"sub":"alice","exp":1700000600.75}`), "ok"},
		{"exp with an exponent", signed(`{"sub":"alice","exp":1.7000006e9}`), "ok"},
		{"exp in milliseconds", signed(`{"sub":"alice","exp":1700000600000}`), "ok"},
		{"exp zero", signed(`{"sub":"alice","exp":0}`), "4002"},
		{"exp negative", signed(`{"sub":"alice","exp":-1}`), "4002"},
		{"exp tiny", signed(`{"sub":"alice","exp":1e-400}`), "4002"},
		{"exp at the last countable second", signed(`{"sub":"alice","exp":9007199254740991}`), "ok"},
		{"exp beyond it", signed(`{"sub":"alice","exp":9007199254740992}`), "4001"},
		{"exp beyond int64", signed(`{"sub":"alice","exp":1e300}`), "4001"},
		{"exp beyond float64", signed(`{"sub":"alice","exp":1e999}`), "4001"},
		{"exp far below zero", signed(`{"sub":"alice","exp":-1e999}`), "4001"},

		{"nbf passed", signed(claimsWith(`,"nbf":1700000000`)), "ok"},
		{"nbf this instant", signed(claimsWith(`,"nbf":1700000000.5`)), "ok"},
		{"nbf in a moment", signed(claimsWith(`,"nbf":1700000000.75`)), "4001"},
		{"nbf in the future", signed(claimsWith(`,"nbf":1700000001`)), "4001"},
		{"nbf beyond float64", signed(claimsWith(`,"nbf":1e999`)), "4001"},
		{"nbf far back", signed(claimsWith(`,"nbf":-1e15`)), "ok"},
		{"nbf below float64", signed(claimsWith(`,"nbf":-1e999`)), "4001"},
		{"nbf a string", signed(claimsWith(`,"nbf":"1"`)), "4001"},
		{"nbf null", signed(claimsWith(`,"nbf":null`)), "4001"},
		{"nbf in the future and exp passed", signed(`{"sub":"alice","nbf":1800000000,"exp":1}`), "4001"},
		{"iat passed", signed(claimsWith(`,"iat":1600000000`)), "ok"},
		{"iat in the future", signed(claimsWith(`,"iat":1800000000`)), "ok"},
		{"iat beyond float64", signed(claimsWith(`,"iat":1e999`)), "4001"},
		{"iat a string", signed(claimsWith(`,"iat":"now"`)), "4001"},
		{"other claims", signed(claimsWith(`,"iss":7,"aud":{},"jti":null,"Channels":7,"data":[1e999]`)), "ok"},

		{"channels null", signed(claimsWith(`,"channels":null`)), "4001"},
		{"channels a string", signed(claimsWith(`,"channels":"room-1"`)), "4001"},
		{"channels an object", signed(claimsWith(`,"channels":{}`)), "4001"},
		{"channels with a number", signed(claimsWith(`,"channels":["room-1",7]`)), "4001"},
		{"channels with null", signed(claimsWith(`,"channels":["room-1",null]`)), "4001"},
		{"channels empty", signed(claimsWith(`,"channels":[]`)), "ok"},
		{"channels given", signed(claimsWith(`,"channels":["room-1"]`)), "ok"},
		{"channels with no valid name", signed(claimsWith(`,"channels":["","a\u0000b"]`)), "4003"},
		{"channels with only an escaped star", signed(claimsWith(`,"channels":["a\\*b"]`)), "4003"},
		{"channels with one valid name", signed(claimsWith(`,"channels":["","room-1"]`)), "ok"},
		{"channels overlapping", forge(header(narrowID), claimsWith(`,"channels":["other","*-1"]`), narrowSecret), "ok"},
		{"channels not overlapping", forge(header(narrowID), claimsWith(`,"channels":["other","room/*"]`), narrowSecret), "4003"},
		{"channels empty, narrow key", forge(header(narrowID), claimsWith(`,"channels":[]`), narrowSecret), "ok"},
		{"channels not overlapping, exp passed", forge(header(narrowID), `{"sub":"a","exp":1,"channels":["other"]}`, narrowSecret), "4002"},
		{"channels not overlapping, then empty", forge(header(narrowID), claimsWith(`,"channels":["other"],"channels":[]`), narrowSecret), "ok"},

		{"permissions null", signed(claimsWith(`,"permissions":null`)), "4001"},
		{"permissions a string", signed(claimsWith(`,"permissions":"publish"`)), "4001"},
		{"permissions with a number", signed(claimsWith(`,"permissions":[1]`)), "4001"},
		{"permissions empty", signed(claimsWith(`,"permissions":[]`)), "ok"},
		{"permissions unknown", signed(claimsWith(`,"permissions":["fly"]`)), "ok"},

		{"metadata null", signed(claimsWith(`,"metadata":null`)), "4001"},
		{"metadata a list", signed(claimsWith(`,"metadata":[]`)), "4001"},
		{"metadata a string", signed(claimsWith(`,"metadata":"{}"`)), "4001"},
		{"metadata at its cap", signed(claimsWith(`,"metadata":` + objectOf(8192))), "ok"},
		{"metadata over its cap", signed(claimsWith(`,"metadata":` + objectOf(8193))), "4001"},
		{"metadata at its cap, spaced", signed(claimsWith(`,"metadata": ` + strings.Replace(objectOf(8192), ":", " : ", 1))), "ok"},
		{"peerMetadata at its cap", signed(claimsWith(`,"peerMetadata":` + objectOf(4096))), "ok"},
		{"peerMetadata over its cap", signed(claimsWith(`,"peerMetadata":` + objectOf(4097))), "4001"},
		{"peerMetadata a number", signed(claimsWith(`,"peerMetadata":1`)), "4001"},
		{"both at their caps", signed(claimsWith(`,"metadata":` + objectOf(8192) + `,"peerMetadata":` + objectOf(4096))), "ok"},

		{"suspended app", forge(header(suspendedID), claimsWith(""), suspendedSecret), "4012"},
		{"suspended app, wrong signature", forge(header(suspendedID), claimsWith(""), skSecret), "4001"},
		{"suspended app, exp passed", forge(header(suspendedID), `{"sub":"alice","exp":1}`, suspendedSecret), "4002"},
	}
}

// objectOf is a compact JSON object of size bytes.
func objectOf(size int) string {
	return `{"x":"` + strings.Repeat("x", size-len(`{"x":""}`)) + `"}`
}

// strayBits is another spelling of a signature's last character: the same bytes with a bit behind them, which
// only a strict decoder refuses (RFC 4648 §3.5).
func strayBits(signature string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, signature[42])
	return alphabet[last|1 : last|1+1]
}

func TestVerifyToken(t *testing.T) {
	set := testSet(t)
	for _, c := range tokenCases() {
		t.Run(c.name, func(t *testing.T) {
			id, err := set.VerifyToken(c.token, testNow)
			if got := verdict(t, err); got != c.want {
				t.Fatalf("got %s (%v), want %s", got, err, c.want)
			}
			if (id == nil) != (err != nil) {
				t.Errorf("got identity %v with error %v", id, err)
			}
		})
	}
}

func TestVerifyTokenIdentity(t *testing.T) {
	set := testSet(t)
	token := forge(header(skID), `{"sub":"zed \"z\"","exp":1700000600.9,"channels":["room-*"],"permissions":["publish","fly","send"],`+
		`"metadata":{"b": 1e999 ,"a":"\u00e9"},"peerMetadata":{ }}`, skSecret)
	id, err := set.VerifyToken(token, testNow)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"app", id.App.ID, "app_one"},
		{"key", id.Key.ID, skID},
		{"peer id", id.PeerID, `zed "z"`},
		{"expiry", id.ExpiresAt, int64(1_700_000_600)},
		{"metadata", string(id.Metadata), `{"b":1e999,"a":"\u00e9"}`},
		{"peer metadata", string(id.PeerMetadata), `{}`},
		{"actions", id.Grant.Actions().String(), "publish, send"},
		{"claimed channel", id.Grant.Channel("room-1"), true},
		{"unclaimed channel", id.Grant.Channel("hall-1"), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
}

// TestRefusalsLookAlike holds an unknown key, a wrong signature and a revoked key against each other: what leaves
// the machine is equal, and so is the work as far as allocations show it.
func TestRefusalsLookAlike(t *testing.T) {
	set := testSet(t)
	tokens := map[string]string{
		"wrong signature": forge(header(skID), claimsWith(""), narrowSecret),
		"unknown key":     forge(header(strings.Replace(skID, "1", "e", 1)), claimsWith(""), narrowSecret),
		"publishable key": forge(header(pkID[:len(skID)]), claimsWith(""), narrowSecret),
		"revoked key":     forge(header(revokedID), claimsWith(""), revokedSecret),
	}
	_, err := set.VerifyToken(tokens["wrong signature"], testNow)
	want := *refusalOf(t, err)
	want.Detail = ""
	for name, token := range tokens {
		_, err := set.VerifyToken(token, testNow)
		got := *refusalOf(t, err)
		got.Detail = ""
		if got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	// The least of many runs: the race detector has pools forget at random.
	allocs := func(name string) float64 {
		least := math.Inf(1)
		for range 100 {
			least = min(least, testing.AllocsPerRun(1, func() { _, err = set.VerifyToken(tokens[name], testNow) }))
		}
		return least
	}
	if got, want := allocs("unknown key"), allocs("wrong signature"); got != want {
		t.Errorf("allocations for an unknown key: got %v, want %v as for a wrong signature", got, want)
	}
}

// TestRefusalsTellNoSecrets looks for parts of tokens and keys in everything a refusal says.
func TestRefusalsTellNoSecrets(t *testing.T) {
	set := testSet(t)
	for _, c := range tokenCases() {
		_, err := set.VerifyToken(c.token, testNow)
		if err == nil {
			continue
		}
		r := refusalOf(t, err)
		for _, secret := range append(strings.Split(c.token, "."), skID, skSecret, "alice", "room-1", "mallory") {
			if said := r.Message + r.Detail + err.Error(); len(secret) > 3 && strings.Contains(said, secret) {
				t.Errorf("%s: %q holds %q", c.name, said, secret)
			}
		}
	}
}

func TestGrantsAreShared(t *testing.T) {
	set := testSet(t)
	grant := func(more string) *Grant {
		id, err := set.VerifyToken(forge(header(skID), claimsWith(more), skSecret), testNow)
		if err != nil {
			t.Fatal(err)
		}
		return id.Grant
	}
	if grant("") != set.Key(skID).Grant() {
		t.Error("a token without claims: got a grant of its own, want the key's")
	}
	if grant(`,"permissions":["send"]`) != grant(`,"permissions":["send","fly"]`) {
		t.Error("equal permissions: got two grants, want one")
	}
	if grant(`,"permissions":["send"]`) == grant("") {
		t.Error("other permissions: got the key's grant")
	}
}

// oracle is an independent reading of the rules on top of golang-jwt's own validation: what it refuses must not be
// accepted. It returns the claims.
func oracle(set *Set, token string) (jwt.MapClaims, *Key, bool) {
	var k *Key
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithStrictDecoding(),
		jwt.WithJSONNumber(), jwt.WithTimeFunc(nowForOracle))
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if k = set.Key(kid); k == nil || !k.Secret() || k.Revoked || k.App.Suspended || t.Header["crit"] != nil {
			return nil, jwt.ErrTokenUnverifiable
		}
		return []byte(secretOf[kid]), nil
	})
	if err != nil || len(token) > MaxTokenLen {
		return nil, nil, false
	}
	sub, _ := claims["sub"].(string)
	if sub == "" || len(sub) > 128 || strings.ContainsFunc(sub, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, nil, false
	}
	return claims, k, oracleTypes(claims)
}

func oracleTypes(claims jwt.MapClaims) bool {
	for name, value := range claims {
		ok := true
		switch name {
		case "exp", "nbf", "iat":
			_, ok = value.(json.Number)
		case "metadata", "peerMetadata":
			_, ok = value.(map[string]any)
		case "channels", "permissions":
			var list []any
			list, ok = value.([]any)
			ok = ok && !slices.ContainsFunc(list, func(v any) bool { _, isString := v.(string); return !isString })
		}
		if !ok {
			return false
		}
	}
	return true
}

func TestCompact(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"empty", `{}`, `{}`},
		{"spaced", "{ \"a\" :\t[ 1 ,\r\n2 ] , \"b\": null }", `{"a":[1,2],"b":null}`},
		{"spaces in strings", `{ "a b" : " c \" d \\" , "e" : "\\\\" }`, `{"a b":" c \" d \\","e":"\\\\"}`},
		{"numbers, escapes and repeats untouched", `{"a": 1e999,"a":"\u00e9\ud800"}`, `{"a":1e999,"a":"\u00e9\ud800"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var std bytes.Buffer
			if err := json.Compact(&std, []byte(c.raw)); err != nil || std.String() != c.want {
				t.Fatalf("encoding/json: got %s, %v", &std, err)
			}
			got := compact([]byte(c.raw))
			if string(got) != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
