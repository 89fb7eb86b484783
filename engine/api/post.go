package api

import (
	"signalbox/engine/auth"
	"signalbox/protocol"
)

// defaultFrom is the sender of a REST message that names none.
const defaultFrom = "system"

// post is the body of a publish or a send.
type post struct {
	from         string
	peerMetadata []byte // nil or a JSON object, compact
	data         []byte // one JSON value, byte for byte; nil: absent
}

// decodePost decodes all of a body but does not miss absent data, see
// checkData.
func decodePost(body []byte) (p post, err error) {
	m, err := decodeBody(body)
	if err != nil {
		return p, err
	}
	var ok bool
	if p.from, ok = m.text("from", defaultFrom); !ok || !protocol.ValidPeerID(p.from) {
		return p, errFrom
	}
	if p.peerMetadata, ok = m.object("peerMetadata", auth.MaxPeerMetadataLen); !ok {
		return p, errPeerMetadata
	}
	p.data = m["data"]
	return p, nil
}

// checkData checks that there is data and that it is no longer than limit.
func (p *post) checkData(limit int) error {
	switch {
	case p.data == nil:
		return errMissingData
	case limit > 0 && len(p.data) > limit:
		return errDataTooBig
	}
	return nil
}

// servePublish is POST /v1/channels/{channel}/publish.
func (s *Server) servePublish(c *call) ([]byte, error) {
	p, err := decodePost(c.body)
	if err != nil {
		return nil, err
	}
	if err := c.checkChannel(); err != nil {
		return nil, err
	}
	if err := p.checkData(s.maxMessageSize); err != nil {
		return nil, err
	}
	if err := c.checkGrant(auth.Publish, c.name); err != nil {
		return nil, err
	}
	n, err := s.backend.Publish(c.ctx, c.app(), c.name, p.from, p.peerMetadata, p.data)
	if err != nil {
		return nil, err
	}
	return encode(struct {
		Channel   string `json:"channel"`
		Delivered int    `json:"delivered"`
	}{c.name, n})
}

// serveSend is POST /v1/peers/{peerId}/send.
func (s *Server) serveSend(c *call) ([]byte, error) {
	p, err := decodePost(c.body)
	if err != nil {
		return nil, err
	}
	if !protocol.ValidPeerID(c.name) {
		return nil, errPeerID
	}
	if err := p.checkData(s.maxMessageSize); err != nil {
		return nil, err
	}
	if !c.key.Actions.Has(auth.Send) {
		return nil, errAction
	}
	n, err := s.backend.Send(c.ctx, c.app(), c.name, p.from, p.peerMetadata, p.data)
	if err != nil {
		return nil, err
	}
	return encode(struct {
		PeerID    string `json:"peerId"`
		Delivered int    `json:"delivered"`
	}{c.name, n})
}
