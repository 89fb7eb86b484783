package api

import (
	"net/http"
	"strings"
	"testing"
)

// knownCalls has one good request for each endpoint.
var knownCalls = []struct{ method, target, body, allow string }{
	{"POST", "/v1/tokens", `{"peerId":"alice"}`, "POST, OPTIONS"},
	{"GET", "/v1/channels/room-1/peers", "", "GET, HEAD, OPTIONS"},
	{"POST", "/v1/channels/room-1/publish", `{"data":1}`, "POST, OPTIONS"},
	{"GET", "/v1/channels?prefix=", "", "GET, HEAD, OPTIONS"},
	{"DELETE", "/v1/peers/alice", "", "DELETE, OPTIONS"},
	{"POST", "/v1/peers/alice/send", `{"data":1}`, "POST, OPTIONS"},
	{"GET", "/v1/usage", "", "GET, HEAD, OPTIONS"},
}

func TestGoodCredential(t *testing.T) {
	w := newWorld(t, nil)
	for _, call := range knownCalls {
		for _, scheme := range []string{"Bearer", "bearer"} {
			a := w.do(t, call.method, call.target, call.body, "Authorization: "+scheme+" "+fullKey+":"+secret)
			a.want(t, http.StatusOK, "")
		}
	}
}

func TestBadCredentials(t *testing.T) {
	tests := []struct {
		name    string
		headers []string
	}{
		{"none", nil},
		{"empty", []string{"Authorization:"}},
		{"scheme only", []string{"Authorization: Bearer"}},
		{"other scheme", []string{"Authorization: Basic " + fullKey + ":" + secret}},
		{"no secret", []string{"Authorization: Bearer " + fullKey}},
		{"empty secret", []string{"Authorization: Bearer " + fullKey + ":"}},
		{"wrong secret", []string{bearer(fullKey) + "0"}},
		{"part of the secret", []string{strings.TrimSuffix(bearer(fullKey), "f")}},
		{"unknown key", []string{bearer("sk_id_unknown")}},
		{"revoked key", []string{bearer(revokedKey)}},
		{"publishable key", []string{bearer(pageKey)}},
		{"publishable key alone", []string{"Authorization: Bearer " + pageKey}},
		{"suspended app", []string{bearer(closedKey)}},
		{"two headers", []string{bearer(fullKey), bearer(fullKey)}},
	}
	w := newWorld(t, nil)
	var first string
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, call := range knownCalls {
				a := w.do(t, call.method, call.target, call.body, tt.headers...)
				a.want(t, http.StatusUnauthorized, "unauthorized")
				if first == "" {
					first = a.body
				}
				if a.body != first {
					t.Errorf("body %q differs from another refusal's %q", a.body, first)
				}
				if got := a.header.Get("WWW-Authenticate"); got != "Bearer" {
					t.Errorf("WWW-Authenticate = %q, want Bearer", got)
				}
			}
		})
	}
	if calls := w.backend.called(); len(calls) > 0 {
		t.Errorf("backend called without a credential: %q", calls)
	}
	if strings.Contains(w.logs.String(), secret) {
		t.Error("a secret is in the log")
	}
}

func TestCredentialComesFirst(t *testing.T) {
	w := newWorld(t, nil)
	big := strings.Repeat("x", maxBody+1)
	for _, tt := range []struct{ name, method, target, body string }{
		{"before the method", "PUT", "/v1/tokens", ""},
		{"before OPTIONS", "OPTIONS", "/v1/tokens", ""},
		{"before the size", "POST", "/v1/tokens", big},
		{"before the form", "POST", "/v1/tokens", "nonsense"},
		{"before the name", "POST", "/v1/channels/*/publish", `{"data":1}`},
		{"before the query", "GET", "/v1/channels", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.do(t, tt.method, tt.target, tt.body).want(t, http.StatusUnauthorized, "unauthorized")
		})
	}
}

func TestMethods(t *testing.T) {
	w := newWorld(t, nil)
	for _, call := range knownCalls {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"} {
			good := method == call.method || method == "HEAD" && call.method == "GET"
			// The two calls on /v1/peers/{peerId} and the rest have one method each.
			if good {
				continue
			}
			t.Run(method+" "+call.target, func(t *testing.T) {
				a := w.do(t, method, call.target, "", bearer(fullKey))
				if got := a.header.Get("Allow"); got != call.allow {
					t.Errorf("Allow = %q, want %q", got, call.allow)
				}
				switch method {
				case "OPTIONS":
					if a.status != http.StatusNoContent || a.body != "" {
						t.Errorf("answer = %d %q, want 204", a.status, a.body)
					}
				case "HEAD":
					if a.status != http.StatusMethodNotAllowed {
						t.Errorf("status = %d, want 405", a.status)
					}
				default:
					a.want(t, http.StatusMethodNotAllowed, "method_not_allowed")
				}
			})
		}
	}
	if calls := w.backend.called(); len(calls) > 0 {
		t.Errorf("backend called: %q", calls)
	}
}

func TestHeadIsGetWithoutBody(t *testing.T) {
	w := newWorld(t, nil)
	get := w.do(t, "GET", "/v1/usage", "", bearer(fullKey))
	head := w.do(t, "HEAD", "/v1/usage", "", bearer(fullKey))
	if head.status != http.StatusOK || head.body != "" {
		t.Errorf("HEAD = %d %q, want 200 without a body", head.status, head.body)
	}
	if got, want := head.header.Get("Content-Length"), get.header.Get("Content-Length"); got != want {
		t.Errorf("Content-Length = %s, want %s", got, want)
	}
}

func TestUnknownPaths(t *testing.T) {
	w := newWorld(t, nil)
	for _, target := range []string{
		"/", "/v1", "/v1/", "/v1?key=" + pageKey, "/v2", "/v1/token", "/v1/tokens/", "/v1/usage/", "/V1/usage", "//v1/usage", "/v1//usage",
		"/v1/channels/", "/v1/channels/room-1", "/v1/channels/peers", "/v1/channels/room-1/peers/", "/v1/channels/room-1%2Fpeers",
		"/v1/peers", "/v1/peers/", "/v1/peers/a/b", "/v1/peers/a/b/send", "/v1/peers//send", "/metrics", "/healthz", "/readyz",
	} {
		for _, headers := range [][]string{nil, {bearer(fullKey)}} {
			for _, method := range []string{"GET", "POST"} {
				t.Run(method+" "+target, func(t *testing.T) {
					w.do(t, method, target, "", headers...).want(t, http.StatusNotFound, "not_found")
				})
			}
		}
	}
}
