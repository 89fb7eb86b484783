package client

import "bytes"

// Lines is how a server speaks that puts several messages into a text frame,
// one a line, and answers each command with a line.
type Lines struct {
	Answer string // how a line begins that answers a command; it counts as an ack
	Fault  string // what an answer holds that is an error
	Ping   string // the line that wants a pong
	Pong   []byte // masked frame that answers it
}

// lines handles a text frame. Each line that is neither answer nor ping counts
// as a frame and goes to the handler.
func (c *Conn) lines(l *Lines, payload []byte) {
	for len(payload) > 0 && c.state != closed {
		var line []byte
		line, payload, _ = bytes.Cut(payload, newline)
		switch {
		case len(line) == 0:
		case string(line) == l.Ping:
			c.Send(l.Pong)
		case len(line) >= len(l.Answer) && string(line[:len(l.Answer)]) == l.Answer:
			c.answered(bytes.Contains(line, []byte(l.Fault)))
		default:
			c.Loop.frames++
			c.spec.Handler.Text(c, line)
		}
	}
}

// answered follows the script. Answers after that are to publishes.
func (c *Conn) answered(fault bool) {
	switch {
	case fault:
		c.fail(Cause{Text: "a command was refused"})
	case c.state == joining:
		if c.acks--; c.acks == 0 {
			c.become()
		}
	}
}

var newline = []byte("\n")
