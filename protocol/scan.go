package protocol

import (
	"bytes"
	"unicode/utf8"
)

// FrameType is what a client frame asks for.
type FrameType uint8

// The types of client frames.
const (
	TypeUnknown FrameType = iota
	TypeSubscribe
	TypeUnsubscribe
	TypePublish
	TypeSend
	TypePing
)

// Envelope is what the server reads of a client frame. Its slices borrow from
// the message and from the Scanner, see Scan.
type Envelope struct {
	Type FrameType

	Channel   []byte // text of "channel"
	To        []byte // text of "to"
	RequestID []byte // text of "requestId", 1 to MaxRequestIDLen code points
	Data      []byte // raw value of "data", nil if absent

	HasChannel            bool // "channel" is there and a string
	HasTo                 bool // "to" is there and a string
	HasRequestID          bool // "requestId" is there and valid
	IncludeSenderMetadata bool
}

// maxNesting is how deep objects and arrays may nest, the message's own object
// included: the limit of encoding/json.
const maxNesting = 10000

// maxScratch is the most bytes a Scanner keeps between messages.
const maxScratch = 4 << 10

// Scanner reads envelopes. The zero value is ready; it is not for concurrent
// use. It keeps scratch memory, so one per event loop serves all its sessions.
type Scanner struct {
	// Borrowed by the last Envelope until the next Scan.
	scratch []byte // texts that had escapes

	// One bit for each open object or array, valid during a Scan: set for an
	// object.
	nesting [maxNesting/64 + 1]uint64
}

// members holds the raw values of the members that matter, the last one of each
// name, nil if absent.
type members struct {
	kind, channel, to, requestID, data, include []byte
}

// Scan reads the envelope of msg, which must be valid UTF-8, into env. It
// accepts what json.Valid does and nothing else, as long as it is one object.
// Member names count after their escapes are resolved, case included; of a
// repeated member the last one.
//
// Scan returns no error code, or MalformedMessage, or UnknownType. When the
// whole of msg is an object and its requestId is valid, env.RequestID is there
// whatever is returned, so that an error frame can carry it; nothing else of env
// counts after an error.
//
// The slices of env alias msg or s. They hold until the next Scan with s, and
// no longer than msg stays unchanged.
func (s *Scanner) Scan(msg []byte, env *Envelope) ErrorCode {
	*env = Envelope{}
	if cap(s.scratch) > maxScratch {
		s.scratch = nil
	}
	s.scratch = s.scratch[:0]

	var m members
	if !s.scanObject(msg, &m) {
		return MalformedMessage
	}
	return s.resolve(&m, env)
}

// resolve turns raw values into an envelope.
func (s *Scanner) resolve(m *members, env *Envelope) ErrorCode {
	if m.requestID != nil {
		id, ok := s.text(m.requestID)
		if !ok || len(id) == 0 || utf8.RuneCount(id) > MaxRequestIDLen {
			return MalformedMessage
		}
		env.RequestID, env.HasRequestID = id, true
	}
	switch string(m.include) {
	case "", "false":
	case "true":
		env.IncludeSenderMetadata = true
	default:
		return MalformedMessage
	}
	kind, ok := s.text(m.kind)
	if !ok {
		return MalformedMessage
	}
	env.Type = frameType(kind)
	if env.Type == TypeUnknown {
		return UnknownType
	}
	env.Channel, env.HasChannel = s.text(m.channel)
	env.To, env.HasTo = s.text(m.to)
	env.Data = m.data
	return ""
}

// frameType is the type of that name.
func frameType(name []byte) FrameType {
	switch string(name) {
	case "publish":
		return TypePublish
	case "send":
		return TypeSend
	case "subscribe":
		return TypeSubscribe
	case "unsubscribe":
		return TypeUnsubscribe
	case "ping":
		return TypePing
	default:
		return TypeUnknown
	}
}

// text is what the raw value says if it is a string. It aliases raw when there
// is nothing to unescape, else the scratch.
func (s *Scanner) text(raw []byte) (text []byte, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return nil, false
	}
	raw = raw[1 : len(raw)-1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw, true
	}
	// Growth moves the scratch; texts handed out before keep the old array.
	start := len(s.scratch)
	s.scratch = appendUnescaped(s.scratch, raw)
	return s.scratch[start:len(s.scratch):len(s.scratch)], true
}

// scanObject checks that msg is one JSON object and finds its members.
func (s *Scanner) scanObject(msg []byte, m *members) bool {
	i := skipSpace(msg, 0)
	if at(msg, i) != '{' {
		return false
	}
	i = skipSpace(msg, i+1)
	if at(msg, i) == '}' {
		return skipSpace(msg, i+1) == len(msg)
	}
	for {
		name := i
		nameEnd, value := skipName(msg, i)
		if value < 0 {
			return false
		}
		end := s.skipValue(msg, value)
		if end < 0 {
			return false
		}
		if member := s.member(m, msg[name+1:nameEnd-1]); member != nil {
			*member = msg[value:end:end]
		}
		i = skipSpace(msg, end)
		switch at(msg, i) {
		case ',':
			i = skipSpace(msg, i+1)
		case '}':
			return skipSpace(msg, i+1) == len(msg)
		default:
			return false
		}
	}
}

// maxRawName is the longest a name that matters can be with all its characters
// written as \uXXXX.
const maxRawName = len("includeSenderMetadata") * len(`\u0000`)

// member is where to put the value of the member with that raw name, nil if it
// does not matter. Nearly all names are known or dull as they stand; only what
// is left is searched for escapes.
func (s *Scanner) member(m *members, raw []byte) *[]byte {
	member := m.named(raw)
	if member != nil || len(raw) > maxRawName || bytes.IndexByte(raw, '\\') < 0 {
		return member
	}
	s.scratch = appendUnescaped(s.scratch[:0], raw)
	return m.named(s.scratch)
}

// named is the member of that name, nil if it does not matter.
func (m *members) named(name []byte) *[]byte {
	switch string(name) {
	case "type":
		return &m.kind
	case "channel":
		return &m.channel
	case "data":
		return &m.data
	case "requestId":
		return &m.requestID
	case "to":
		return &m.to
	case "includeSenderMetadata":
		return &m.include
	default:
		return nil
	}
}

// Valid reports whether text, valid UTF-8, is one JSON value with nothing but
// white space around it: what json.Valid accepts.
func (s *Scanner) Valid(text []byte) bool {
	end := s.skipValue(text, skipSpace(text, 0))
	return end >= 0 && skipSpace(text, end) == len(text)
}
