package reactor

import (
	"bytes"
	"net/url"
	"strings"
)

var (
	crlf    = []byte("\r\n")
	headEnd = []byte("\r\n\r\n")
)

// isUpgrade reports whether the head asks for a WebSocket at our path, rightly
// or not.
func isUpgrade(head []byte, anyPath bool) bool {
	line, headers, _ := bytes.Cut(head, crlf)
	target, ok := bytes.CutPrefix(line, []byte("GET "))
	if !ok {
		return false
	}
	target, _, _ = bytes.Cut(target, []byte(" "))
	if !anyPath && path(target) != "/v1" {
		return false
	}
	_, n := header(headers, "Upgrade")
	return n > 0
}

// path returns the path of a request target, which names the server, too, when
// a client takes us for a proxy (RFC 9112 §3.2.2).
func path(target []byte) string {
	before, _, _ := bytes.Cut(target, []byte("?"))
	if len(before) == 0 || before[0] == '/' {
		return string(before)
	}
	u, err := url.ParseRequestURI(string(before))
	if err != nil || u.Host == "" {
		return ""
	}
	return u.EscapedPath()
}

// header returns the value of the first header of that name, and how many there
// are.
func header(headers []byte, name string) (value []byte, n int) {
	for len(headers) > 0 {
		var line []byte
		line, headers, _ = bytes.Cut(headers, crlf)
		if key, v, ok := bytes.Cut(line, []byte(":")); ok && len(key) == len(name) && strings.EqualFold(string(key), name) {
			if n++; n == 1 {
				value = bytes.TrimSpace(v)
			}
		}
	}
	return value, n
}

// wellFormed reports whether the head keeps to the letter of RFC 9112. The
// Upgrader is lenient, and a head that two readers can take for two different
// things lets one client's bytes pass for another's behind a proxy.
func wellFormed(head []byte) bool {
	lines, ok := bytes.CutSuffix(head, headEnd)
	if !ok {
		return false
	}
	line, headers, _ := bytes.Cut(lines, crlf)
	target, ok := bytes.CutPrefix(line, []byte("GET "))
	if ok {
		target, ok = bytes.CutSuffix(target, []byte(" HTTP/1.1"))
	}
	if !ok || len(target) == 0 || bytes.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	for len(headers) > 0 {
		line, headers, _ = bytes.Cut(headers, crlf)
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !isToken(name) || bytes.ContainsFunc(value, isControl) {
			return false
		}
	}
	return true
}

// isToken reports whether name is a header name (RFC 9110 §5.6.2).
func isToken(name []byte) bool {
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return len(name) > 0
}

// isControl reports whether r may not be in a header value (RFC 9110 §5.5).
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
