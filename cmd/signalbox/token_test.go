package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// firstKey returns id and secret of the first secret key in dir's apps.yaml.
func firstKey(t testing.TB, dir string) (id, secret string) {
	t.Helper()
	for _, field := range strings.FieldsFunc(readApps(t, dir), func(r rune) bool { return strings.ContainsRune(" {},\n", r) }) {
		switch {
		case id == "" && strings.HasPrefix(field, "sk_id_"):
			id = field
		case secret == "" && strings.HasPrefix(field, "sk_secret_"):
			secret = field
		}
	}
	if id == "" || secret == "" {
		t.Fatal("no secret key in apps.yaml")
	}
	return id, secret
}

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	here := invocation{dir: dir}
	token := here.ok(t, "token", "mint", "alice",
		"--channels", "room-*", "--channels", "lobby", "--permissions", "subscribe,publish",
		"--expires-in", "10m", "--metadata", `{"hush":1}`, "--peer-metadata", `{"name":"Alice"}`)
	if strings.Count(token, "\n") != 1 || strings.Count(token, ".") != 2 {
		t.Fatalf("got %q, want a token on a line of its own", token)
	}
	id, _ := firstKey(t, dir)
	for name, got := range map[string]string{
		"argument": here.ok(t, "token", "check", strings.TrimSpace(token)),
		"stdin":    invocation{dir: dir, stdin: token}.ok(t, "token", "check"),
		"dash":     invocation{dir: dir, stdin: token}.ok(t, "token", "check", "-"),
	} {
		for _, want := range []string{
			`key "` + id + `"`, `peer "alice"`, `channels ["room-*", "lobby"]`, `permissions ["subscribe", "publish"]`,
			"metadata object of 1 members", "The server would accept it: app app_demo",
		} {
			if !strings.Contains(squeeze(got), want) {
				t.Errorf("%s: output lacks %q:\n%s", name, want, got)
			}
		}
		if strings.Contains(got, "hush") {
			t.Errorf("%s: output shows private metadata:\n%s", name, got)
		}
	}
}

func TestTokenMintErrors(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	here := invocation{dir: dir}
	created := secretKeyPrinted.FindStringSubmatch(here.ok(t, "key", "create", "--patterns", "room-*", "--actions", "subscribe"))
	if created == nil {
		t.Fatal("key create did not print an id and a secret")
	}
	narrow := created[1]
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no peer":                 {nil, "<peer-id>"},
		"bad peer":                {[]string{"zoë"}, "peerId"},
		"life too long":           {[]string{"alice", "--expires-in", "25h"}, "86400"},
		"life too short":          {[]string{"alice", "--expires-in", "1ms"}, "--expires-in must be at least 1s"},
		"channel beyond the key":  {[]string{"alice", "--key", narrow, "--channels", "lobby"}, "channels[0]"},
		"unknown permission":      {[]string{"alice", "--permissions", "fly"}, "permissions[0]"},
		"permission of other key": {[]string{"alice", "--key", narrow, "--permissions", "publish"}, "publish"},
		"metadata no object":      {[]string{"alice", "--metadata", "[1]"}, "metadata must be a JSON object"},
		"unknown key":             {[]string{"alice", "--key", "sk_id_nope"}, "no such secret key"},
		"key of another app":      {[]string{"alice", "--key", narrow, "--app", "app_other"}, "no such secret key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here.fails(t, append([]string{"token", "mint"}, c.args...), c.want)
		})
	}
}

func TestTokenMintWithRevokedKey(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	here := invocation{dir: dir}
	id, _ := firstKey(t, dir)
	here.ok(t, "key", "revoke", id)
	here.fails(t, []string{"token", "mint", "alice"}, "no usable secret key")
	here.fails(t, []string{"token", "mint", "alice", "--key", id}, "the key is revoked")
}

func TestTokenCheckSaysWhy(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	id, secret := firstKey(t, dir)
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for name, c := range map[string]struct {
		secret string
		claims jwt.MapClaims
		want   []string
	}{
		"expired":         {secret, jwt.MapClaims{"sub": "alice", "exp": in(-time.Hour)}, []string{"4002", "exp has passed"}},
		"not yet valid":   {secret, jwt.MapClaims{"sub": "alice", "exp": in(time.Hour), "nbf": in(time.Hour)}, []string{"4001", "nbf"}},
		"no exp":          {secret, jwt.MapClaims{"sub": "alice"}, []string{"4001", "exp"}},
		"no sub":          {secret, jwt.MapClaims{"exp": in(time.Hour)}, []string{"4001", "sub"}},
		"wrong signature": {"guess", jwt.MapClaims{"sub": "alice", "exp": in(time.Hour)}, []string{"4001", "signature is wrong"}},
		"no channel left": {secret, jwt.MapClaims{"sub": "alice", "exp": in(time.Hour), "channels": []string{"\x01"}}, []string{"4003"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := jwt.NewWithClaims(jwt.SigningMethodHS256, c.claims)
			token.Header["kid"] = id
			text, err := token.SignedString([]byte(c.secret))
			if err != nil {
				t.Fatal(err)
			}
			got := invocation{dir: dir}.fails(t, []string{"token", "check", text}, c.want...)
			if !strings.Contains(squeeze(got.stdout), `key "`+id+`"`) {
				t.Errorf("output lacks the claims:\n%s", got.stdout)
			}
			if strings.Contains(got.stderr, text) || strings.Contains(got.stdout, text) {
				t.Error("the token is repeated")
			}
		})
	}
	for name, token := range map[string]string{
		"no token": "garbage",
		"empty":    " ",
		"two dots": "..",
		"huge":     strings.Repeat("a", 64<<10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invocation{dir: dir, stdin: token}.fails(t, []string{"token", "check"}, "HTTP 401 invalid_token")
			if got.stdout != "" {
				t.Errorf("got output %q, want none", got.stdout)
			}
		})
	}
}

func TestTokenCheckQuotesHostileClaims(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "\x1b[2J", "channels": []any{"\u202e", 1.5, nil, []any{"x"}}, "exp": "soon", "nbf": 1e300, "metadata": 7,
	})
	token.Header["kid"] = "\x1b]0;x\a"
	text, err := token.SignedString([]byte("guess"))
	if err != nil {
		t.Fatal(err)
	}
	got := invocation{dir: dir}.fails(t, []string{"token", "check", text}, "4001")
	if strings.ContainsAny(got.stdout, "\x1b\a\u202e") {
		t.Errorf("control characters reach the terminal: %q", got.stdout)
	}
}

func TestTokenOfRevokedKeyIsRefused(t *testing.T) {
	t.Parallel()
	dir := initialised(t)
	here := invocation{dir: dir}
	token := strings.TrimSpace(here.ok(t, "token", "mint", "alice"))
	id, _ := firstKey(t, dir)
	here.ok(t, "key", "revoke", id)
	here.fails(t, []string{"token", "check", token}, "close code 4001", "the key is revoked")

	path := filepath.Join(dir, "apps.yaml")
	text := strings.Replace(readApps(t, dir), "suspended: false", "suspended: true", 1)
	if err := os.WriteFile(path, []byte(strings.Replace(text, ", revoked: true", "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	here.fails(t, []string{"token", "check", token}, "close code 4012", "suspended")
}
