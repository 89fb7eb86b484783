package api

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// feed is a listener whose connections come from push.
type feed struct {
	connC chan net.Conn // holds as many as there are slots: push never blocks
	doneC chan struct{}

	// Guarded by mu.
	mu     sync.Mutex
	closed bool
}

func newFeed(capacity int) *feed {
	return &feed{connC: make(chan net.Conn, capacity), doneC: make(chan struct{})}
}

// push queues c, which has a slot, and reports false once the feed is closed.
func (f *feed) push(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.connC <- c
	return true
}

// Accept returns the next connection.
func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.connC:
		return c, nil
	case <-f.doneC:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and closes what is still queued.
func (f *feed) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	close(f.doneC)
	for {
		select {
		case c := <-f.connC:
			_ = c.Close() // it was never served
		default:
			return nil
		}
	}
}

// Addr names the feed; it has no address.
func (f *feed) Addr() net.Addr { return feedAddr{} }

type feedAddr struct{}

func (feedAddr) Network() string { return "handoff" }
func (feedAddr) String() string  { return "handoff" }

// isUpgrade reports whether r asks for a WebSocket on the path that has them.
func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Path == "/v1" && hasToken(r.Header["Upgrade"], "websocket")
}

// hasToken reports whether a comma-separated header has a token, in any case.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// serveUpgrade hands the connection back to the loops, unless a loop has
// already judged this very request, or its end is not where its head ends.
func (s *Server) serveUpgrade(w http.ResponseWriter, r *http.Request, first bool) {
	c := connOf(r)
	if c == nil || s.handBack == nil || first && c.handedOff || len(r.TransferEncoding) > 0 {
		writeFailure(w, errUpgrade)
		return
	}
	head := appendHead(nil, r)
	_, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.log.Warn("connection cannot be handed back", "error", err)
		writeFailure(w, errInternal)
		return
	}
	// Peek of what is buffered reads nothing more and cannot fail. net/http may
	// have read ahead a byte; Hijack has put it there, too.
	rest, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	read := slices.Concat(head, rest, c.unread)
	c.slots.free(c)
	s.handBack(c.Conn, read)
}

// appendHead appends the head of r as a client would write it: net/http keeps
// everything but the Host header, the order and the case of header names.
func appendHead(dst []byte, r *http.Request) []byte {
	buf := bytes.NewBuffer(dst)
	fmt.Fprintf(buf, "%s %s %s\r\n", r.Method, r.RequestURI, r.Proto)
	if r.Host != "" {
		fmt.Fprintf(buf, "Host: %s\r\n", r.Host)
	}
	_ = r.Header.Write(buf) // a Buffer takes everything
	buf.WriteString("\r\n")
	return buf.Bytes()
}
