package client

import (
	"fmt"
	"syscall"

	"signalbox/protocol"
)

// Cause says why a connection ended. It is comparable, so causes can be
// counted. The zero Cause is a connection that we closed ourselves.
type Cause struct {
	During string // what was under way: "connect", "upgrade", "subscribe", "open"
	Status int    // HTTP status of a refused upgrade, 0: none
	Code   uint16 // code of the server's close frame, 0: none
	Errno  syscall.Errno
	Text   string // fixed text of any other fault, or code of an error frame
}

// String describes the cause on one line.
func (c Cause) String() string {
	switch {
	case c == Cause{}:
		return "closed by us"
	case c.Status != 0:
		return fmt.Sprintf("%s: HTTP status %d", c.During, c.Status)
	case c.Code != 0:
		return fmt.Sprintf("%s: close code %d%s", c.During, c.Code, explain(protocol.CloseCode(c.Code)))
	case c.Errno != 0:
		return fmt.Sprintf("%s: %s", c.During, c.Errno)
	case c.Text != "":
		return fmt.Sprintf("%s: %s", c.During, c.Text)
	}
	return c.During + ": end of stream"
}

// explain says what the server means by a code, and what to do about it if that
// is the same for every load; nothing if it is not one of the server's.
func explain(code protocol.CloseCode) string {
	reason := code.Reason()
	switch {
	case reason == "":
		return ""
	case code == protocol.CloseMessageRate:
		return " (" + reason + ": start the server with --message-rate 0)"
	}
	return " (" + reason + ")"
}
