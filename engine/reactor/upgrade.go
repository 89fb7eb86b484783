package reactor

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/gobwas/ws"
	"github.com/goccy/go-json"
	"github.com/panjf2000/gnet/v2"
)

// Request is what a Gate may know of an upgrade request.
type Request struct {
	Target string // as in the request line
	Origin string // the Origin header, "" without one
	Addr   netip.Addr
}

// Query returns the parameters of the target's query.
func (r *Request) Query() url.Values {
	_, query, _ := strings.Cut(r.Target, "?")
	values, _ := url.ParseQuery(query) // what is malformed is left out
	return values
}

// HTTPError answers a request that does not become a WebSocket.
type HTTPError struct {
	Status  int
	Code    string // the body's "error"
	Message string // the body's "message"
	Header  string // one more header line without its end, or empty
}

var (
	unavailable = &HTTPError{http.StatusServiceUnavailable, "unavailable", "the server is full, try again later", "Retry-After: 5"}
	headTooLong = &HTTPError{http.StatusRequestHeaderFieldsTooLarge, "invalid_request", "the request head is too long", ""}
	notFound    = &HTTPError{http.StatusNotFound, "not_found", "there is nothing here but WebSockets", ""}
)

// readHead waits for the end of the request head and deals with the request. It
// returns how much of buf belonged to it.
func (c *Conn) readHead(buf []byte) (int, gnet.Action) {
	// The end may begin in the last three bytes seen before.
	from := max(0, int(c.scanned)-3)
	end := bytes.Index(buf[from:], headEnd)
	if c.scanned = int32(len(buf)); end < 0 {
		if len(buf) > MaxHead {
			c.refuse(headTooLong)
		}
		return 0, gnet.None
	}
	end += from + len(headEnd)
	switch {
	case end > MaxHead:
		c.refuse(headTooLong)
	case isUpgrade(buf[:end], c.loop.cfg.AnyPath):
		c.upgrade(buf[:end])
	case c.loop.cfg.Sidecar == nil:
		c.refuse(notFound)
	default:
		return len(buf), c.handOff(buf)
	}
	return end, gnet.None
}

// upgrade answers an upgrade request whose head is complete.
func (c *Conn) upgrade(head []byte) {
	r, answer, refusal := handshake(head)
	if refusal != nil {
		c.refuse(refusal)
		return
	}
	r.Addr = c.addr()
	c.state = stateOpen
	recv, refusal := c.loop.cfg.Gate.Admit(c.loop.index, c, &r, answer)
	switch {
	case refusal != nil:
		c.refuse(refusal)
	case recv == nil:
		c.Finish()
	case c.state == stateOpen:
		c.recv = recv
	case c.state == stateClosed: // the answer could not be written
		recv.Closed(nil)
	}
}

// handshake checks an upgrade request and returns the answer that accepts it, or
// what to refuse it with.
func handshake(head []byte) (r Request, answer []byte, refusal *HTTPError) {
	x := exchange{head: head}
	u := ws.Upgrader{
		OnRequest: func(uri []byte) error {
			r.Target = string(uri)
			return nil
		},
		OnHeader: func(key, value []byte) error {
			if string(key) == "Origin" {
				r.Origin = string(value)
			}
			return nil
		},
	}
	_, err := u.Upgrade(&x)
	if err == nil && !(wellFormed(head) && unambiguous(head)) {
		err = ws.ErrMalformedRequest
	}
	if err != nil {
		return r, nil, badUpgrade(err)
	}
	return r, x.answer, nil
}

// unambiguous reports whether the headers that the Upgrader takes as they come
// are there once, the key is one as RFC 6455 §4.1 wants it, 16 bytes in base64,
// and no body stands between the head and the first frame.
func unambiguous(head []byte) bool {
	_, headers, _ := bytes.Cut(head, crlf)
	_, hosts := header(headers, "Host")
	_, versions := header(headers, "Sec-WebSocket-Version")
	key, keys := header(headers, "Sec-WebSocket-Key")
	_, encodings := header(headers, "Transfer-Encoding")
	length, lengths := header(headers, "Content-Length")
	if hosts != 1 || versions != 1 || keys != 1 || encodings != 0 || lengths > 1 || lengths == 1 && string(length) != "0" {
		return false
	}
	var nonce [18]byte
	if len(key) != base64.StdEncoding.EncodedLen(16) {
		return false
	}
	n, err := base64.StdEncoding.Decode(nonce[:], key)
	return err == nil && n == 16
}

// badUpgrade tells what is wrong with an upgrade request (RFC 6455 §4.2.2).
func badUpgrade(err error) *HTTPError {
	e := &HTTPError{Status: http.StatusBadRequest, Code: "invalid_request", Message: "this is no proper WebSocket upgrade"}
	if rejected := (*ws.ConnectionRejectedError)(nil); errors.As(err, &rejected) && rejected.StatusCode() == http.StatusUpgradeRequired {
		e.Status, e.Message = http.StatusUpgradeRequired, "only WebSocket version 13 is spoken here"
		e.Header = "Sec-WebSocket-Version: 13"
	}
	return e
}

// exchange lets the Upgrader read exactly one head and write its answer into
// memory.
type exchange struct {
	head   []byte
	answer []byte
}

func (x *exchange) Read(p []byte) (int, error) {
	n := copy(p, x.head)
	x.head = x.head[n:]
	if n == 0 {
		return 0, errors.New("reactor: the request head ends early")
	}
	return n, nil
}

func (x *exchange) Write(p []byte) (int, error) {
	x.answer = append(x.answer, p...)
	return len(p), nil
}

// refuse answers the request with an error and ends the connection.
func (c *Conn) refuse(e *HTTPError) {
	body, _ := json.Marshal(struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{e.Code, e.Message}) // strings always marshal
	b := append([]byte("HTTP/1.1 "), strconv.Itoa(e.Status)...)
	b = append(append(b, ' '), http.StatusText(e.Status)...)
	b = append(b, "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n"...)
	if e.Header != "" {
		b = append(append(b, e.Header...), "\r\n"...)
	}
	c.Write(append(append(b, "\r\n"...), body...))
	c.Finish()
}

// addr returns the client's address.
func (c *Conn) addr() netip.Addr {
	if a, ok := c.gc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
