package engine

import (
	"errors"
	"log/slog"

	"signalbox/engine/reactor"
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// EchoConfig is what an echo server is made of.
type EchoConfig struct {
	Listen         string       // host:port
	MaxMessageSize int          // bytes
	Loops          int          // event loops; 0: one a core
	Logger         *slog.Logger // nil: slog.Default
}

// NewEcho returns a server that sends every message back: the reactor and the
// frame code alone, on any path, without credentials or rates.
func NewEcho(cfg EchoConfig) (*Server, error) {
	if err := loops(&cfg.Loops); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	r, err := reactor.New(reactor.Config{
		Listen:           cfg.Listen,
		Loops:            cfg.Loops,
		AnyPath:          true,
		HandshakeTimeout: DefaultConfig().Limits.HandshakeTimeout,
		MaxUnread:        maxUnread,
		Gate:             echoGate{cfg.MaxMessageSize},
		Logger:           cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	s := &Server{log: cfg.Logger, reactor: r, readyC: make(chan struct{}), drainC: make(chan struct{})}
	for range cfg.Loops {
		s.loops = append(s.loops, echoLoop{})
	}
	return s, nil
}

// echoLoop has nothing to do beside its sockets.
type echoLoop struct{}

// Start does nothing.
func (echoLoop) Start() {}

// Begin does nothing.
func (echoLoop) Begin() {}

// Turn does nothing.
func (echoLoop) Turn() {}

// echoGate lets everybody in.
type echoGate struct{ limit int }

// Admit answers the upgrade.
func (g echoGate) Admit(_ int, c *reactor.Conn, _ *reactor.Request, response []byte) (reactor.Receiver, *reactor.HTTPError) {
	c.Write(response)
	return &echo{conn: c, limit: g.limit}, nil
}

// echo is one connection of an echo server. Loop-owned.
type echo struct {
	conn   *reactor.Conn
	limit  int
	reader frame.Reader
	out    []byte // answers to one Receive
	done   bool
}

// Receive sends back what it gets.
func (e *echo) Receive(buf []byte) int {
	done := 0
	for !e.done {
		m, n, err := e.reader.Next(buf[done:], e.limit)
		done += n
		if err != nil {
			e.fail(err)
		} else if m.Op == 0 {
			break
		} else {
			e.answer(m)
		}
	}
	e.flush()
	return done
}

func (e *echo) answer(m frame.Message) {
	switch m.Op {
	case frame.OpPing:
		e.out = frame.AppendFrame(e.out, frame.OpPong, m.Payload)
	case frame.OpText, frame.OpBinary:
		e.out = frame.AppendFrame(e.out, m.Op, m.Payload)
	case frame.OpClose:
		code, err := frame.ParseClose(m.Payload)
		switch {
		case err != nil:
			e.fail(err)
		case len(m.Payload) == 0:
			e.end(frame.AppendFrame(e.out, frame.OpClose, nil))
		default:
			e.end(frame.AppendClose(e.out, protocol.CloseCode(code), ""))
		}
	}
	// A client that sends without reading is not read from either, in effect:
	// it is closed when its answers pile up.
	if len(e.out) > e.limit {
		e.flush()
	}
	if !e.done && e.conn.Queued() > echoBacklog+2*e.limit {
		e.end(frame.AppendClose(nil, protocol.ClosePolicy, protocol.ClosePolicy.Reason()))
	}
}

// echoBacklog is how many bytes may queue for a slow reader beyond two messages.
const echoBacklog = 1 << 20

// Behind is for what Batch sends, which is not used here.
func (e *echo) Behind() {}

func (e *echo) fail(err error) {
	code := protocol.CloseProtocolError
	if f := (*frame.Error)(nil); errors.As(err, &f) {
		code = f.Code
	}
	e.end(frame.AppendClose(e.out, code, code.Reason()))
}

func (e *echo) end(last []byte) {
	e.out, e.done = last, true
	e.flush()
	e.conn.Finish()
}

func (e *echo) flush() {
	if len(e.out) > 0 {
		e.conn.Write(e.out)
		e.out = nil
	}
}

// Ready is always true.
func (e *echo) Ready() bool { return true }

// Overflow cannot happen: input is always wanted.
func (e *echo) Overflow() {}

// Closed does nothing.
func (e *echo) Closed([]byte) { e.done = true }
