package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAdmin(t *testing.T) {
	var notReady error
	s := New(Options{Backend: newBackend(t), Ready: func() error { return notReady }})
	tests := []struct {
		name, method, path string
		ready              error
		status             int
	}{
		{"healthy", "GET", "/healthz", nil, 200},
		{"healthy but not ready", "GET", "/healthz", errors.New("inner"), 200},
		{"ready", "GET", "/readyz", nil, 200},
		{"ready by HEAD", "HEAD", "/readyz", nil, 200},
		{"not ready", "GET", "/readyz", errors.New("inner"), 503},
		{"other path", "GET", "/v1/usage", nil, 404},
		{"other method", "POST", "/healthz", nil, 405},
		{"profiles", "GET", "/debug/pprof/", nil, 200},
		{"heap profile", "GET", "/debug/pprof/heap", nil, 200},
		{"trace of no time", "GET", "/debug/pprof/trace?seconds=0.001", nil, 200},
		{"symbols", "GET", "/debug/pprof/symbol", nil, 200},
		{"symbols by POST", "POST", "/debug/pprof/symbol", nil, 200},
		{"unknown profile", "GET", "/debug/pprof/inner", nil, 404},
		{"command line", "GET", "/debug/pprof/cmdline", nil, 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			notReady = tt.ready
			rec := httptest.NewRecorder()
			s.AdminHandler().ServeHTTP(rec, httptest.NewRequest(tt.method, tt.path, http.NoBody))
			if rec.Code != tt.status {
				t.Errorf("status = %d, want %d", rec.Code, tt.status)
			}
			if strings.Contains(rec.Body.String(), "inner") {
				t.Errorf("body %q leaks the reason", rec.Body)
			}
		})
	}
}

func TestHandlerWithoutServer(t *testing.T) {
	s := New(Options{Backend: newBackend(t)})
	r := httptest.NewRequest("GET", "/v1", http.NoBody)
	r.Header.Set("Upgrade", "websocket")
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusBadRequest {
		t.Errorf("status = %d, want 400: there is no connection to hand back", rec.Code)
	}
}
