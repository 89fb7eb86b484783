package api

import (
	"errors"

	"signalbox/engine/auth"
	"signalbox/protocol"
)

// serveTokens is POST /v1/tokens: a token signed with the calling key.
func (s *Server) serveTokens(c *call) ([]byte, error) {
	m, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	claims, asked, err := tokenClaims(m)
	if err != nil {
		return nil, err
	}
	if !c.key.Actions.Has(asked) {
		return nil, errAction
	}
	token, expiresAt, err := c.key.Sign(claims, s.now())
	switch {
	case errors.Is(err, auth.ErrChannelNotAuthorized):
		return nil, errChannelAuthorized
	case errors.Is(err, auth.ErrInvalidClaims): // all else was checked
		return nil, errTokenTooLong
	case err != nil:
		return nil, err
	}
	return encode(struct {
		Token     string `json:"token"`
		ExpiresAt int64  `json:"expiresAt"`
	}{token, expiresAt})
}

// tokenClaims takes the claims from a body, with the set of actions that its
// permissions name. What the key allows is not looked at.
func tokenClaims(m members) (c auth.Claims, asked auth.Actions, err error) {
	var ok bool
	if c.PeerID, ok = m.text("peerId", ""); !ok || !protocol.ValidPeerID(c.PeerID) {
		return c, 0, errPeerID
	}
	if c.ExpiresIn, ok = m.integer("expiresInSec", 1, auth.MaxExpiresIn, auth.DefaultExpiresIn); !ok {
		return c, 0, errExpiresIn
	}
	if c.Metadata, ok = m.object("metadata", auth.MaxMetadataLen); !ok {
		return c, 0, errMetadata
	}
	if c.PeerMetadata, ok = m.object("peerMetadata", auth.MaxPeerMetadataLen); !ok {
		return c, 0, errPeerMetadata
	}
	if c.Permissions, ok = m.texts("permissions", auth.MaxClaimPermissions); !ok {
		return c, 0, errPermissions
	}
	for _, word := range c.Permissions {
		action, known := auth.ParseAction(word)
		if !known {
			return c, 0, errPermissions
		}
		asked |= action
	}
	if c.Channels, ok = m.texts("channels", auth.MaxClaimChannels); !ok {
		return c, 0, errTokenChannels
	}
	return c, asked, checkTokenChannels(c.Channels)
}

// checkTokenChannels checks names and patterns: the form of all first, then
// whether one is reserved.
func checkTokenChannels(channels []string) error {
	for _, channel := range channels {
		if !protocol.ValidChannel(channel) {
			return errTokenChannels
		}
	}
	for _, channel := range channels {
		if protocol.Reserved(channel) {
			return errChannelReserved
		}
	}
	return nil
}
