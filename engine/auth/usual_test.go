package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestUsualHeader(t *testing.T) {
	for _, c := range []struct {
		name, header string
		want         string // the kid; "": not usual
	}{
		{"as jsonwebtoken writes it", `{"alg":"HS256","typ":"JWT","kid":"sk_id_a"}`, "sk_id_a"},
		{"as PyJWT writes it", `{"alg":"HS256","kid":"sk_id_a","typ":"JWT"}`, "sk_id_a"},
		{"kid first", `{"kid":"sk_id_a","alg":"HS256","typ":"JWT"}`, "sk_id_a"},
		{"typ first", `{"typ":"JWT","kid":"sk_id_a","alg":"HS256"}`, "sk_id_a"},
		{"no typ", `{"alg":"HS256","kid":"sk_id_a"}`, "sk_id_a"},
		{"kid with braces and commas", `{"alg":"HS256","kid":"},{"}`, "},{"},

		{"empty", ``, ""},
		{"no members", `{}`, ""},
		{"no kid", `{"alg":"HS256","typ":"JWT"}`, ""},
		{"no alg", `{"typ":"JWT","kid":"sk_id_a"}`, ""},
		{"empty kid", `{"alg":"HS256","kid":""}`, ""},
		{"kid twice", `{"alg":"HS256","kid":"sk_id_a","kid":"sk_id_b"}`, ""},
		{"alg twice", `{"alg":"HS256","kid":"sk_id_a","alg":"HS256"}`, ""},
		{"alg none behind", `{"alg":"HS256","kid":"sk_id_a","alg":"none"}`, ""},
		{"typ twice", `{"typ":"JWT","alg":"HS256","kid":"sk_id_a","typ":"JWT"}`, ""},
		{"another alg", `{"alg":"HS512","kid":"sk_id_a"}`, ""},
		{"another typ", `{"alg":"HS256","typ":"jwt","kid":"sk_id_a"}`, ""},
		{"another member", `{"alg":"HS256","kid":"sk_id_a","cty":"x"}`, ""},
		{"crit", `{"alg":"HS256","kid":"sk_id_a","crit":["exp"]}`, ""},
		{"space", `{"alg": "HS256","kid":"sk_id_a"}`, ""},
		{"space behind", `{"alg":"HS256","kid":"sk_id_a"} `, ""},
		{"more behind", `{"alg":"HS256","kid":"sk_id_a"}}`, ""},
		{"comma behind", `{"alg":"HS256","kid":"sk_id_a",}`, ""},
		{"comma before", `{,"alg":"HS256","kid":"sk_id_a"}`, ""},
		{"no comma", `{"alg":"HS256""kid":"sk_id_a"}`, ""},
		{"not closed", `{"alg":"HS256","kid":"sk_id_a"`, ""},
		{"kid not closed", `{"alg":"HS256","kid":"sk_id_a`, ""},
		{"kid with an escape", `{"alg":"HS256","kid":"sk\u005fid_a"}`, ""},
		{"kid with a control character", "{\"alg\":\"HS256\",\"kid\":\"sk_id_a\n\"}", ""},
		{"kid not ASCII", `{"alg":"HS256","kid":"sk_id_ä"}`, ""},
		{"name with an escape", `{"\u0061lg":"HS256","kid":"sk_id_a"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			kid, ok := usualHeader([]byte(c.header))
			if ok != (c.want != "") || ok && string(kid) != c.want {
				t.Errorf("got %q, %v, want %q", kid, ok, c.want)
			}
			var all map[string]string
			if ok && (json.Unmarshal([]byte(c.header), &all) != nil || all["kid"] != c.want || all["alg"] != "HS256") {
				t.Errorf("encoding/json reads %v", all)
			}
		})
	}
}

// claimCases are claims that are read without the library (usual) and such that are not.
var claimCases = []struct {
	name, claims string
	usual        bool
}{
	{"least", `{"sub":"a","exp":1700000600}`, true},
	{"no members", `{}`, true},
	{"spaced", "{ \"sub\" : \"a\" ,\r\n\t\"exp\" : 1700000600 }", true},
	{"lists", `{"channels":[ ],"permissions":[ "send" , "publish" ],"x":[[],[1,[2]],{}]}`, true},
	{"escapes in values", `{"sub":"al\u0069ce","exp":1,"channels":["room-\u0031","\"\\\/\b\f\n\r\t\uD83D\ude00"]}`, true},
	{"not ASCII", `{"sub":"zoë","name":"😀","é":1}`, true},
	{"numbers", `{"exp":-0.5e+10,"nbf":0,"iat":1E5,"x":[-0,10.25,1e-7]}`, true},
	{"words", `{"a":true,"b":false,"c":null}`, true},
	{"repeats", `{"sub":7,"exp":1,"sub":"a","exp":1700000600}`, true},
	{"depth at the limit", `{"x":` + strings.Repeat("[", maxUsualDepth-1) + strings.Repeat("]", maxUsualDepth-1) + `}`, true},

	{"depth beyond it", `{"x":` + strings.Repeat("[", maxUsualDepth) + strings.Repeat("]", maxUsualDepth) + `}`, false},
	{"escape in a name", `{"s\u0075b":"a","exp":1700000600}`, false},
	{"space before", ` {"sub":"a"}`, false},
	{"space behind", `{"sub":"a"} `, false},
	{"empty", ``, false},
	{"null", `null`, false},
	{"a list", `[]`, false},
	{"not closed", `{"sub":"a"`, false},
	{"more behind", `{"sub":"a"}x`, false},
	{"empty object and more", `{}x`, false},
	{"comma behind", `{"sub":"a",}`, false},
	{"comma before", `{,"sub":"a"}`, false},
	{"no comma", `{"sub":"a" "exp":1}`, false},
	{"no colon", `{"sub" "a"}`, false},
	{"no value", `{"sub":}`, false},
	{"name without quotes", `{sub:"a"}`, false},
	{"single quotes", `{'sub':'a'}`, false},
	{"list with a comma behind", `{"x":[1,]}`, false},
	{"list not closed", `{"x":[1}`, false},
	{"object with a comma behind", `{"x":{"a":1,}}`, false},
	{"object closed as a list", `{"x":{"a":1]}`, false},
	{"nested without a colon", `{"x":{"a" 1}}`, false},
	{"number with a zero before", `{"exp":01}`, false},
	{"number with a plus", `{"exp":+1}`, false},
	{"number ends in a dot", `{"exp":1.}`, false},
	{"number begins with a dot", `{"exp":.5}`, false},
	{"number without an exponent", `{"exp":1e}`, false},
	{"number with a control character", "{\"exp\":1\x05\x01}", false},
	{"minus alone", `{"exp":-}`, false},
	{"word cut short", `{"a":tru}`, false},
	{"word in another case", `{"a":True}`, false},
	{"control character", "{\"sub\":\"a\nb\"}", false},
	{"unknown escape", `{"sub":"\x"}`, false},
	{"escape cut short", `{"sub":"\u00"}`, false},
	{"escape of control characters", "{\"sub\":\"\\u\x11\x12\x13\x14\"}", false},
	{"string not closed", `{"sub":"a`, false},
	{"escape not closed", `{"sub":"\`, false},
}

func TestScanClaims(t *testing.T) {
	set := testSet(t)
	for _, c := range claimCases {
		t.Run(c.name, func(t *testing.T) {
			var m claimMembers
			if got := m.scan([]byte(c.claims)); got != c.usual {
				t.Fatalf("scanned: got %v, want %v", got, c.usual)
			}
			if want, ok := decodeMembers([]byte(c.claims)); c.usual && (!ok || !reflect.DeepEqual(m, want)) {
				t.Errorf("got %q, go-json %q", m, want)
			}
			checkAgainstLibrary(t, set, forge(header(skID), c.claims, skSecret))
		})
	}
}

func TestUsualAgainstLibrary(t *testing.T) {
	set := testSet(t)
	for _, c := range tokenCases() {
		t.Run(c.name, func(t *testing.T) { checkAgainstLibrary(t, set, c.token) })
	}
}

// TestEveryChangedByte changes a good token at each byte to each character there is in one, and more.
func TestEveryChangedByte(t *testing.T) {
	set := testSet(t)
	token := []byte(forge(header(skID), `{"sub":"a","exp":1700000600}`, skSecret))
	for i, good := range token {
		for _, c := range []byte("A_-9.=+ \n\r\x00\xff") {
			token[i] = c
			checkAgainstLibrary(t, set, string(token))
		}
		token[i] = good
		checkAgainstLibrary(t, set, string(token[:i]))
	}
	if _, err := set.VerifyToken(string(token), testNow); err != nil {
		t.Errorf("the token itself: %v", err)
	}
}

func TestMAC(t *testing.T) {
	v := macVerifier{digest: newDigest()}
	r := rand.New(rand.NewChaCha8([32]byte{}))
	for size := range 200 {
		secret, text := strings.Repeat("s", size), make([]byte, r.IntN(300))
		for i := range text {
			text[i] = byte(r.Uint32())
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(text)
		sum := mac.Sum(nil)
		key := newSecret(secret)
		if !v.verify(&key.start, text, sum) {
			t.Errorf("a secret of %d bytes: the signature of crypto/hmac is refused", size)
		}
		sum[r.IntN(len(sum))] ^= 1 << r.IntN(8)
		if v.verify(&key.start, text, sum) {
			t.Errorf("a secret of %d bytes: a changed signature is accepted", size)
		}
	}
}

// usualClaims are claims that many peers have but for the name.
const usualClaims = `{"sub":"alice","iat":1700000000,"exp":1700000600,"channels":["room-1","user/alice/*"],"permissions":["publish","subscribe","presence","send"]}`

// TestVerifyTokenAllocations pins what one connection costs: its identity and its peer id, and each metadata.
func TestVerifyTokenAllocations(t *testing.T) {
	set := testSet(t)
	for _, c := range []struct {
		name, token string
		want        float64
	}{
		{"plain", forge(header(skID), claimsWith(""), skSecret), 2},
		{"channels and permissions", forge(header(skID), usualClaims, skSecret), 2},
		{"peerMetadata", forge(header(skID), claimsWith(`,"peerMetadata":{"name":"Alice"}`), skSecret), 3},
		{"largest", forge(header(skID), claimsWith(`,"metadata":`+objectOf(8192)+`,"peerMetadata":`+objectOf(4096)), skSecret), 4},
		{"wrong signature", forge(header(skID), claimsWith(""), narrowSecret), 1}, // the refusal
	} {
		t.Run(c.name, func(t *testing.T) {
			if raceEnabled(t) {
				c.want *= 4 // the race detector makes sync.Pool forget at random
			}
			if got := testing.AllocsPerRun(1000, func() { _, _ = set.VerifyToken(c.token, testNow) }); got > c.want {
				t.Errorf("got %v allocations, want %v", got, c.want)
			}
			token := []byte(c.token)
			if got := testing.AllocsPerRun(1000, func() { _, _ = set.VerifyTokenBytes(token, testNow) }); got > c.want {
				t.Errorf("bytes: got %v allocations, want %v", got, c.want)
			}
		})
	}
}

// raceEnabled reports whether the test was built with the race detector: sync.Pool forgets at random then.
func raceEnabled(t *testing.T) bool {
	t.Helper()
	var p sync.Pool
	for range 64 {
		p.Put(new(int))
		if p.Get() == nil {
			return true
		}
	}
	return false
}

// TestIdentityKeepsNothingOfTheScratch reads another token after the first and looks at the first's identity.
func TestIdentityKeepsNothingOfTheScratch(t *testing.T) {
	set := testSet(t)
	claims := `{"sub":"alice","exp":1700000600,"channels":["room-1"],"metadata":{"a":1},"peerMetadata":{"b":2}}`
	id, err := set.VerifyToken(forge(header(skID), claims, skSecret), testNow)
	if err != nil {
		t.Fatal(err)
	}
	for range 16 {
		other := `{"sub":"` + strings.Repeat("x", 100) + `","exp":1700000600}`
		if _, err := set.VerifyToken(forge(header(skID), other, skSecret), testNow); err != nil {
			t.Fatal(err)
		}
	}
	got := fmt.Sprintf("%s %s %s %q", id.PeerID, id.Metadata, id.PeerMetadata, id.Grant.Patterns())
	if want := `alice {"a":1} {"b":2} ["room-1"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
