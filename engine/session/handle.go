package session

import (
	"signalbox/engine/auth"
	"signalbox/protocol"
)

// request is a client frame on its way through the checks. Its byte slices are
// borrowed until the frame is dealt with.
type request = protocol.Envelope

// handle deals with one client frame. The checks come in the order that the
// protocol gives its error codes.
func (s *Session) handle(text []byte) {
	var r request
	if code := s.loop.scanner.Scan(text, &r); code != "" {
		s.refuse(r.RequestID, code)
		return
	}
	if len(r.Data) > s.loop.hub.limits.MaxMessageSize {
		s.close(protocol.CloseTooBig)
		return
	}
	if code := s.check(&r); code != "" {
		s.refuse(r.RequestID, code)
		return
	}
	switch r.Type {
	case protocol.TypeSubscribe:
		s.subscribe(&r)
	case protocol.TypeUnsubscribe:
		s.unsubscribe(&r)
	case protocol.TypePublish:
		s.publish(&r)
	case protocol.TypeSend:
		s.direct(&r)
	case protocol.TypePing:
		s.pong()
	}
}

// check finds what is wrong with a request, "" if nothing is: its names, its
// data, what the session may do; limits and quota are the callee's.
func (s *Session) check(r *request) protocol.ErrorCode {
	switch r.Type {
	case protocol.TypePing:
		return ""
	case protocol.TypeSend:
		if !r.HasTo || !protocol.ValidPeerID(r.To) {
			return protocol.InvalidPeerID
		}
	default:
		if !r.HasChannel || !protocol.ValidChannel(r.Channel) {
			return protocol.InvalidChannel
		}
		if r.Type == protocol.TypePublish && protocol.IsGlob(r.Channel) {
			return protocol.InvalidChannel
		}
		if protocol.Reserved(r.Channel) {
			return protocol.ChannelReserved
		}
	}
	if (r.Type == protocol.TypePublish || r.Type == protocol.TypeSend) && r.Data == nil {
		return protocol.MissingData
	}
	return s.authorise(r)
}

// authorise checks a valid request against the session's grant.
func (s *Session) authorise(r *request) protocol.ErrorCode {
	g := s.grant
	switch r.Type {
	case protocol.TypeSubscribe:
		if !g.Allows(auth.Subscribe) {
			return protocol.ActionNotPermitted
		}
		if protocol.IsGlob(r.Channel) {
			if !g.Covers(protocol.CompileGlob(string(r.Channel))) {
				return protocol.ChannelNotAuthorized
			}
			return ""
		}
	case protocol.TypePublish:
		if !g.Allows(auth.Publish) {
			return protocol.ActionNotPermitted
		}
	case protocol.TypeSend:
		if !g.Allows(auth.Send) {
			return protocol.ActionNotPermitted
		}
		return ""
	default: // what was subscribed to may always be given up
		return ""
	}
	if !g.ChannelBytes(r.Channel) {
		return protocol.ChannelNotAuthorized
	}
	return ""
}
