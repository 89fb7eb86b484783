package admin

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Hosts = []string{"Admin.Example", "10.0.0.7", "fd00::1", ""} })
	tests := []struct {
		name, host string
		status     int
	}{
		{"localhost", "localhost", 200},
		{"localhost with a port", "localhost:1", 200},
		{"a name below localhost", "a.localhost:1", 200},
		{"localhost in capitals", "LOCALHOST", 200},
		{"loopback", "127.0.0.1:1", 200},
		{"other loopback", "127.8.8.8", 200},
		{"loopback 6", "[::1]:1", 200},
		{"loopback 4 in 6", "[::ffff:127.0.0.1]:1", 200},
		{"allowed", "admin.example:8081", 200},
		{"allowed, with the root's dot", "admin.example.", 200},
		{"allowed address", "10.0.0.7", 200},
		{"allowed address 6", "[fd00::1]:80", 200},
		{"none", "", 421},
		{"foreign", "evil.example", 421},
		{"foreign that ends alike", "evil-admin.example", 421},
		{"foreign that begins alike", "localhost.evil.example", 421},
		{"foreign that begins with loopback", "127.0.0.1.evil.example", 421},
		{"foreign that ends in localhost", "evillocalhost", 421},
		{"address", "10.0.0.8", 421},
		{"user part", "localhost@evil.example", 421},
		{"a directive below localhost", "a;b.localhost", 421},
		{"a list below localhost", "a,b.localhost", 421},
		{"loopback with a directive as its zone", "[::1%a;b]:1", 421},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/metrics", "/console/", "/console/session", "/debug/pprof/heap"} {
				if got := w.do("GET", path, "", "Host: "+tt.host).StatusCode; got != tt.status {
					t.Errorf("GET %s = %d, want %d", path, got, tt.status)
				}
			}
			if got := w.do("GET", "/healthz", "", "Host: "+tt.host).StatusCode; got != 200 {
				t.Errorf("GET /healthz = %d, want 200 for any host", got)
			}
		})
	}
}

func TestAdminToken(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Token = adminToken })
	basic := func(user, password string) string {
		r, _ := http.NewRequest("GET", "/", nil)
		r.SetBasicAuth(user, password)
		return "Authorization: " + r.Header.Get("Authorization")
	}
	tests := []struct {
		name, header string
		status       int
	}{
		{"none", "X-None: 1", 401},
		{"bearer", "Authorization: Bearer " + adminToken, 200},
		{"bearer in small letters", "Authorization: bearer " + adminToken, 200},
		{"other bearer", "Authorization: Bearer " + adminToken + "x", 401},
		{"empty bearer", "Authorization: Bearer ", 401},
		{"basic", basic("anybody", adminToken), 200},
		{"basic without a user", basic("", adminToken), 200},
		{"basic, as user", basic(adminToken, ""), 401},
		{"basic, other password", basic("admin", "admin"), 401},
		{"other scheme", "Authorization: Digest " + adminToken, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/metrics", "/console/", "/console/session", "/console/api/keys", "/debug/pprof/heap", "/none"} {
				want := tt.status
				if path == "/none" && want == 200 {
					want = 404
				}
				resp := w.do("GET", path, "", tt.header)
				if resp.StatusCode != want {
					t.Errorf("GET %s = %d, want %d", path, resp.StatusCode, want)
				}
				if got := resp.Header.Get("WWW-Authenticate"); (got != "") != (want == 401) {
					t.Errorf("GET %s: WWW-Authenticate = %q with status %d", path, got, want)
				}
			}
			for _, path := range []string{"/healthz", "/readyz"} {
				if got := w.do("GET", path, "", tt.header).StatusCode; got != 200 {
					t.Errorf("GET %s = %d, want 200 for everybody", path, got)
				}
			}
		})
	}
	if strings.Contains(w.logs.String(), adminToken) {
		t.Error("the admin token is in the log")
	}
}

func TestChanges(t *testing.T) {
	w := newWorld(t, nil)
	token := TokenHeader + ": " + w.guard.token
	const (
		text   = "Content-Type: application/json"
		origin = "Origin: http://localhost:8081"
	)
	tests := []struct {
		name    string
		headers []string
		status  int
	}{
		{"as the page does", []string{text, origin, token}, 200},
		{"by TLS in front", []string{text, "Origin: https://localhost:8081", token}, 200},
		{"same origin by fetch metadata", []string{text, "Sec-Fetch-Site: same-origin", token}, 200},
		{"both", []string{text, origin, "Sec-Fetch-Site: same-origin", token}, 200},
		{"no token", []string{text, origin}, 403},
		{"wrong token", []string{text, origin, TokenHeader + ": x"}, 403},
		{"neither origin nor metadata", []string{text, token}, 403},
		{"foreign origin", []string{text, "Origin: http://evil.example", token}, 403},
		{"other port", []string{text, "Origin: http://localhost:9999", token}, 403},
		{"opaque origin", []string{text, "Origin: null", token}, 403},
		{"foreign by metadata", []string{text, origin, "Sec-Fetch-Site: cross-site", token}, 403},
		{"sibling by metadata", []string{text, origin, "Sec-Fetch-Site: same-site", token}, 403},
		{"foreign origin, metadata says same", []string{text, "Origin: http://evil.example", "Sec-Fetch-Site: same-origin", token}, 403},
		{"a form's content type", []string{"Content-Type: text/plain", origin, token}, 400},
		{"no content type", []string{origin, token}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.backend.kicked = nil
			resp := w.do("POST", "/console/api/kick", `{"appId":"app_a","peerId":"alice"}`, tt.headers...)
			if resp.StatusCode != tt.status {
				t.Errorf("status = %d, want %d", resp.StatusCode, tt.status)
			}
			if done := len(w.backend.kicked) == 1; done != (tt.status == 200) {
				t.Errorf("kicked = %v with status %d", w.backend.kicked, tt.status)
			}
		})
	}
}

func TestForeignReads(t *testing.T) {
	w := newWorld(t, nil)
	navigate := []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	tests := []struct {
		name, path string
		headers    []string
		status     int
	}{
		{"typed", "/console/session", []string{"Sec-Fetch-Site: none"}, 200},
		{"own page", "/console/session", []string{"Sec-Fetch-Site: same-origin"}, 200},
		{"no browser", "/metrics", nil, 200},
		{"link to the console", "/console/", navigate, 200},
		{"link to the root", "/", navigate, 302},
		{"link to a profile", "/debug/pprof/heap", navigate, 403},
		{"link to an answer", "/console/session", navigate, 403},
		{"frame", "/console/", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, 403},
		{"image", "/debug/pprof/heap", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, 403},
		{"fetch", "/console/session", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.do("GET", tt.path, "", tt.headers...).StatusCode; got != tt.status {
				t.Errorf("status = %d, want %d", got, tt.status)
			}
		})
	}
}

func TestEveryAnswerIsProtected(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"open":    nil,
		"guarded": func(o *Options) { o.Token = adminToken },
	} {
		w := newWorld(t, change)
		for _, path := range []string{"/", "/healthz", "/metrics", "/console/", "/console/app.js", "/console/session", "/console/api/apps", "/debug/pprof/", "/none"} {
			t.Run(name+path, func(t *testing.T) {
				h := w.do("GET", path, "").Header
				for header, want := range map[string]string{
					"X-Frame-Options":              "DENY",
					"X-Content-Type-Options":       "nosniff",
					"Referrer-Policy":              "no-referrer",
					"Cross-Origin-Resource-Policy": "same-origin",
					"Access-Control-Allow-Origin":  "",
				} {
					if got := h.Get(header); got != want {
						t.Errorf("%s = %q, want %q", header, got, want)
					}
				}
				const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
					"connect-src 'self' ws://localhost:8080; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
				if got := h.Get("Content-Security-Policy"); got != policy {
					t.Errorf("policy:\n got %s\nwant %s", got, policy)
				}
			})
		}
	}
}

func TestProfiles(t *testing.T) {
	w := newWorld(t, nil)
	tests := []struct {
		name, path string
		status     int
	}{
		{"list", "/debug/pprof/", 200},
		{"heap", "/debug/pprof/heap?gc=1", 200},
		{"goroutine", "/debug/pprof/goroutine?debug=1", 200},
		{"command line", "/debug/pprof/cmdline", 404},
		{"unknown", "/debug/pprof/none", 404},
		{"too long", "/debug/pprof/profile?seconds=31", 400},
		{"no number", "/debug/pprof/trace?seconds=1e9", 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.do("GET", tt.path, "").StatusCode; got != tt.status {
				t.Errorf("status = %d, want %d", got, tt.status)
			}
		})
	}
	list, err := io.ReadAll(w.do("GET", "/debug/pprof/", "").Body)
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`href=["'](.*?)["']`).FindAllSubmatch(list, -1)
	if len(links) == 0 {
		t.Errorf("the list has no links: %s", list)
	}
	for _, link := range links {
		if target := string(link[1]); !strings.Contains(target, "seconds=") { // those take their time
			if got := w.do("GET", "/debug/pprof/"+target, "").StatusCode; got != 200 {
				t.Errorf("%s on the list: status = %d, want 200", target, got)
			}
		}
	}
	w.profilingC <- struct{}{}
	if got := w.do("GET", "/debug/pprof/heap", "").StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("status beside another profile = %d, want 503", got)
	}
}

func TestHealth(t *testing.T) {
	var notReady error
	w := newWorld(t, func(o *Options) { o.Ready = func() error { return notReady } })
	tests := []struct {
		name, method, path string
		ready              error
		status             int
	}{
		{"healthy", "GET", "/healthz", nil, 200},
		{"healthy but not ready", "GET", "/healthz", io.ErrClosedPipe, 200},
		{"ready", "GET", "/readyz", nil, 200},
		{"ready by HEAD", "HEAD", "/readyz", nil, 200},
		{"not ready", "GET", "/readyz", io.ErrClosedPipe, 503},
		{"other method", "POST", "/healthz", nil, 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			notReady = tt.ready
			resp := w.do(tt.method, tt.path, "")
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status {
				t.Errorf("status = %d, want %d", resp.StatusCode, tt.status)
			}
			if strings.Contains(string(body), io.ErrClosedPipe.Error()) {
				t.Errorf("body %q tells the reason", body)
			}
		})
	}
}
