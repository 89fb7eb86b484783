package api

import (
	"net/url"
	"strconv"
	"unicode/utf8"

	"signalbox/engine/auth"
	"signalbox/engine/quota"
	"signalbox/protocol"
)

// Entries of one page of GET /v1/channels.
const (
	defaultPage = 100
	maxPage     = 1000
)

// serveRoster is GET /v1/channels/{channel}/peers.
func (s *Server) serveRoster(c *call) ([]byte, error) {
	if err := c.checkChannel(); err != nil {
		return nil, err
	}
	if err := c.checkGrant(auth.Presence, c.name); err != nil {
		return nil, err
	}
	peers, err := s.backend.Peers(c.ctx, c.app(), c.name)
	if err != nil {
		return nil, err
	}
	answer := protocol.AppendString([]byte(`{"channel":`), c.name)
	answer = append(answer, `,"peers":[`...)
	for i, p := range peers {
		if i > 0 {
			answer = append(answer, ',')
		}
		answer = protocol.AppendPeer(answer, p) // {"peerId":…,"metadata":…} here, too
	}
	return append(answer, `]}`...), nil
}

// page is what the query of GET /v1/channels asks for.
type page struct {
	prefix, after string
	limit         int
}

// parsePage decodes a query. prefix is required; of a repeated parameter the
// last wins; unknown ones are ignored.
func parsePage(query string) (p page, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return p, errQuery
	}
	last := func(name string) (string, bool) {
		list := values[name]
		if len(list) == 0 {
			return "", false
		}
		return list[len(list)-1], true
	}
	var ok bool
	if p.prefix, ok = last("prefix"); !ok {
		return p, errPrefix
	}
	p.after, _ = last("after")
	if !utf8.ValidString(p.prefix) || !utf8.ValidString(p.after) {
		return p, errQuery
	}
	p.limit = defaultPage
	if text, ok := last("limit"); ok {
		p.limit, err = strconv.Atoi(text)
		if err != nil || p.limit < 1 || p.limit > maxPage {
			return p, errLimit
		}
	}
	return p, nil
}

// serveChannels is GET /v1/channels?prefix=. next, there when the list goes
// on, is what to pass as after.
func (s *Server) serveChannels(c *call) ([]byte, error) {
	p, err := parsePage(c.r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	if !c.key.Actions.Has(auth.Presence) {
		return nil, errAction
	}
	list, more, err := s.backend.Channels(c.ctx, c.app(), p.prefix, p.after, p.limit, c.covers)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Channels []ChannelInfo `json:"channels"`
		Next     string        `json:"next,omitempty"`
	}{Channels: list}
	if list == nil {
		answer.Channels = []ChannelInfo{}
	}
	if more && len(list) > 0 {
		answer.Next = list[len(list)-1].Channel
	}
	return encode(answer)
}

// serveKick is DELETE /v1/peers/{peerId}; any secret key of the app may.
func (s *Server) serveKick(c *call) ([]byte, error) {
	if !protocol.ValidPeerID(c.name) {
		return nil, errPeerID
	}
	n, err := s.backend.Kick(c.ctx, c.app(), c.name)
	if err != nil {
		return nil, err
	}
	return encode(struct {
		PeerID string `json:"peerId"`
		Closed int    `json:"closed"`
	}{c.name, n})
}

// serveUsage is GET /v1/usage; any secret key of the app may.
func (s *Server) serveUsage(c *call) ([]byte, error) {
	return encode(struct {
		AppID string `json:"appId"`
		quota.Usage
		Plan auth.Plan `json:"plan"`
	}{c.app(), s.backend.Usage(c.app()), c.key.App.Plan})
}
