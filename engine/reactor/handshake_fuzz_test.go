package reactor

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// FuzzHandshake checks that no head panics, and that one is accepted only if
// net/http takes it for a request that RFC 6455 §4.2.1 allows to be, and then
// with the right answer.
func FuzzHandshake(f *testing.F) {
	for _, seed := range []string{
		goodHead,
		headOf("GET http://signalbox.test/v1?token=t HTTP/1.1"),
		headOf("GET /v1 HTTP/1.1", "Upgrade: WebSocket", "Connection: keep-alive, Upgrade"),
		headOf("GET /v1 HTTP/1.1", "+Content-Length: 0", "+Origin: null"),
		headOf("GET /v1 HTTP/1.1", "+X-A: a\nX-B: b"),
		headOf("GET /v1 HTTP/1.1", "+ folded"),
		headOf("GET /v1 HTTP/1.0"),
		headOf("GET //v1?%zz HTTP/1.1"),
		headOf("GET http://[::1]:x/v1 HTTP/1.1"),
		"\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		end := bytes.Index(b, headEnd)
		if end < 0 {
			return
		}
		head := b[:end+len(headEnd)]
		o := outlineOf(head)
		if !o.isUpgrade(false) {
			return
		}
		before := bytes.Clone(head)
		h := newHandshaker()
		refusal := h.shake(head, &o)
		if !bytes.Equal(before, head) {
			t.Fatal("the head has changed")
		}
		if refusal != nil {
			if refusal.Status < 400 {
				t.Fatalf("refused with %+v", refusal)
			}
			return
		}
		request := expectAllowed(t, head)
		if _, query, _ := strings.Cut(string(h.request.Target), "?"); query != request.URL.RawQuery {
			t.Fatalf("got query %q, want %q", query, request.URL.RawQuery)
		}
		if want := request.Header["Origin"]; h.request.Origin != "" && (len(want) == 0 || h.request.Origin != want[len(want)-1]) {
			t.Fatalf("got origin %q, want %q", h.request.Origin, want)
		}
		expectAnswer(t, h.answer, request.Header.Get("Sec-WebSocket-Key"))
	})
}

// expectAllowed reads the head as net/http does and checks it against RFC 6455
// §4.2.1.
func expectAllowed(t *testing.T, head []byte) *http.Request {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(head))
	r, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("accepted what net/http refuses: %v", err)
	}
	if in.Buffered() > 0 {
		t.Fatalf("accepted a head with %d bytes behind it", in.Buffered())
	}
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1): // no. 1
		t.Fatalf("accepted %s %s", r.Method, r.Proto)
	case r.URL.Path != "/v1":
		t.Fatalf("accepted path %q", r.URL.Path)
	case !hasToken(r.Header["Upgrade"], "websocket"): // no. 3
		t.Fatalf("accepted Upgrade %q", r.Header["Upgrade"])
	case !hasToken(r.Header["Connection"], "upgrade"): // no. 4
		t.Fatalf("accepted Connection %q", r.Header["Connection"])
	case err != nil || len(key) != 16 || len(r.Header["Sec-Websocket-Key"]) != 1: // no. 5
		t.Fatalf("accepted keys %q", r.Header["Sec-Websocket-Key"])
	case r.Header.Get("Sec-WebSocket-Version") != "13": // no. 6
		t.Fatalf("accepted version %q", r.Header["Sec-Websocket-Version"])
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		t.Fatal("accepted a body")
	}
	return r
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.Trim(t, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// expectAnswer checks an answer against RFC 6455 §4.2.2.
func expectAnswer(t *testing.T, answer []byte, key string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	want := base64.StdEncoding.EncodeToString(sum[:])
	if got := resp.Header.Get("Sec-WebSocket-Accept"); resp.StatusCode != http.StatusSwitchingProtocols || got != want {
		t.Fatalf("got status %d, accept %q, want %q", resp.StatusCode, got, want)
	}
}
