package session

import (
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"signalbox/engine/auth"
	"signalbox/engine/quota"
	"signalbox/engine/registry"
	"signalbox/engine/telemetry"
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// Conn is what a session needs of its socket. Its methods are called on the
// loop's goroutine.
type Conn interface {
	// Write sends b and queues what the kernel does not take now. b is borrowed
	// until it returns. It may call Closed.
	Write(b []byte)
	// Batch has b written by the loop's Submit, or sooner; b is borrowed until
	// then. It reports false, and does nothing, if b is to be written.
	Batch(b []byte) bool
	// Queued returns the bytes queued in user space.
	Queued() int
	// Finish ends the connection in good order once what is queued is sent. The
	// session hears nothing more of it.
	Finish()
	// Resume hands over the input held back while the session was not Ready, and
	// reports whether there was so much that more may be left in the socket.
	Resume() (more bool)
}

// Session is one connected client.
type Session struct {
	// Immutable after Open.
	loop    *Loop
	conn    Conn
	app     *App
	grant   *auth.Grant
	peer    *registry.Peer
	meta    string // what others may know of it: a raw JSON object, or empty
	expires int64  // unix ms, 0: never
	slot    uint32

	// Loop-owned.
	lastSeen moment // when the client was last heard
	nextPing moment // when it is to be pinged
	heard    uint32 // the last cast it was looked at for; it wraps around, and each tick catches up
	bucket   quota.Bucket
	reader   frame.Reader
	subs     []subscription
	busy     *busy  // what an idle session has no use for; nil if it is one
	await    uint16 // subscriptions that await their snapshot
	open     bool
	held     bool // a request to another loop is under way; input waits
	lost     bool // the connection is gone, but input read before is still held
	corked   bool // listed in loop.corked
	late     bool // silent for too long, but the loop may not have read yet
}

// busy is what a session has while something is under way.
type busy struct {
	cork    []byte         // frames for this session alone
	stream  *backlog       // a long snapshot on its way; nil if none
	joining *registry.Part // a subscribe under way to its home loop; nil if none
	unread  []byte         // input left when the connection was lost while held
	parked  uint32         // reads of input that wait for the loop, see Loop.Begin
	since   int64          // when the first input that waits came, ms of the loop's clock; 0: none waits
	until   int64          // while the rest of it may yet be read, when that ends; 0: nothing is known to be left
	weight  int            // bytes that wait for a slow reader, as loop.slow has them
	place   int            // in loop.slow.list, if there is weight
}

var idle busy // never written

// under returns what the session has under way, to look at.
func (s *Session) under() *busy {
	if s.busy == nil {
		return &idle
	}
	return s.busy
}

// begin returns what the session has under way, to change. settle follows.
func (s *Session) begin() *busy {
	if s.busy == nil {
		l := s.loop
		if n := len(l.spare); n > 0 {
			s.busy, l.spare = l.spare[n-1], l.spare[:n-1]
		} else {
			s.busy = new(busy)
		}
	}
	return s.busy
}

// maxSpare is how many busys of idle sessions a loop keeps.
const maxSpare = 256

// settle gives busy back if nothing is under way any more.
func (s *Session) settle() {
	b := s.busy
	if b == nil || len(b.cork) > 0 || b.stream != nil || b.joining != nil || b.unread != nil || b.parked > 0 || b.since > 0 || b.weight > 0 {
		return
	}
	s.busy = nil
	if l := s.loop; len(l.spare) < maxSpare {
		l.spare = append(l.spare, b)
	}
}

// subscription is one channel or pattern of a session.
type subscription struct {
	part  *registry.Part  // of a channel
	group *registry.Group // of a pattern
	index uint32          // in the part's or group's Subs
	meta  bool            // asked for the sender's metadata
	// wildMeta counts the session's patterns that match the channel and ask
	// for the sender's metadata.
	wildMeta uint16
}

// Open makes a session of a connection whose credential was verified. head, the
// answer to the upgrade, is sent first. If the server cannot have the session,
// the connection is closed with a code after head, and Open returns nil.
func (l *Loop) Open(conn Conn, id *auth.Identity, head []byte) *Session {
	app := l.hub.App(id.App.ID)
	code := l.hub.standing(id.Key)
	if code == 0 && !app.Quota.Connect() {
		code = protocol.CloseConnectionLimit
	}
	if code != 0 {
		l.counts.Refused(http.StatusSwitchingProtocols, strconv.Itoa(int(code)))
		conn.Write(frame.AppendClose(head, code, code.Reason()))
		conn.Finish()
		return nil
	}
	l.look()
	s := &Session{
		loop: l, conn: conn, app: app, grant: id.Grant, open: true,
		meta: string(id.PeerMetadata), expires: min(id.ExpiresAt, math.MaxInt64/1000) * 1000, lastSeen: momentOf(l.now),
	}
	l.enter(s)
	s.peer = app.Space.Enter(id.PeerID, s.ref())
	l.hub.bus.EnterPeer(app.ID, id.PeerID)
	s.welcome(id, head)
	if s.logs() {
		s.log("session opened", slog.String("peer", id.PeerID), slog.Any("client", addrOf(conn)))
	}
	if l.hub.leaving.Load() {
		l.sendOff(s)
	}
	return s
}

// enter gives s a slot.
func (l *Loop) enter(s *Session) {
	if n := len(l.free); n > 0 {
		s.slot, l.free = l.free[n-1], l.free[:n-1]
		l.sessions[s.slot] = s
	} else {
		s.slot = uint32(len(l.sessions))
		l.sessions = append(l.sessions, s)
		l.gens = append(l.gens, 0)
		l.due = append(l.due, 0)
		l.opened = append(l.opened, 0)
	}
	l.opened[s.slot] = uint32(l.now / 1000)
	l.counts.Connects++
	l.open++
	// The first ping comes after a half to the whole interval and a tenth.
	p := l.hub.limits.PingInterval.Milliseconds()
	s.nextPing = momentOf(l.now + p/2 + rand.Int64N(p*6/10+1))
	l.due[s.slot] = s.nextTick()
}

func (s *Session) welcome(id *auth.Identity, head []byte) {
	now := time.Now()
	s.loop.text = protocol.AppendWelcome(s.loop.text[:0], protocol.Welcome{
		PeerID:         id.PeerID,
		ExpiresAt:      id.ExpiresAt,
		ServerTime:     now.Unix(),
		MaxMessageSize: s.loop.hub.limits.MaxMessageSize,
		Metadata:       id.WelcomeMetadata(now),
	})
	s.loop.counts.FramesOut++
	s.write(frame.AppendFrame(head, frame.OpText, s.loop.text))
}

func (s *Session) ref() registry.Ref {
	return registry.NewRef(s.loop.index, s.slot, s.loop.gens[s.slot])
}

// Ready reports whether the session takes input now, of which some has come.
func (s *Session) Ready() bool {
	s.loop.behind(s)
	if s.waits() {
		s.inputWaits()
		return false
	}
	return true
}

// inputWaits notes that input has come that waits.
func (s *Session) inputWaits() {
	b := s.begin()
	if b.until = 0; b.since == 0 {
		b.since = max(s.loop.now, 1)
	}
}

// catchUp notes that what has waited since then has been dealt with but for what was
// left in the socket, or with the client: that is given as long to come as it had to
// wait.
func (s *Session) catchUp(since int64) {
	b := s.begin()
	b.since, b.until = since, 2*s.loop.now-since
}

// waits reports whether input waits, for another loop or its own.
func (s *Session) waits() bool { return s.held || s.under().parked > 0 }

// Receive takes the input that has arrived and returns how many bytes of it are
// dealt with; the rest, with more behind it, comes again. It unmasks buf in
// place. Begin comes before it.
func (s *Session) Receive(buf []byte) int {
	l := s.loop
	s.lastSeen, s.late = momentOf(l.now), false
	if b := s.busy; b != nil && b.until > 0 && b.until <= l.now {
		b.since, b.until = 0, 0
	}
	l.receiving = s
	done := 0
	for s.open && !s.held {
		m, n, err := s.reader.Next(buf[done:], l.hub.limits.maxFrame())
		done += n
		if err != nil {
			s.fail(err)
			break
		}
		if m.Op == 0 {
			break
		}
		if !s.mayTake() {
			s.close(protocol.CloseMessageRate)
			break
		}
		s.message(m)
	}
	l.receiving = nil
	if s.held && done < len(buf) {
		s.inputWaits()
	} else if b := s.busy; b != nil && b.until == 0 {
		b.since = 0
	}
	l.counts.BytesIn += uint64(done)
	if !s.open {
		l.schedule()
		return len(buf)
	}
	s.flushCork()
	return done
}

// mayTake takes a message off the client's rate and reports whether there was room.
// What had to wait may have come at any time since it began to: that the server held
// the client is none of its doing.
func (s *Session) mayTake() bool {
	now, limits := s.loop.now, &s.loop.hub.limits
	burst := limits.MessageBurst
	if since := s.under().since; since > 0 {
		const most = 1e9 // a rate that is as good as none
		burst += min(int((now-since)*min(int64(limits.MessageRate), most)/1000), math.MaxInt-burst)
		now = since
	}
	return s.bucket.Take(now, limits.MessageRate, burst)
}

// fail closes the session for a fault in its frames.
func (s *Session) fail(err error) {
	code := protocol.CloseProtocolError
	if e := (*frame.Error)(nil); errors.As(err, &e) {
		code = e.Code
	}
	s.close(code)
}

// message deals with one message or control frame.
func (s *Session) message(m frame.Message) {
	s.loop.counts.FramesIn++
	switch m.Op {
	case frame.OpText:
		s.handle(m.Payload)
	case frame.OpBinary:
		s.close(protocol.CloseUnsupported)
	case frame.OpPing:
		s.loop.counts.FramesOut++
		s.put(frame.AppendFrame(nil, frame.OpPong, m.Payload))
	case frame.OpClose:
		s.answerClose(m.Payload)
	}
}

// answerClose echoes the client's close code, as RFC 6455 §5.5.1 asks.
func (s *Session) answerClose(payload []byte) {
	code, err := frame.ParseClose(payload)
	switch {
	case err != nil:
		s.fail(err)
	case len(payload) == 0:
		s.end(frame.AppendFrame(nil, frame.OpClose, nil), telemetry.Close{Code: telemetry.NoCode, By: telemetry.Client})
	default:
		s.end(frame.AppendClose(nil, protocol.CloseCode(code), ""), telemetry.Close{Code: protocol.CloseCode(code), By: telemetry.Client})
	}
}

// close ends the session with a close frame of the server's.
func (s *Session) close(code protocol.CloseCode) {
	s.end(frame.AppendClose(nil, code, code.Reason()), telemetry.Close{Code: code, By: telemetry.Server})
}

// end writes the last frame and closes the session. What others see of it ends
// within the turn.
func (s *Session) end(last []byte, how telemetry.Close) {
	if !s.open {
		return
	}
	before := s.under().cork
	if b := s.under().stream; b != nil {
		before = b.rest() // what is queued behind it is given up
	}
	s.transmit(slices.Concat(before, last))
	if !s.open { // the write failed
		return
	}
	s.loop.counts.FramesOut++
	s.conn.Finish()
	s.bye(how)
}

// Closed tells that the connection is gone. unread is input that arrived before
// and was held back, borrowed until Closed returns.
func (s *Session) Closed(unread []byte) {
	if !s.open {
		return
	}
	s.lost = true
	if s.waits() && len(unread) > 0 {
		// The client sent it before it went: it still counts.
		b := s.begin()
		b.unread = append(b.unread, unread...)
		return
	}
	s.bye(lost)
}

// lost is the end of a session whose connection is gone.
var lost = telemetry.Close{Code: telemetry.Gone, By: telemetry.Network}

// Overflow closes a session whose client sends on and on while it is held. For one
// that waits only because its loop is behind, the loop catches up.
func (s *Session) Overflow() {
	if s.held {
		s.close(protocol.ClosePolicy)
		return
	}
	s.loop.catchUp()
}

func (s *Session) bye(how telemetry.Close) {
	s.open = false
	s.loop.reckon(s, 0)
	s.note(how)
	s.loop.gone.push(s)
	s.loop.schedule()
}

// release lets the session take input again, after a reply from another loop.
func (s *Session) release() {
	s.held = false
	s.goOn()
}

// goOn takes the input that has waited, if nothing is left to wait for.
func (s *Session) goOn() {
	switch {
	case s.waits():
	case s.lost && !s.open:
	case s.lost:
		unread := s.under().unread
		n := s.Receive(unread)
		if s.held {
			s.begin().unread = unread[n:]
		} else if s.open {
			s.bye(lost)
		}
	case s.open:
		s.flushCork()
		since := s.under().since
		if s.conn.Resume() && s.open && since > 0 && s.under().since == 0 {
			s.catchUp(since)
		}
	}
}

// leaveAll takes a closed session out of everything it was in, and reports
// whether it has come to the end within so many subscriptions.
func (s *Session) leaveAll(subs *int) bool {
	l := s.loop
	for ; len(s.subs) > 0; *subs-- {
		if *subs <= 0 {
			return false
		}
		s.drop(len(s.subs) - 1)
	}
	*subs-- // its own end is worth as much
	if p := s.under().joining; p != nil {
		l.leaveHome(p, s)
	}
	s.app.Space.Exit(s.peer.ID, s.ref())
	l.hub.bus.ExitPeer(s.app.ID, s.peer.ID)
	s.app.Quota.Disconnect()
	l.sessions[s.slot] = nil
	l.gens[s.slot]++
	l.due[s.slot] = 0
	l.free = append(l.free, s.slot)
	l.open--
	s.busy, s.reader = nil, frame.Reader{}
	return true
}
