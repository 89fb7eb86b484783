package presence

import (
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// MaxFrame is the largest presence message, in bytes of JSON: as a frame, with
// its header, it stays under what clients take.
const MaxFrame = protocol.MaxPresenceFrame - 16

// appendFrames appends the frames of the messages that carry these lists, none if
// both are empty, as few as MaxFrame allows.
func appendFrames(frames [][]byte, channel string, joined, left []protocol.Peer) [][]byte {
	for len(joined)+len(left) > 0 {
		room := MaxFrame - protocol.PresenceSize(channel)
		j, room := fit(joined, room)
		l, _ := fit(left, room)
		frames = append(frames, frame.AppendFrame(nil, frame.OpText, protocol.AppendPresence(nil, channel, joined[:j], left[:l])))
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
