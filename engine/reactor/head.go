package reactor

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
)

var (
	crlf    = []byte("\r\n")
	headEnd = []byte("\r\n\r\n")
	colon   = []byte(":")
	space   = []byte(" ")

	methodGet = []byte("GET ")
	version   = []byte(" HTTP/1.1")
)

// The headers that decide about an upgrade, in no order.
const (
	headerUpgrade = iota
	headerHost
	headerVersion
	headerKey
	headerEncoding
	headerLength
	headers
)

var headerNames = [headers]string{
	headerUpgrade:  "Upgrade",
	headerHost:     "Host",
	headerVersion:  "Sec-WebSocket-Version",
	headerKey:      "Sec-WebSocket-Key",
	headerEncoding: "Transfer-Encoding",
	headerLength:   "Content-Length",
}

// outline is what one pass over a request head finds in it. Its slices are parts
// of the head.
type outline struct {
	line   []byte // the request line
	strict bool   // every header keeps to the letter of RFC 9112
	count  [headers]int
	first  [headers][]byte // the value of the first header of that name
}

// outlineOf reads a head, which ends with its first empty line.
func outlineOf(head []byte) (o outline) {
	var line []byte
	o.line, head, _ = bytes.Cut(head, crlf)
	o.strict = true
	for len(head) > 0 {
		if line, head, _ = bytes.Cut(head, crlf); len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, colon)
		if !ok || !isToken(name) || holdsControl(value) {
			o.strict = false
		}
		if ok {
			o.note(name, value)
		}
	}
	return o
}

// note counts a header.
func (o *outline) note(name, value []byte) {
	for i, want := range headerNames {
		if len(name) == len(want) && strings.EqualFold(string(name), want) {
			if o.count[i]++; o.count[i] == 1 {
				o.first[i] = bytes.TrimSpace(value)
			}
			return
		}
	}
}

// isUpgrade reports whether the head asks for a WebSocket at our path, rightly
// or not.
func (o *outline) isUpgrade(anyPath bool) bool {
	target, ok := bytes.CutPrefix(o.line, methodGet)
	if !ok || o.count[headerUpgrade] == 0 {
		return false
	}
	target, _, _ = bytes.Cut(target, space)
	return anyPath || path(target) == "/v1"
}

// path returns the path of a request target, which names the server, too, when
// a client takes us for a proxy (RFC 9112 §3.2.2).
func path(target []byte) string {
	before, _, _ := bytes.Cut(target, []byte("?"))
	switch {
	case string(before) == "/v1": // without allocating
		return "/v1"
	case len(before) == 0 || before[0] == '/':
		return string(before)
	}
	u, err := url.ParseRequestURI(string(before))
	if err != nil || u.Host == "" {
		return ""
	}
	return u.EscapedPath()
}

// wellFormed reports whether the head keeps to the letter of RFC 9112. The
// Upgrader is lenient, and a head that two readers can take for two different
// things lets one client's bytes pass for another's behind a proxy.
func (o *outline) wellFormed() bool {
	target, ok := bytes.CutPrefix(o.line, methodGet)
	if ok {
		target, ok = bytes.CutSuffix(target, version)
	}
	if !ok || len(target) == 0 {
		return false
	}
	for _, c := range target {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return o.strict
}

// unambiguous reports whether the headers that the Upgrader takes as they come
// are there once, the key is one as RFC 6455 §4.1 wants it, 16 bytes in base64,
// and no body stands between the head and the first frame.
func (o *outline) unambiguous() bool {
	if o.count[headerHost] != 1 || o.count[headerVersion] != 1 || o.count[headerKey] != 1 || o.count[headerEncoding] != 0 {
		return false
	}
	if n := o.count[headerLength]; n > 1 || n == 1 && string(o.first[headerLength]) != "0" {
		return false
	}
	var nonce [18]byte
	key := o.first[headerKey]
	if len(key) != base64.StdEncoding.EncodedLen(16) {
		return false
	}
	n, err := base64.StdEncoding.Decode(nonce[:], key)
	return err == nil && n == 16
}

// isToken reports whether name is a header name (RFC 9110 §5.6.2).
func isToken(name []byte) bool {
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		case strings.IndexByte("!#$%&'*+.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return len(name) > 0
}

// holdsControl reports whether value holds what may not be in a header value
// (RFC 9110 §5.5).
func holdsControl(value []byte) bool {
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}
