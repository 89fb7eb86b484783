package protocol

import "strconv"

// MaxPresenceFrame is the size a presence frame stays under, in bytes: clients
// refuse messages over 1 MiB.
const MaxPresenceFrame = 1_000_000

// Welcome is the first frame to a client.
type Welcome struct {
	PeerID         string
	ExpiresAt      int64  // unix seconds; 0: null, the credential does not expire
	ServerTime     int64  // unix seconds
	MaxMessageSize int    // bytes of data
	Metadata       []byte // raw object; empty: none
}

// Peer is one entry of a roster.
type Peer struct {
	ID       string
	Metadata []byte // raw object; empty: none
}

// AppendWelcome appends a welcome frame.
func AppendWelcome(dst []byte, w Welcome) []byte {
	dst = append(dst, `{"type":"welcome","peerId":`...)
	dst = AppendString(dst, w.PeerID)
	dst = append(dst, `,"expiresAt":`...)
	if w.ExpiresAt == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, w.ExpiresAt, 10)
	}
	dst = append(dst, `,"serverTime":`...)
	dst = strconv.AppendInt(dst, w.ServerTime, 10)
	dst = append(dst, `,"maxMessageSize":`...)
	dst = strconv.AppendInt(dst, int64(w.MaxMessageSize), 10)
	dst = appendRaw(dst, `,"metadata":`, w.Metadata)
	return append(dst, '}')
}

// AppendAck appends the positive reply to the request of that id.
func AppendAck(dst, requestID []byte) []byte {
	dst = append(dst, `{"type":"ack","requestId":`...)
	dst = AppendString(dst, requestID)
	return append(dst, '}')
}

// AppendError appends an error frame; a nil requestID leaves the member out.
func AppendError(dst, requestID []byte, code ErrorCode) []byte {
	dst = append(dst, `{"type":"error"`...)
	if requestID != nil {
		dst = append(dst, `,"requestId":`...)
		dst = AppendString(dst, requestID)
	}
	dst = append(dst, `,"code":"`...)
	dst = append(dst, code...)
	dst = append(dst, `","message":"`...)
	dst = append(dst, code.Message()...)
	return append(dst, `"}`...)
}

// AppendMessage appends what the subscribers of channel get of a publish.
// fromMetadata is a raw object or empty for none, data any raw value.
func AppendMessage(dst []byte, channel, from string, fromMetadata, data []byte) []byte {
	dst = append(dst, `{"type":"message","channel":`...)
	dst = AppendString(dst, channel)
	return appendFrom(dst, from, fromMetadata, data)
}

// AppendDirect appends what a peer gets of a send. fromMetadata is a raw object
// or empty for none, data any raw value.
func AppendDirect(dst []byte, from string, fromMetadata, data []byte) []byte {
	dst = append(dst, `{"type":"direct"`...)
	return appendFrom(dst, from, fromMetadata, data)
}

// appendFrom appends the members that message and direct share, and the end.
func appendFrom(dst []byte, from string, fromMetadata, data []byte) []byte {
	dst = append(dst, `,"from":`...)
	dst = AppendString(dst, from)
	dst = appendRaw(dst, `,"fromMetadata":`, fromMetadata)
	dst = append(dst, `,"data":`...)
	dst = append(dst, data...)
	return append(dst, '}')
}

// AppendPong appends the answer to a ping.
func AppendPong(dst []byte) []byte { return append(dst, `{"type":"pong"}`...) }

// AppendGoingAway appends the notice before close code 1001. The client should
// wait retryAfterMs milliseconds before it connects again.
func AppendGoingAway(dst []byte, retryAfterMs int) []byte {
	dst = append(dst, `{"type":"going_away","retryAfterMs":`...)
	dst = strconv.AppendInt(dst, int64(retryAfterMs), 10)
	return append(dst, '}')
}

// AppendPresence appends a presence frame. Those who left are named without
// metadata. The caller keeps the frame under MaxPresenceFrame, see PresenceSize,
// and no peer in both lists.
func AppendPresence(dst []byte, channel string, joined, left []Peer) []byte {
	dst = AppendPresenceHead(dst, channel)
	for i, p := range joined {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendPeer(dst, p)
	}
	dst = append(dst, `],"left":[`...)
	for i, p := range left {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendPeer(dst, Peer{ID: p.ID})
	}
	return append(dst, `]}`...)
}

// presenceTail ends a frame of which nobody left.
const presenceTail = `],"left":[]}`

// AppendPresenceHead appends the start of a presence frame up to the first peer
// that joined. What follows are peers with commas between them, see AppendPeer,
// and AppendPresenceTail. So a large roster can be written a part at a time.
func AppendPresenceHead(dst []byte, channel string) []byte {
	dst = append(dst, `{"type":"presence","channel":`...)
	dst = AppendString(dst, channel)
	return append(dst, `,"joined":[`...)
}

// AppendPresenceTail ends a presence frame of which nobody left.
func AppendPresenceTail(dst []byte) []byte { return append(dst, presenceTail...) }

// PresenceSize is the size in bytes of a presence frame with two empty lists.
// Each peer adds its PeerSize, and a comma if it is not the first of its list.
func PresenceSize(channel string) int {
	// A valid channel can at most double: only quotes and backslashes grow.
	var buf [64 + 2*MaxChannelLen]byte
	return len(AppendPresenceHead(buf[:0], channel)) + len(presenceTail)
}

// AppendPeer appends one entry of a presence list.
func AppendPeer(dst []byte, p Peer) []byte {
	dst = append(dst, `{"peerId":`...)
	dst = AppendString(dst, p.ID)
	dst = appendRaw(dst, `,"metadata":`, p.Metadata)
	return append(dst, '}')
}

// PeerSize is the number of bytes AppendPeer appends.
func PeerSize(p Peer) int {
	// A valid peer id can at most double.
	var buf [16 + 2*MaxPeerIDLen]byte
	n := len(AppendPeer(buf[:0], Peer{ID: p.ID}))
	if len(p.Metadata) > 0 {
		n += len(`,"metadata":`) + len(p.Metadata)
	}
	return n
}

// appendRaw appends a member with a raw value, or nothing if that is empty.
func appendRaw(dst []byte, member string, raw []byte) []byte {
	if len(raw) == 0 {
		return dst
	}
	dst = append(dst, member...)
	return append(dst, raw...)
}
