package target

import (
	"signalbox/bench/client"
	"signalbox/protocol"
)

// Centrifuge is the dialect of a server on the centrifuge library: JSON commands
// with ids, replies that may share a frame, a line each.
type Centrifuge struct{ Host string }

// centrifugeLines are its replies. A heartbeat is an empty object and wants one
// back.
var centrifugeLines = &client.Lines{
	Answer: `{"id":`,
	Fault:  `,"error":`,
	Ping:   `{}`,
	Pong:   client.AppendText(nil, []byte(`{}`)),
}

const centrifugeConnect = `{"id":1,"connect":{}}`

// Join implements Dialect.
func (c *Centrifuge) Join(_, channel string) (client.Script, error) {
	hello := protocol.AppendString([]byte(centrifugeConnect+"\n"+`{"id":2,"subscribe":{"channel":`), channel)
	return c.script(append(hello, "}}"...), 2), nil
}

// Visit implements Dialect.
func (c *Centrifuge) Visit(string, string) (client.Script, error) {
	return c.script([]byte(centrifugeConnect), 1), nil
}

func (c *Centrifuge) script(hello []byte, answers int) client.Script {
	return client.Script{
		Request: client.Upgrade(c.Host, "/connection/websocket"),
		Hello:   client.AppendText(nil, hello),
		Acks:    answers,
		Lines:   centrifugeLines,
	}
}

// AppendPublish implements Dialect.
func (c *Centrifuge) AppendPublish(dst []byte, channel string, data []byte) []byte {
	text := protocol.AppendString([]byte(`{"id":3,"publish":{"channel":`), channel)
	text = append(append(text, `,"data":`...), data...)
	return client.AppendText(dst, append(text, "}}"...))
}

// Overhead implements Dialect.
func (c *Centrifuge) Overhead(channel, _ string) int {
	push := protocol.AppendString([]byte(`{"push":{"channel":`), channel)
	return len(append(push, `,"pub":{"data":}}}`...))
}

// Closers implements Dialect: the braces of pub, push and the reply.
func (c *Centrifuge) Closers() int { return 3 }
