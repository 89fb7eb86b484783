package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// TokenHeader carries the token that the console's pages change things with.
const TokenHeader = "X-Signalbox-Token"

// Guard decides who is answered. Immutable.
type Guard struct {
	hosts    []string // beside loopback names, in lower case
	password *[sha256.Size]byte
	token    string // of this process, for changes
}

// newGuard returns a guard for these hosts. password is the admin token; with
// none, everybody who gets here may see and change everything.
func newGuard(hosts []string, password string) *Guard {
	g := &Guard{token: rand.Text()}
	for _, h := range hosts {
		name := hostname(h)
		if ip, err := netip.ParseAddr(strings.Trim(h, "[]")); err == nil {
			name = ip.String()
		}
		if name != "" { // an empty variable is no host
			g.hosts = append(g.hosts, name)
		}
	}
	if password != "" {
		digest := sha256.Sum256([]byte(password))
		g.password = &digest
	}
	return g
}

// check returns why the request is not answered, nil if it is.
func (g *Guard) check(r *http.Request) *failure {
	switch {
	case !g.allowsHost(r.Host):
		return errMisdirected
	case !g.knows(r):
		return errUnauthorized
	case foreign(r):
		return errForeign
	case isChange(r) && !g.mayChange(r):
		return errForbidden
	}
	return nil
}

// allowsHost reports whether the Host header names this machine's loopback or
// an allowed host. What it allows is a host and nothing more, fit to stand in a
// header.
func (g *Guard) allowsHost(host string) bool {
	name := hostname(host)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") && isName(name) {
		return true
	}
	if ip, err := netip.ParseAddr(name); err == nil && ip.Unmap().IsLoopback() && ip.Zone() == "" {
		return true
	}
	return slices.Contains(g.hosts, name)
}

// isName reports whether name is made of what host names are, in lower case
// (RFC 1123 §2.1).
func isName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-'
	})
}

// hostname returns the host of a Host header in lower case, without port,
// brackets and the root's dot.
func hostname(host string) string {
	u := url.URL{Host: host}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

// knows reports whether the request has the admin token, if there is one.
func (g *Guard) knows(r *http.Request) bool {
	if g.password == nil {
		return true
	}
	_, given, _ := r.BasicAuth()
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(token)
	}
	digest := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(digest[:], g.password[:]) == 1
}

// foreign reports whether a browser sent the request for another site's page.
// A link to the console may be followed from anywhere.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	isPage := r.URL.Path == "/" || r.URL.Path == consolePath
	return !isPage || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}

func isChange(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// mayChange reports whether a change comes from a page of this process.
func (g *Guard) mayChange(r *http.Request) bool {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	ours := origin == "http://"+r.Host || origin == "https://"+r.Host
	if origin == "" {
		ours = site == "same-origin"
	}
	given := []byte(r.Header.Get(TokenHeader))
	return ours && subtle.ConstantTimeCompare(given, []byte(g.token)) == 1
}

// protect sets the headers that every answer has. socket is the origin of the
// public address, which the playground connects to.
func protect(h http.Header, socket string) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"connect-src 'self' "+socket+"; form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}
