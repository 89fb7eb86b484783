package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSign(t *testing.T) {
	set := testSet(t)
	many := func(n int) []string { return slices.Repeat([]string{"room-1"}, n) }
	for _, c := range []struct {
		name   string
		kid    string
		claims Claims
		want   error
	}{
		{"least", skID, Claims{PeerID: "alice"}, nil},
		{"everything", skID, Claims{PeerID: "a b~", Channels: []string{"room-*", "hall"}, Permissions: []string{"send", "send"}, ExpiresIn: 86400, Metadata: []byte(`{"a":"<&>"}`), PeerMetadata: []byte(" { } ")}, nil},
		{"empty lists", skID, Claims{PeerID: "alice", Channels: []string{}, Permissions: []string{}}, nil},
		{"covered channels", narrowID, Claims{PeerID: "alice", Channels: []string{"room-*", "room-1", "devices/7/events"}, Permissions: []string{"presence"}}, nil},
		{"metadata at the caps, full of what HTML escapes", skID, Claims{PeerID: "alice", Metadata: []byte(strings.ReplaceAll(objectOf(8192), "xx", "<>")), PeerMetadata: []byte(objectOf(4096))}, nil},
		{"100 channels", skID, Claims{PeerID: "alice", Channels: many(100)}, nil},
		{"16 permissions", skID, Claims{PeerID: "alice", Permissions: slices.Repeat([]string{"send"}, 16)}, nil},
		{"long secret", longID, Claims{PeerID: "alice"}, nil},

		{"no peer id", skID, Claims{}, ErrInvalidClaims},
		{"peer id not ASCII", skID, Claims{PeerID: "zoë"}, ErrInvalidClaims},
		{"life negative", skID, Claims{PeerID: "alice", ExpiresIn: -1}, ErrInvalidClaims},
		{"life too long", skID, Claims{PeerID: "alice", ExpiresIn: 86401}, ErrInvalidClaims},
		{"channel invalid", skID, Claims{PeerID: "alice", Channels: []string{""}}, ErrInvalidClaims},
		{"channel too long", skID, Claims{PeerID: "alice", Channels: []string{strings.Repeat("a", 257)}}, ErrInvalidClaims},
		{"101 channels", skID, Claims{PeerID: "alice", Channels: many(101)}, ErrInvalidClaims},
		{"channel beyond the key", narrowID, Claims{PeerID: "alice", Channels: []string{"room-1", "hall"}}, ErrChannelNotAuthorized},
		{"glob beyond the key", narrowID, Claims{PeerID: "alice", Channels: []string{"*"}}, ErrChannelNotAuthorized},
		{"permission unknown", skID, Claims{PeerID: "alice", Permissions: []string{"fly"}}, ErrInvalidClaims},
		{"17 permissions", skID, Claims{PeerID: "alice", Permissions: slices.Repeat([]string{"send"}, 17)}, ErrInvalidClaims},
		{"permission beyond the key", narrowID, Claims{PeerID: "alice", Permissions: []string{"presence", "publish"}}, ErrActionNotPermitted},
		{"permission unknown and beyond", narrowID, Claims{PeerID: "alice", Permissions: []string{"publish", "fly"}}, ErrInvalidClaims},
		{"metadata a list", skID, Claims{PeerID: "alice", Metadata: []byte(`[]`)}, ErrInvalidClaims},
		{"metadata null", skID, Claims{PeerID: "alice", Metadata: []byte(`null`)}, ErrInvalidClaims},
		{"metadata empty", skID, Claims{PeerID: "alice", Metadata: []byte{}}, ErrInvalidClaims},
		{"metadata broken", skID, Claims{PeerID: "alice", Metadata: []byte(`{"a":}`)}, ErrInvalidClaims},
		{"metadata not UTF-8", skID, Claims{PeerID: "alice", Metadata: []byte("{\"a\":\"\xff\"}")}, ErrInvalidClaims},
		{"metadata over its cap", skID, Claims{PeerID: "alice", Metadata: []byte(objectOf(8193))}, ErrInvalidClaims},
		{"peerMetadata over its cap", skID, Claims{PeerID: "alice", PeerMetadata: []byte(objectOf(4097))}, ErrInvalidClaims},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, expiresAt, err := set.Key(c.kid).Sign(c.claims, testNow)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil {
				return
			}
			checkSigned(t, set, c.claims, token, expiresAt)
		})
	}
}

// checkSigned verifies a token as the server would, and compares what it says with what was to be signed.
func checkSigned(t *testing.T, set *Set, c Claims, token string, expiresAt int64) {
	t.Helper()
	life := c.ExpiresIn
	if life == 0 {
		life = 3600
	}
	if want := testNow.Unix() + life; expiresAt != want {
		t.Errorf("expiry: got %d, want %d", expiresAt, want)
	}
	id, err := set.VerifyToken(token, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if id.PeerID != c.PeerID || id.ExpiresAt != expiresAt {
		t.Errorf("got %q until %d", id.PeerID, id.ExpiresAt)
	}
	if (id.Metadata == nil) != (c.Metadata == nil) || (id.PeerMetadata == nil) != (c.PeerMetadata == nil) {
		t.Errorf("metadata: got %s and %s", id.Metadata, id.PeerMetadata)
	}
	if c.Channels != nil && len(id.Grant.claims) != len(c.Channels) {
		t.Errorf("channels: got %q, want %q", id.Grant.Patterns(), c.Channels)
	}
	if _, _, ok := oracle(set, token); !ok {
		t.Error("golang-jwt does not take the token")
	}
	if _, err := set.VerifyToken(token, time.Unix(expiresAt, 0)); verdict(t, err) != "4002" {
		t.Errorf("at its expiry: got %v", err)
	}
}

func TestSignWithPublishableKey(t *testing.T) {
	if _, _, err := testSet(t).Key(pkID).Sign(Claims{PeerID: "alice"}, testNow); err == nil {
		t.Error("a publishable key signed a token")
	}
}
