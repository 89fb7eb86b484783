package clustertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// app is a tenant with one secret key.
type app struct{ id, key, secret string }

var (
	one   = app{"app_one", "sk_id_11111111111111111111111111111111", "sk_secret_111111111111111111111111111111111111111111111111"}
	two   = app{"app_two", "sk_id_22222222222222222222222222222222", "sk_secret_222222222222222222222222222222222222222222222222"}
	small = app{"app_small", "sk_id_33333333333333333333333333333333", "sk_secret_333333333333333333333333333333333333333333333333"}
)

// smallLimit is how many connections the app small may have.
const smallLimit = 6

const appsFormat = `apps:
  - {id: app_one, keys: [{id: %s, secret: %s, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}]}
  - {id: app_two, keys: [{id: %s, secret: %s, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}]}
  - id: app_small
    plan: {name: SMALL, maxConcurrentConnections: %d}
    keys: [{id: %s, secret: %s, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}]
`

// token is what the app's backend would sign for a peer; claims are further ones.
func (a app) token(t testing.TB, peer string, claims map[string]any) string {
	t.Helper()
	all := jwt.MapClaims{"sub": peer, "exp": time.Now().Add(time.Hour).Unix()}
	for name, claim := range claims {
		all[name] = claim
	}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodHS256, all)
	unsigned.Header["kid"] = a.key
	signed, err := unsigned.SignedString([]byte(a.secret))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// node is a server process and, once it has been started again, its successors.
type node struct {
	*process
	t    testing.TB
	in   *namespace
	name string
	dir  string
	args []string // its flags for the cluster
	addr string
}

// newNode prepares a node that is to be started.
func newNode(t testing.TB, in *namespace, name string, args ...string) *node {
	t.Helper()
	n := &node{t: t, in: in, name: name, dir: t.TempDir(), args: append([]string{"--node", name}, args...)}
	text := fmt.Sprintf(appsFormat, one.key, one.secret, two.key, two.secret, smallLimit, small.key, small.secret)
	if err := os.WriteFile(filepath.Join(n.dir, "apps.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

// launch starts the process, for the first time or again, and does not wait.
func (n *node) launch() {
	n.t.Helper()
	n.process = start(n.t, n.in, n.dir, serverBinary, append([]string{
		"serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--message-rate", "0", "--drain-timeout", "500ms",
	}, n.args...)...)
}

// ready waits until the node listens.
func (n *node) ready() {
	n.t.Helper()
	n.addr, _ = n.await("that it listens", message("listening"))["addr"].(string)
}

// startNodes starts so many nodes on a broker, at once.
func startNodes(t testing.TB, b *broker, count int) []*node {
	t.Helper()
	nodes := make([]*node, count)
	for i := range nodes {
		nodes[i] = newNode(t, nil, fmt.Sprintf("node-%d", i), "--nats", b.url())
		nodes[i].launch()
	}
	for _, n := range nodes {
		n.ready()
	}
	return nodes
}

// rest makes a REST call with the app's key and returns the status; the answer is
// decoded into one that is not nil.
func (n *node) rest(a app, method, path string, body, answer any) int {
	n.t.Helper()
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			n.t.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, "http://"+n.addr+path, &text)
	if err != nil {
		n.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+a.key+":"+a.secret)
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(_ context.Context, _, addr string) (net.Conn, error) { return n.in.dial(addr) },
	}}
	response, err := client.Do(request)
	if err != nil {
		n.t.Fatalf("%s: %s %s: %v", n.name, method, path, err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err == nil && answer != nil && response.StatusCode == http.StatusOK {
		err = json.Unmarshal(got, answer)
	}
	if err != nil {
		n.t.Fatalf("%s: %s %s: %q: %v", n.name, method, path, got, err)
	}
	return response.StatusCode
}

// wantREST makes a REST call, which must succeed, and wants this JSON.
func (n *node) wantREST(a app, method, path string, body any, want string) {
	n.t.Helper()
	var got json.RawMessage
	status := n.rest(a, method, path, body, &got)
	if status != http.StatusOK || !sameJSON(got, want) {
		n.t.Errorf("%s: %s %s: got %d %s, want 200 %s", n.name, method, path, status, got, want)
	}
}

// sameJSON compares two JSON texts, whatever the order of members.
func sameJSON(a []byte, b string) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	one, _ := json.Marshal(x)
	two, _ := json.Marshal(y)
	return bytes.Equal(one, two)
}

// usage is the app's usage as the node tells it.
type usage struct {
	ConcurrentNow, PeakConcurrent, MessagesUsed int64
}

func (n *node) usage(a app) (u usage) {
	n.t.Helper()
	if got := n.rest(a, http.MethodGet, "/v1/usage", nil, &u); got != http.StatusOK {
		n.t.Fatalf("%s: GET /v1/usage: got %d, want 200", n.name, got)
	}
	return u
}
