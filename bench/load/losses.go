package load

import (
	"errors"
	"fmt"
	"sync/atomic"

	"signalbox/bench/client"
)

// ErrLost is the fault of a load whose connections did not all last.
var ErrLost = errors.New("connections were lost under load")

// losses counts connections that have ended though they were to stay. All of it
// is for any goroutine.
type losses struct {
	lost  atomic.Int64
	cause atomic.Pointer[client.Cause] // of the first
}

// ended takes down a connection's end. One that was never open is Fleet.Open's
// to tell.
func (l *losses) ended(c *client.Conn, why client.Cause) {
	if c.ReadyAt != 0 {
		l.cause.CompareAndSwap(nil, &why)
		l.lost.Add(1)
	}
}

// Err wraps ErrLost if connections have been lost.
func (l *losses) Err() error {
	n := l.lost.Load()
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d %w, the first by: %s", n, ErrLost, l.cause.Load())
}
