package reactor

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/gobwas/ws"
	"github.com/goccy/go-json"
	"github.com/panjf2000/gnet/v2"
)

// Request is what a Gate may know of an upgrade request.
type Request struct {
	Target []byte // as in the request line; borrowed until Admit returns
	Origin string // the Origin header, "" without one
	Addr   netip.Addr
}

// maxPlain is the most parameters that Param reads by itself.
const maxPlain = 64

// Param returns the first value of a parameter of the target's query, and
// whether there is one. As net/url has it, what is malformed is left out. The
// value may be a part of the target.
func (r *Request) Param(name string) (value []byte, ok bool) {
	_, query, _ := bytes.Cut(r.Target, []byte("?"))
	if bytes.Count(query, []byte("&")) >= maxPlain || bytes.ContainsAny(query, "%+;") {
		values, _ := url.ParseQuery(string(query))
		return []byte(values.Get(name)), values.Has(name)
	}
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		if key, value, _ := bytes.Cut(pair, []byte("=")); string(key) == name {
			return value, true
		}
	}
	return nil, false
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
// returns how much of buf belonged to it. The first known bytes were searched for
// the end before.
func (c *Conn) readHead(buf []byte, known int) (int, gnet.Action) {
	// The end may begin in the last three of them.
	from := max(0, known-3)
	end := bytes.Index(buf[from:], headEnd)
	if end < 0 {
		if len(buf) > MaxHead {
			c.refuse(headTooLong)
		}
		return 0, gnet.None
	}
	if end += from + len(headEnd); end > MaxHead {
		c.refuse(headTooLong)
		return end, gnet.None
	}
	o := outlineOf(buf[:end])
	switch {
	case o.isUpgrade(c.loop.cfg.AnyPath):
		c.upgrade(buf[:end], &o)
	case c.loop.cfg.Sidecar == nil:
		c.refuse(notFound)
	default:
		return len(buf), c.handOff(buf)
	}
	return end, gnet.None
}

// upgrade answers an upgrade request whose head is complete.
func (c *Conn) upgrade(head []byte, o *outline) {
	h := c.loop.handshaker
	defer h.forget()
	if refusal := h.shake(head, o); refusal != nil {
		c.refuse(refusal)
		return
	}
	if peer := c.Addr(); len(h.forwarded) > 0 && !c.anonymous() {
		if client := c.loop.cfg.Proxies.behind(peer, bytes.TrimSuffix(h.forwarded, []byte(","))); client != peer {
			c.setAddr(client)
		}
	}
	h.request.Addr = c.Addr()
	c.state = stateOpen
	recv, refusal := c.loop.cfg.Gate.Admit(c.loop.index, c, &h.request, h.answer)
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
	c.loop.counts.Handshake.Observe(c.opened.since(time.Now()))
}

// handshaker reads upgrade requests and makes the answers that accept them, each
// in the memory of the one before. Loop-owned.
type handshaker struct {
	upgrader ws.Upgrader
	request  Request
	head     []byte // what the upgrader has not read yet
	target   []byte // the memory of the request's
	// forwarded is every X-Forwarded-For, each with a comma behind it
	forwarded []byte
	answer    []byte
}

// answerRoom is the room for an answer and what a Gate sends with it, in bytes.
const answerRoom = 1 << 10

func newHandshaker() *handshaker {
	h := &handshaker{answer: make([]byte, 0, answerRoom)}
	h.upgrader.OnRequest = func(uri []byte) error {
		h.target = append(h.target[:0], uri...)
		h.request.Target = h.target
		return nil
	}
	h.upgrader.OnHeader = func(key, value []byte) error {
		switch string(key) {
		case "Origin":
			h.request.Origin = string(value)
		case "X-Forwarded-For":
			h.forwarded = append(append(h.forwarded, value...), ',')
		}
		return nil
	}
	return h
}

// shake checks an upgrade request, of which o is the outline. It leaves the
// request and the answer that accepts it, or returns what to refuse it with.
func (h *handshaker) shake(head []byte, o *outline) *HTTPError {
	h.head, h.answer, h.forwarded = head, h.answer[:0], h.forwarded[:0]
	_, err := h.upgrader.Upgrade((*exchange)(h))
	if err == nil && !(o.wellFormed() && o.unambiguous()) {
		err = ws.ErrMalformedRequest
	}
	if err != nil {
		return badUpgrade(err)
	}
	return nil
}

// forget lets go of the last request.
func (h *handshaker) forget() { h.request, h.head = Request{}, nil }

// exchange lets the Upgrader read exactly one head and write its answer into
// memory.
type exchange handshaker

func (x *exchange) Read(p []byte) (int, error) {
	n := copy(p, x.head)
	x.head = x.head[n:]
	if n == 0 {
		return 0, errHeadEnds
	}
	return n, nil
}

func (x *exchange) Write(p []byte) (int, error) {
	x.answer = append(x.answer, p...)
	return len(p), nil
}

var errHeadEnds = errors.New("reactor: the request head ends early")

// badUpgrade tells what is wrong with an upgrade request (RFC 6455 §4.2.2).
func badUpgrade(err error) *HTTPError {
	e := &HTTPError{Status: http.StatusBadRequest, Code: "invalid_request", Message: "this is no proper WebSocket upgrade"}
	if rejected := (*ws.ConnectionRejectedError)(nil); errors.As(err, &rejected) && rejected.StatusCode() == http.StatusUpgradeRequired {
		e.Status, e.Message = http.StatusUpgradeRequired, "only WebSocket version 13 is spoken here"
		e.Header = "Sec-WebSocket-Version: 13"
	}
	return e
}

// refuse answers the request with an error and ends the connection.
func (c *Conn) refuse(e *HTTPError) {
	c.loop.counts.Refused(e.Status, e.Code)
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

// Addr returns the client's address, the zero Addr if it is not known.
func (c *Conn) Addr() netip.Addr {
	if addr := c.loop.clients[c]; addr.IsValid() {
		return addr
	}
	if a, ok := c.gc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// anonymous reports whether a PROXY header has named nobody. Whoever passes
// connections on does not write X-Forwarded-For: the client has, to be somebody.
func (c *Conn) anonymous() bool {
	addr, told := c.loop.clients[c]
	return told && !addr.IsValid()
}

// setAddr notes the client's address, as a proxy has told it; the zero Addr if
// that was nobody's.
func (c *Conn) setAddr(addr netip.Addr) { c.loop.clients[c] = addr }

func (c *Conn) forgetAddr() { delete(c.loop.clients, c) }
