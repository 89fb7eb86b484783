package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

var (
	devURL     = regexp.MustCompile(`(?m)^  (?:alice|bob|)\s*(ws://\S+)$`)
	devConsole = regexp.MustCompile(`(?m)^  (http://127\.0\.0\.1:\d+/)$`)
	devCurl    = regexp.MustCompile(`(?m)^  curl -s (\S+) -H '([^:]+): ([^']+)'(?: -d '([^']+)')?$`)
)

// pasted is what serve --dev prints, up to its last line.
func pasted(t testing.TB, stdout io.Reader) string {
	t.Helper()
	var text strings.Builder
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if lines.Text() == "Ctrl-C ends it." {
			return text.String()
		}
	}
	t.Fatalf("the text ended early:\n%s", text.String())
	return ""
}

func TestDev(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir, nil, "serve", "--dev", "--listen", "127.0.0.1:0")
	text := pasted(t, p.stdout)
	p.addr()

	urls := devURL.FindAllStringSubmatch(text, -1)
	if len(urls) != 3 {
		t.Fatalf("URLs: got %d, want 3 (alice, bob, the publishable key):\n%s", len(urls), text)
	}
	for i, want := range []string{`"peerId":"alice"`, `"peerId":"bob"`, `"expiresAt":null`} {
		if got := welcome(t, urls[i][1]); !strings.Contains(got, want) {
			t.Errorf("welcome: got %s, want it to hold %s", got, want)
		}
	}
	curls := devCurl.FindAllStringSubmatch(text, -1)
	if len(curls) != 3 {
		t.Fatalf("curl lines: got %d, want 3:\n%s", len(curls), text)
	}
	for i, want := range []string{`"token":"`, `"delivered":0`, `"peers":[]`} {
		if got := curl(t, curls[i]); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want it to hold %s", curls[i][1], got, want)
		}
	}
	if !strings.Contains(text, `apiKey: "pk_live_`) {
		t.Errorf("no SDK snippet:\n%s", text)
	}

	console := devConsole.FindStringSubmatch(text)
	if console == nil {
		t.Fatalf("no console:\n%s", text)
	}
	page, err := http.Get(console[1])
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	if page.StatusCode != http.StatusOK || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
		t.Errorf("console: got %s, %s", page.Status, page.Header.Get("Content-Type"))
	}

	p.signal(syscall.SIGTERM)
	if got := p.exit(); got != 0 {
		t.Errorf("exit status: got %d, want 0", got)
	}
	for _, secret := range []string{"sk_secret_", "eyJ"} {
		if strings.Contains(p.logged(), secret) {
			t.Errorf("the log holds %s…:\n%s", secret, p.logged())
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("files: got %v (error %v), want none", left, err)
	}
}

// welcome connects to url and returns the first frame.
func welcome(t testing.TB, url string) string {
	t.Helper()
	dialer := ws.Dialer{Timeout: patience}
	conn, rest, _, err := dialer.Dial(t.Context(), url)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var from io.ReadWriter = conn
	if rest != nil {
		from = struct {
			io.Reader
			io.Writer
		}{rest, conn}
	}
	text, err := wsutil.ReadServerText(from)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(text)
}

// curl does what a matched curl line asks for and returns the answer's body.
func curl(t testing.TB, line []string) string {
	t.Helper()
	method := http.MethodGet
	if line[4] != "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(t.Context(), method, line[1], strings.NewReader(line[4]))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(line[2], line[3])
	if line[4] != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded") // as curl does
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		t.Errorf("%s: got status %d, want 200: %s", line[1], answer.StatusCode, body)
	}
	return string(body)
}

func TestDialable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		addr net.Addr
		want string
	}{
		"loopback":         {&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, "127.0.0.1:1"},
		"everywhere":       {&net.TCPAddr{IP: net.IPv6zero, Port: 2}, "127.0.0.1:2"},
		"everywhere, IPv4": {&net.TCPAddr{IP: net.IPv4zero, Port: 3}, "127.0.0.1:3"},
		"no address":       {&net.TCPAddr{Port: 4}, "127.0.0.1:4"},
		"interface":        {&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}, "192.0.2.1:5"},
		"IPv6":             {&net.TCPAddr{IP: net.IPv6loopback, Port: 6}, "[::1]:6"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := dialable(c.addr); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
