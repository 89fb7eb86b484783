package handover

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/goccy/go-json"
	"golang.org/x/sys/unix"
)

// variable is the environment variable that has the Offer, as JSON.
const variable = "SIGNALBOX_PREDECESSOR"

// lineFD is the successor's end of the line; the listeners' descriptors follow.
const lineFD = 3

// serving is what a successor says once it serves.
const serving = "serving\n"

// Offer is what a successor is left.
type Offer struct {
	Addr      string   `json:"addr"`      // host:port of the public address
	Sockets   int      `json:"sockets"`   // that the predecessor listens on there
	Listeners []string `json:"listeners"` // names, in the order of their descriptors
}

// Predecessor is the process whose place this one takes.
type Predecessor struct {
	Offer // immutable

	line  net.Conn
	goneC chan struct{}

	mu sync.Mutex
	// Guarded by mu.
	listeners map[string]net.Listener // not yet claimed
}

// Inherit returns the predecessor of this process, nil if it has none.
func Inherit() (*Predecessor, error) {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(variable); err != nil { // no successor of this one's
		return nil, err
	}
	p := &Predecessor{goneC: make(chan struct{}), listeners: map[string]net.Listener{}}
	if err := json.Unmarshal([]byte(text), &p.Offer); err != nil || p.Addr == "" || p.Sockets < 1 {
		return nil, errors.New(variable + " is set, but not by a server that is to be replaced")
	}
	line, err := inherit(lineFD, net.FileConn)
	if err != nil {
		return nil, fmt.Errorf("no line to the server that is to be replaced: %w", err)
	}
	p.line = line
	for i, name := range p.Offer.Listeners {
		ln, err := inherit(lineFD+1+i, net.FileListener)
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("the listener %q was not left: %w", name, err)
		}
		p.listeners[name] = ln
	}
	go func() {
		_, _ = io.Copy(io.Discard, line) // until it ends, as it does with the process
		close(p.goneC)
	}()
	return p, nil
}

// inherit makes something of a descriptor that was left to this process.
func inherit[T any](fd int, open func(*os.File) (T, error)) (T, error) {
	var none T
	f, err := still(fd)
	if err != nil {
		return none, err
	}
	defer f.Close()      // open has made a copy
	defer unix.Close(fd) // which is closed on exec, as this one is not
	return open(f)
}

// Listener returns the listener of that name, once; nil if none was left.
func (p *Predecessor) Listener(name string) net.Listener {
	p.mu.Lock()
	defer p.mu.Unlock()
	ln := p.listeners[name]
	delete(p.listeners, name)
	return ln
}

// Serving tells the predecessor that this process serves and that it may go. What
// was not claimed by then is closed. An error means that it is gone.
func (p *Predecessor) Serving() error {
	p.closeListeners()
	_, err := io.WriteString(p.line, serving)
	return err
}

// Gone is closed when the predecessor has ended.
func (p *Predecessor) Gone() <-chan struct{} { return p.goneC }

// Close closes the line and what was not claimed.
func (p *Predecessor) Close() {
	p.closeListeners()
	_ = p.line.Close() // nothing is on its way
}

func (p *Predecessor) closeListeners() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, ln := range p.listeners {
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // the predecessor listens there
		}
		_ = ln.Close() // never used
		delete(p.listeners, name)
	}
}
