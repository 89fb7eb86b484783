package target

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"signalbox/bench/client"
	"signalbox/protocol"
)

// Key is a secret key of the server.
type Key struct{ ID, Secret string }

// newKey makes a key of the server's form.
func newKey() Key {
	var random [40]byte
	_, _ = rand.Read(random[:]) // never fails
	return Key{"sk_id_" + hex.EncodeToString(random[:16]), "sk_secret_" + hex.EncodeToString(random[16:])}
}

// tokenLife is how long tokens hold: longer than any run.
const tokenLife = 24 * time.Hour

// Claims are what a token says beside its expiry; nil permissions are all of the
// key's.
type Claims struct {
	Peer         string
	Permissions  []string
	PeerMetadata map[string]any
}

// Token signs a token.
func (k Key) Token(c Claims) (string, error) {
	claims := jwt.MapClaims{"sub": c.Peer, "exp": time.Now().Add(tokenLife).Unix()}
	if c.Permissions != nil {
		claims["permissions"] = c.Permissions
	}
	if c.PeerMetadata != nil {
		claims["peerMetadata"] = c.PeerMetadata
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	token.Header["kid"] = k.ID
	return token.SignedString([]byte(k.Secret))
}

// Signalbox is the dialect of the server this harness belongs to.
type Signalbox struct {
	Host string
	Path string
	Key  Key
	TLS  *tls.Config // nil: plain
}

// Dialogue is a target that talks to peers of Signalbox at a path, whatever their
// key. It has one process with t, which is to be closed.
func Dialogue(t *Target, name, path string) *Target {
	return &Target{Name: name, Addr: t.Addr, Process: t.Process, Dialect: &Signalbox{Host: t.Addr.String(), Path: path, Key: newKey()}}
}

// Permissions that load peers carry: without presence the roster is kept, but
// nobody is told of joins, of which there would be members².
var (
	memberPermissions    = []string{"subscribe"}
	publisherPermissions = []string{"publish"}
)

// Join implements Dialect. The peer has no presence permission.
func (s *Signalbox) Join(peer, channel string) (client.Script, error) {
	return s.Subscriber(Claims{Peer: peer, Permissions: memberPermissions}, channel)
}

// Visit implements Dialect.
func (s *Signalbox) Visit(peer, _ string) (client.Script, error) {
	return s.Peer(Claims{Peer: peer, Permissions: publisherPermissions})
}

// Peer returns the script of a peer that subscribes to nothing.
func (s *Signalbox) Peer(c Claims) (client.Script, error) {
	token, err := s.Key.Token(c)
	if err != nil {
		return client.Script{}, err
	}
	return client.Script{Request: client.Upgrade(s.Host, s.Path+"?token="+token), Welcome: true, TLS: s.TLS}, nil
}

// Subscriber returns the script of a peer that subscribes to channels.
func (s *Signalbox) Subscriber(c Claims, channels ...string) (client.Script, error) {
	script, err := s.Peer(c)
	if err != nil {
		return script, err
	}
	for i, channel := range channels {
		script.Hello = AppendSubscribe(script.Hello, channel, strconv.Itoa(i))
	}
	script.Acks = len(channels)
	return script, nil
}

// AppendSubscribe appends a masked subscribe frame.
func AppendSubscribe(dst []byte, channel, requestID string) []byte {
	text := protocol.AppendString([]byte(`{"type":"subscribe","channel":`), channel)
	text = protocol.AppendString(append(text, `,"requestId":`...), requestID)
	return client.AppendText(dst, append(text, '}'))
}

// AppendUnsubscribe appends a masked unsubscribe frame, which gets no ack.
func AppendUnsubscribe(dst []byte, channel string) []byte {
	text := protocol.AppendString([]byte(`{"type":"unsubscribe","channel":`), channel)
	return client.AppendText(dst, append(text, '}'))
}

// AppendSend appends a masked send frame.
func AppendSend(dst []byte, to string, data []byte) []byte {
	text := protocol.AppendString([]byte(`{"type":"send","to":`), to)
	text = append(append(text, `,"data":`...), data...)
	return client.AppendText(dst, append(text, '}'))
}

// AppendPublish implements Dialect.
func (s *Signalbox) AppendPublish(dst []byte, channel string, data []byte) []byte {
	text := protocol.AppendString([]byte(`{"type":"publish","channel":`), channel)
	text = append(append(text, `,"data":`...), data...)
	return client.AppendText(dst, append(text, '}'))
}

// Overhead implements Dialect.
func (s *Signalbox) Overhead(channel, from string) int {
	return len(protocol.AppendMessage(nil, channel, from, nil, nil))
}

// Closers implements Dialect: the frame's brace.
func (s *Signalbox) Closers() int { return 1 }
