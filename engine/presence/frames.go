package presence

import "signalbox/protocol"

// MaxFrame is the largest presence message, in bytes of JSON: as a frame, with
// its header, it stays under what clients take.
const MaxFrame = protocol.MaxPresenceFrame - 16

// Lister is a roster of either kind.
type Lister interface {
	Len() int
	Each(f func(id, meta string))
}

// Snapshot returns the presence messages that tell the peer self who else is in
// the channel: one, with an empty list if nobody is, unless the list has to be
// split at MaxFrame.
func Snapshot(channel string, r Lister, self string) [][]byte {
	joined := make([]protocol.Peer, 0, r.Len())
	r.Each(func(id, meta string) {
		if id != self {
			joined = append(joined, protocol.Peer{ID: id, Metadata: metadata(meta)})
		}
	})
	if len(joined) == 0 {
		b := make([]byte, 0, protocol.PresenceSize(channel))
		return [][]byte{protocol.AppendPresence(b, channel, nil, nil)}
	}
	return appendFrames(nil, channel, joined, nil)
}

// appendFrames appends the messages that carry these lists, none if both are
// empty, as few as MaxFrame allows.
func appendFrames(frames [][]byte, channel string, joined, left []protocol.Peer) [][]byte {
	for len(joined)+len(left) > 0 {
		room := MaxFrame - protocol.PresenceSize(channel)
		j, room := fit(joined, room)
		l, _ := fit(left, room)
		frames = append(frames, protocol.AppendPresence(nil, channel, joined[:j], left[:l]))
		joined, left = joined[j:], left[l:]
	}
	return frames
}

// fit returns how many of the peers fit into so many bytes, and what is left.
func fit(peers []protocol.Peer, room int) (n, left int) {
	for _, p := range peers {
		// An id is printable ASCII, of which two characters need an escape.
		size := len(`{"peerId":"","metadata":},`) + 2*len(p.ID) + len(p.Metadata)
		if size > room {
			break
		}
		room -= size
		n++
	}
	return n, room
}
