package api

import (
	"net/http"
	"net/url"
	"strings"
)

// endpoint is one REST call.
type endpoint struct {
	name   string // for logs
	method string
	serve  func(*Server, *call) (answer []byte, err error)
}

var (
	tokensEndpoint   = &endpoint{"tokens", http.MethodPost, (*Server).serveTokens}
	publishEndpoint  = &endpoint{"publish", http.MethodPost, (*Server).servePublish}
	rosterEndpoint   = &endpoint{"roster", http.MethodGet, (*Server).serveRoster}
	channelsEndpoint = &endpoint{"channels", http.MethodGet, (*Server).serveChannels}
	kickEndpoint     = &endpoint{"kick", http.MethodDelete, (*Server).serveKick}
	sendEndpoint     = &endpoint{"send", http.MethodPost, (*Server).serveSend}
	usageEndpoint    = &endpoint{"usage", http.MethodGet, (*Server).serveUsage}
)

// accepts reports whether the endpoint takes the method; HEAD goes where GET
// does (RFC 9110 §9.3.2).
func (e *endpoint) accepts(method string) bool {
	return method == e.method || method == http.MethodHead && e.method == http.MethodGet
}

// allow is the value of the Allow header.
func (e *endpoint) allow() string {
	if e.method == http.MethodGet {
		return "GET, HEAD, OPTIONS"
	}
	return e.method + ", OPTIONS"
}

// route finds the endpoint of a path as the client escaped it, and the name
// in it, still escaped. It returns nil for an unknown path. Paths are taken as
// they are: dots and double slashes are parts of names.
func route(path string) (e *endpoint, name string) {
	switch path {
	case "/v1/tokens":
		return tokensEndpoint, ""
	case "/v1/channels":
		return channelsEndpoint, ""
	case "/v1/usage":
		return usageEndpoint, ""
	}
	if rest, ok := strings.CutPrefix(path, "/v1/channels/"); ok {
		return routeChannel(rest)
	}
	if rest, ok := strings.CutPrefix(path, "/v1/peers/"); ok {
		return routePeer(rest)
	}
	return nil, ""
}

// routeChannel takes the last raw segment for the verb and all before it for
// the channel: "a/peers/peers" is the roster of "a/peers".
func routeChannel(rest string) (*endpoint, string) {
	if name, ok := strings.CutSuffix(rest, "/peers"); ok {
		return rosterEndpoint, name
	}
	if name, ok := strings.CutSuffix(rest, "/publish"); ok {
		return publishEndpoint, name
	}
	return nil, ""
}

func routePeer(rest string) (e *endpoint, name string) {
	name, send := strings.CutSuffix(rest, "/send")
	if name == "" || strings.Contains(name, "/") {
		return nil, ""
	}
	if send {
		return sendEndpoint, name
	}
	return kickEndpoint, name
}

// unescape decodes a name of a path. net/http has refused broken escapes; one
// all the same is an empty name, which is valid nowhere.
func unescape(name string) string {
	s, err := url.PathUnescape(name)
	if err != nil {
		return ""
	}
	return s
}
