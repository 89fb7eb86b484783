package admin

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/goccy/go-json"

	"signalbox/engine/auth"
	"signalbox/protocol"
)

type keyInfo struct {
	KeyID           string   `json:"keyId"`
	AppID           string   `json:"appId"`
	Kind            string   `json:"kind"`
	ChannelPatterns []string `json:"channelPatterns"`
	Actions         []string `json:"actions"`
	AllowedOrigins  []string `json:"allowedOrigins"` // null: any
	InjectTurn      bool     `json:"injectTurn"`
	Revoked         bool     `json:"revoked"`
}

// The kinds of keys.
const (
	kindSecret      = "secret"
	kindPublishable = "publishable"
)

// serveKeys lists the keys of an app, or of all.
func (s *Server) serveKeys(_ http.ResponseWriter, r *http.Request) (any, error) {
	apps := s.Backend.Keys().Apps()
	if r.FormValue("app") != "" {
		id, err := s.app(r)
		if err != nil {
			return nil, err
		}
		apps = []*auth.App{s.Backend.Keys().App(id)}
	}
	answer := struct {
		Keys []keyInfo `json:"keys"`
	}{[]keyInfo{}}
	for _, a := range apps {
		if a == nil { // gone since
			continue
		}
		for _, k := range a.Keys {
			answer.Keys = append(answer.Keys, describeKey(k))
		}
	}
	return answer, nil
}

func describeKey(k *auth.Key) keyInfo {
	i := keyInfo{
		KeyID: k.ID, AppID: k.App.ID, Kind: kindPublishable, ChannelPatterns: []string{}, Actions: []string{},
		AllowedOrigins: k.AllowedOrigins, InjectTurn: k.InjectTurn, Revoked: k.Revoked,
	}
	if k.Secret() {
		i.Kind = kindSecret
	}
	for _, p := range k.Patterns {
		i.ChannelPatterns = append(i.ChannelPatterns, p.String())
	}
	for _, word := range []string{"publish", "subscribe", "presence", "send"} {
		if a, _ := auth.ParseAction(word); k.Actions.Has(a) {
			i.Actions = append(i.Actions, word)
		}
	}
	return i
}

// serveKick closes the sockets of a peer.
func (s *Server) serveKick(w http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		AppID  string `json:"appId"`
		PeerID string `json:"peerId"`
	}
	if err := decode(w, r, &body); err != nil {
		return nil, err
	}
	switch {
	case s.Backend.Keys().App(body.AppID) == nil:
		return nil, errUnknownApp
	case !protocol.ValidPeerID(body.PeerID):
		return nil, invalid("peerId must be 1-128 characters of printable ASCII.")
	}
	n, err := s.Backend.Kick(r.Context(), body.AppID, body.PeerID)
	if err != nil {
		return nil, answered(r.Context(), err)
	}
	s.Logger.Info("peer kicked from the console", "app", body.AppID, "peer", body.PeerID, "closed", n)
	return struct {
		PeerID string `json:"peerId"`
		Closed int    `json:"closed"`
	}{body.PeerID, n}, nil
}

// serveCreateKey adds a key to the apps file.
func (s *Server) serveCreateKey(w http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		AppID           string   `json:"appId"`
		Kind            string   `json:"kind"`
		ChannelPatterns []string `json:"channelPatterns"`
		Actions         []string `json:"actions"`
		AllowedOrigins  []string `json:"allowedOrigins"`
		InjectTurn      bool     `json:"injectTurn"`
	}
	if err := decode(w, r, &body); err != nil {
		return nil, err
	}
	if s.AppsFile == "" {
		return nil, errReadOnly
	}
	app := s.Backend.Keys().App(body.AppID)
	if app == nil {
		return nil, errUnknownApp
	}
	spec := auth.KeySpec{
		Publishable: body.Kind == kindPublishable, Patterns: body.ChannelPatterns,
		AllowedOrigins: body.AllowedOrigins, InjectTurn: body.InjectTurn,
	}
	if err := checkSpec(app, body.Kind, &spec, body.Actions); err != nil {
		return nil, err
	}
	id, secret, err := auth.CreateKey(s.AppsFile, body.AppID, spec)
	switch {
	case errors.Is(err, auth.ErrUnknownApp):
		return nil, errUnknownApp
	case err != nil:
		return nil, s.notEdited(err)
	}
	s.Logger.Info("key created from the console", "app", body.AppID, "key", id)
	s.reload()
	return struct {
		KeyID  string `json:"keyId"`
		Secret string `json:"secret,omitempty"`
	}{id, secret}, nil
}

// checkSpec checks what a key shall be in words for its maker, and fills in its
// actions.
func checkSpec(app *auth.App, kind string, spec *auth.KeySpec, words []string) error {
	switch {
	case kind != kindSecret && kind != kindPublishable:
		return invalid("kind must be secret or publishable.")
	case len(app.Keys) >= auth.MaxKeys:
		return invalid("The app has as many keys as it can have.")
	case len(spec.Patterns) == 0 || len(spec.Patterns) > auth.MaxPatterns:
		return invalid("channelPatterns must be a list of 1 to 100 channel names or patterns.")
	case len(words) == 0:
		return invalid("actions must be some of publish, subscribe, presence, send.")
	case kind == kindSecret && len(spec.AllowedOrigins) > 0:
		return invalid("allowedOrigins are for publishable keys only.")
	}
	for _, p := range spec.Patterns {
		if !protocol.ValidChannel(p) {
			return invalid("channelPatterns must be 1 to 256 bytes each, without control characters.")
		}
	}
	for _, word := range words {
		a, ok := auth.ParseAction(word)
		if !ok {
			return invalid("actions must be some of publish, subscribe, presence, send.")
		}
		spec.Actions |= a
	}
	for _, o := range spec.AllowedOrigins {
		if u, err := url.Parse(o); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || o != u.Scheme+"://"+u.Host {
			return invalid("allowedOrigins must be like https://app.example, without a path.")
		}
	}
	if len(spec.AllowedOrigins) == 0 {
		spec.AllowedOrigins = nil
	}
	return nil
}

// notEdited is the failure of an edit of the apps file. Its error names the
// file and is for the log.
func (s *Server) notEdited(err error) error {
	s.Logger.Error("apps file not changed", "error", err)
	return &failure{http.StatusServiceUnavailable, "unavailable", "The apps file could not be changed; the log says why."}
}

// reload puts an edit in force at once.
func (s *Server) reload() {
	if err := s.Backend.Reload(); err != nil {
		s.Logger.Error("apps not read, the old ones stay in force", "error", err)
	}
}

// serveRevokeKey revokes a key in the apps file.
func (s *Server) serveRevokeKey(w http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		KeyID string `json:"keyId"`
	}
	if err := decode(w, r, &body); err != nil {
		return nil, err
	}
	if s.AppsFile == "" {
		return nil, errReadOnly
	}
	switch err := auth.RevokeKey(s.AppsFile, body.KeyID); {
	case errors.Is(err, auth.ErrUnknownKey):
		return nil, errUnknownKey
	case err != nil:
		return nil, s.notEdited(err)
	}
	s.Logger.Info("key revoked from the console", "key", body.KeyID)
	s.reload()
	return struct {
		KeyID   string `json:"keyId"`
		Revoked bool   `json:"revoked"`
	}{body.KeyID, true}, nil
}

// serveMint signs a token for the playground.
func (s *Server) serveMint(w http.ResponseWriter, r *http.Request) (any, error) {
	var body struct {
		AppID        string          `json:"appId"`
		PeerID       string          `json:"peerId"`
		Channels     []string        `json:"channels"`
		Permissions  []string        `json:"permissions"`
		ExpiresInSec int64           `json:"expiresInSec"`
		Metadata     json.RawMessage `json:"metadata"`
		PeerMetadata json.RawMessage `json:"peerMetadata"`
	}
	if err := decode(w, r, &body); err != nil {
		return nil, err
	}
	set := s.Backend.Keys()
	app := set.App(body.AppID)
	if app == nil {
		return nil, errUnknownApp
	}
	key := signer(app)
	if key == nil {
		return nil, errNoKey
	}
	token, expiresAt, err := key.Sign(auth.Claims{
		PeerID: body.PeerID, Channels: body.Channels, Permissions: body.Permissions,
		ExpiresIn: body.ExpiresInSec, Metadata: body.Metadata, PeerMetadata: body.PeerMetadata,
	}, time.Now())
	if err != nil {
		if errors.Is(err, auth.ErrInvalidClaims) || errors.Is(err, auth.ErrChannelNotAuthorized) || errors.Is(err, auth.ErrActionNotPermitted) {
			return nil, invalid(sentence(err)) // Sign's words are safe to show
		}
		return nil, err
	}
	return struct {
		Token     string `json:"token"`
		ExpiresAt int64  `json:"expiresAt"`
		URL       string `json:"url"`
	}{token, expiresAt, s.socketOrigin(r) + "/v1?token=" + token}, nil
}

// signer returns the app's first secret key that is not revoked, or nil.
func signer(app *auth.App) *auth.Key {
	for _, k := range app.Keys {
		if k.Secret() && !k.Revoked {
			return k
		}
	}
	return nil
}

// sentence is an error's text as a sentence.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
