package hooks

import (
	"strconv"
	"time"

	"signalbox/engine/auth"
	"signalbox/protocol"
)

// event is one thing that happened. Its strings are shared with the sessions.
type event struct {
	app     *App
	kind    auth.Events // one
	time    int64       // unix ms
	channel string      // empty if it is about a peer
	peer    string      // empty if it is about a channel
	meta    string      // a raw JSON object, or empty
}

// eventCost is what an event takes in memory beside its strings, in bytes.
const eventCost = 96

func (e *event) size() int { return eventCost + len(e.channel) + len(e.peer) + len(e.meta) }

// append appends the event as JSON, under this id.
func (e *event) append(dst, id []byte) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, id...)
	dst = append(dst, `","type":"`...)
	dst = append(dst, e.kind.String()...)
	dst = append(dst, `","time":`...)
	dst = strconv.AppendInt(dst, e.time, 10)
	if e.channel != "" {
		dst = protocol.AppendString(append(dst, `,"channel":`...), e.channel)
	}
	if e.peer != "" {
		dst = protocol.AppendString(append(dst, `,"peerId":`...), e.peer)
	}
	if e.meta != "" {
		dst = append(append(dst, `,"metadata":`...), e.meta...)
	}
	return append(dst, '}')
}

// seal returns the body of a request with these events, JSON separated by
// commas. dropped is how many are missing before them.
func (g *idGenerator) seal(app string, dropped int64, events []byte, now time.Time) []byte {
	b := make([]byte, 0, len(events)+len(app)+96)
	b = g.append(append(b, `{"id":"`...), now)
	b = protocol.AppendString(append(b, `","app":`...), app)
	if dropped > 0 {
		b = strconv.AppendInt(append(b, `,"dropped":`...), dropped, 10)
	}
	b = append(b, `,"events":[`...)
	b = append(b, events...)
	return append(b, `]}`...)
}
