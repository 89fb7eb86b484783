package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// chunked is the text of a POST with its body in chunks of size bytes.
func chunked(target, body string, size int) string {
	var b strings.Builder
	b.WriteString("POST " + target + " HTTP/1.1\r\nHost: h\r\n" + bearer(fullKey) + "\r\nTransfer-Encoding: chunked\r\n\r\n")
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	b.WriteString("0\r\n\r\n")
	return b.String()
}

// padded is a good publish body of n bytes.
func padded(n int) string { return `{"data":1` + strings.Repeat(" ", n-len(`{"data":1}`)) + `}` }

const publishTarget = "/v1/channels/room-1/publish"

func TestBodySize(t *testing.T) {
	w := newWorld(t, nil)
	tests := []struct {
		name, request string
		status        int
		closes        bool
	}{
		{"at the cap", request("POST", publishTarget, padded(maxBody), bearer(fullKey)), 200, false},
		{"beyond", request("POST", publishTarget, padded(maxBody+1), bearer(fullKey)), 413, true},
		{"far beyond", request("POST", publishTarget, padded(1<<20), bearer(fullKey)), 413, true},
		{"beyond, on a call without a body", request("GET", "/v1/usage", padded(maxBody+1), bearer(fullKey)), 413, true},
		{"small, on a call without a body", request("GET", "/v1/usage", "ignored", bearer(fullKey)), 200, false},
		{"chunked", chunked(publishTarget, padded(2000), 7), 200, true},
		{"chunked at the cap", chunked(publishTarget, padded(maxBody), 1000), 200, true},
		{"chunked beyond", chunked(publishTarget, padded(maxBody+1), 1000), 413, true},
		{"chunked far beyond", chunked(publishTarget, padded(1<<20), 1<<16), 413, true},
		{"chunked, path unknown", chunked("/v1/nothing", padded(100), 1000), 404, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := w.dial(t)
			go io.WriteString(c.conn, tt.request) // a server that has enough may stop reading
			code := map[int]string{413: "invalid_request", 404: "not_found"}[tt.status]
			a := c.read("POST")
			a.want(t, tt.status, code)
			if a.close != tt.closes {
				t.Errorf("Connection: close = %v, want %v", a.close, tt.closes)
			}
			if tt.closes {
				return
			}
			c.write(request("GET", "/v1/usage", "", bearer(fullKey)))
			c.read("GET").want(t, 200, "")
		})
	}
}

func TestTransferEncodingEndsTheConnection(t *testing.T) {
	w := newWorld(t, nil)
	c := w.dial(t)
	c.write(chunked(publishTarget, `{"data":1}`, 4) + request("GET", "/v1/usage", "", bearer(fullKey)))
	c.read("POST").want(t, 200, "")
	c.ended()
	if got := len(w.backend.called()); got != 1 {
		t.Errorf("calls = %d, want only the one before the end", got)
	}
}

func TestHeadSize(t *testing.T) {
	w := newWorld(t, nil)
	for _, tt := range []struct {
		name   string
		size   int
		status int
	}{{"16 KiB", 16 << 10, 200}, {"near the cap", 32<<10 - 200, 200}, {"beyond", 40 << 10, 431}} {
		t.Run(tt.name, func(t *testing.T) {
			c := w.dial(t)
			go io.WriteString(c.conn, request("GET", "/v1/usage", "", bearer(fullKey), "X-Filler: "+strings.Repeat("x", tt.size)))
			if a := c.read("GET"); a.status != tt.status {
				t.Errorf("status = %d, want %d", a.status, tt.status)
			}
		})
	}
}

func TestBrokenRequestLine(t *testing.T) {
	w := newWorld(t, nil)
	for _, text := range []string{"nonsense\r\n\r\n", "GET /v1/channels/%zz/peers HTTP/1.1\r\nHost: h\r\n\r\n", "GET /v1/usage HTTP/1.1\r\n\r\n"} {
		c := w.dial(t)
		c.write(text)
		if a := c.read("GET"); a.status != http.StatusBadRequest || !a.close {
			t.Errorf("%q: answer = %d, close %v, want 400 and the end", text, a.status, a.close)
		}
	}
}

// TestConnectionLimit: who is not idle keeps its slot, and the one beyond is refused.
func TestConnectionLimit(t *testing.T) {
	usage := request("GET", "/v1/usage", "", bearer(fullKey))
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		b.blockC = make(chan struct{})
		s := New(Options{Backend: b})
		ln := newFeed(maxConns + 1)
		serveC := make(chan error, 1)
		go func() { serveC <- s.Serve(ln) }()
		come := func() *client {
			near, far := net.Pipe()
			ln.push(near)
			return newClient(t, far)
		}
		silent := make([]*client, maxConns-1) // say nothing yet
		for i := range silent {
			silent[i] = come()
		}
		last := come()
		last.write(request("POST", publishTarget, `{"data":1}`, bearer(fullKey), "Connection: close"))
		synctest.Wait() // in the backend

		over := come()
		over.read("GET").want(t, http.StatusServiceUnavailable, "internal_error")
		over.ended()
		near, far := net.Pipe()
		s.Handoff(near, []byte(usage))
		handed := newClient(t, far)
		handed.read("GET").want(t, http.StatusServiceUnavailable, "internal_error")
		handed.ended()

		// Once the server has closed one, there is room for one.
		close(b.blockC)
		last.read("POST").want(t, 200, "")
		last.ended()
		near, far = net.Pipe()
		s.Handoff(near, []byte(usage))
		late := newClient(t, far)
		late.read("GET").want(t, 200, "")
		for _, c := range append(silent, late) {
			_ = c.conn.Close()
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if err := <-serveC; err != nil {
			t.Errorf("Serve = %v, want nil after Shutdown", err)
		}
	})
}

// TestRefusalArrives: what a client sends that is refused does not cost it the answer.
func TestRefusalArrives(t *testing.T) {
	w := newWorld(t, nil)
	for range maxConns {
		if !w.server.slots.take(&conn{slots: &w.server.slots}) {
			t.Fatal("refused within the limit")
		}
	}
	over := w.dial(t)
	over.write(request("GET", "/v1/usage", "", bearer(fullKey)))
	a := over.read("GET")
	a.want(t, http.StatusServiceUnavailable, "internal_error")
	if !a.close || a.header.Get("Retry-After") == "" {
		t.Errorf("answer closes %v, Retry-After %q", a.close, a.header.Get("Retry-After"))
	}
	over.ended()
}

// bubble runs f in a bubble with its own time, with a client whose connection
// has been handed to a server.
func bubble(t *testing.T, f func(t *testing.T, b *fakeBackend, c *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t)
		s := New(Options{Backend: b})
		near, far := net.Pipe()
		s.Handoff(near, nil)
		c := newClient(t, far)
		f(t, b, c)
		_ = c.conn.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
}

// sleep lets the time of a bubble pass.
func sleep(t *testing.T, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
	synctest.Wait()
}

func TestSlowHead(t *testing.T) {
	bubble(t, func(t *testing.T, _ *fakeBackend, c *client) {
		start := time.Now()
		c.write("GET /v1/usage HT")
		if a := c.read("GET"); a.status != http.StatusBadRequest { // net/http's own
			t.Errorf("status = %d, want 400", a.status)
		}
		c.ended()
		if got := time.Since(start); got < headTimeout || got > headTimeout+time.Second {
			t.Errorf("closed after %v, want about %v", got, headTimeout)
		}
	})
}

func TestSlowBody(t *testing.T) {
	for _, tt := range []struct {
		name, key string
		status    int
		code      string
	}{{"read", fullKey, http.StatusRequestTimeout, "invalid_request"}, {"discarded", "sk_id_unknown", http.StatusUnauthorized, "unauthorized"}} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *fakeBackend, c *client) {
				start := time.Now()
				text := request("POST", publishTarget, `{"data":1}`, bearer(tt.key))
				c.write(text[:len(text)-3])
				c.read("POST").want(t, tt.status, tt.code)
				c.ended()
				if got := time.Since(start); got < bodyTimeout || got > bodyTimeout+time.Second {
					t.Errorf("closed after %v, want about %v", got, bodyTimeout)
				}
				if calls := b.called(); len(calls) > 0 {
					t.Errorf("backend called: %q", calls)
				}
			})
		})
	}
}

func TestIdle(t *testing.T) {
	bubble(t, func(t *testing.T, _ *fakeBackend, c *client) {
		usage := request("GET", "/v1/usage", "", bearer(fullKey))
		for range 3 {
			sleep(t, headTimeout-time.Second)
			c.write(usage)
			c.read("GET").want(t, 200, "")
		}
		sleep(t, idleTimeout-time.Second)
		c.write(usage)
		c.read("GET").want(t, 200, "")
		start := time.Now()
		c.ended()
		if got := time.Since(start); got != idleTimeout {
			t.Errorf("closed after %v idle, want %v", got, idleTimeout)
		}
	})
}

func TestSlowBackend(t *testing.T) {
	text := request("POST", publishTarget, `{"data":1}`, bearer(fullKey))
	t.Run("beyond its time", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *fakeBackend, c *client) {
			b.blockC = make(chan struct{})
			c.write(text)
			c.read("POST").want(t, http.StatusServiceUnavailable, "internal_error")
		})
	})
	t.Run("does not meet the body's deadline", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *fakeBackend, c *client) {
			b.blockC = make(chan struct{})
			c.write(text[:len(text)-3])
			sleep(t, bodyTimeout-time.Second)
			c.write(text[len(text)-3:])
			sleep(t, backendTimeout-time.Second)
			close(b.blockC)
			c.read("POST").want(t, 200, "")
			c.write(request("GET", "/v1/usage", "", bearer(fullKey)))
			c.read("GET").want(t, 200, "")
		})
	})
}

func TestNoSecretInLogs(t *testing.T) {
	w := newWorld(t, nil)
	for _, text := range []string{
		request("GET", "/v1?token="+secret, ""),
		request("GET", "/v1/usage;"+secret+"?a;b="+secret, "", bearer(fullKey)),
		"GET /%zz" + secret + " HTTP/1.1\r\nHost: h\r\n\r\n",
		request("POST", "/v1/tokens", `{"peerId":"`+secret+`é"}`, bearer(fullKey)),
		request("GET", "/v1/usage", "", "Authorization: Bearer\x00"+secret),
	} {
		c := w.dial(t)
		c.write(text)
		if a := c.read("GET"); strings.Contains(a.body, secret) {
			t.Errorf("answer %q echoes the request", a.body)
		}
	}
	if strings.Contains(w.logs.String(), secret) {
		t.Errorf("the log holds a secret:\n%s", w.logs.String())
	}
}
