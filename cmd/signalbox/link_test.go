package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"signalbox/engine/cluster"
)

// runNATS runs a NATS server until the test ends and returns its URL.
func runNATS(t testing.TB, o server.Options) string {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	return s.ClientURL()
}

func TestDiagnoseLink(t *testing.T) {
	t.Parallel()
	good := cluster.Report{Addr: "tls://nats1:4222", Server: "nats1", Version: "2.15.2", Encrypted: true, RTT: time.Millisecond, MaxPayload: 1 << 20}
	for name, c := range map[string]struct {
		change  func(r *cluster.Report)
		err     error
		check   string
		state   state
		say     string // in what is found, or the note
		verdict state
	}{
		"good":            {func(*cluster.Report) {}, nil, "connection", stateOK, "nats1 nats-server 2.15.2 at tls://nats1:4222, TLS", stateOK},
		"nobody":          {func(*cluster.Report) {}, nil, "nodes", stateOK, "none is heard", stateOK},
		"not there":       {nil, errors.New("no\nservers"), "connection", stateFault, "no servers", stateFault},
		"not encrypted":   {func(r *cluster.Report) { r.Encrypted = false }, nil, "connection", stateOK, "use tls://", stateOK},
		"embedded":        {func(r *cluster.Report) { r.Addr, r.Routes = "", 2 }, nil, "connection", stateOK, "embedded nats1 nats-server 2.15.2, routes to 2", stateOK},
		"no route":        {func(r *cluster.Report) { r.Addr = "" }, nil, "connection", stateFault, "--nats-routes", stateFault},
		"far":             {func(r *cluster.Report) { r.RTT = 90 * time.Millisecond }, nil, "round trip", stateAdvice, "90ms", stateOK},
		"small":           {func(r *cluster.Report) { r.MaxPayload = 100_000 }, nil, "max_payload", stateFault, "at least 262 144", stateFault},
		"denied":          {func(r *cluster.Report) { r.Denied = []string{"publish to signalbox.all"} }, nil, "permissions", stateFault, "may not publish to signalbox.all", stateFault},
		"nodes":           {func(r *cluster.Report) { r.Nodes = []cluster.ProbedNode{{Name: "a", Format: cluster.Format}} }, nil, "nodes", stateOK, "1", stateOK},
		"foreign node":    {func(r *cluster.Report) { r.Nodes = []cluster.ProbedNode{{Name: "a", Format: 99}} }, nil, "nodes", stateFault, "those of another refuse them", stateFault},
		"what is unknown": {func(*cluster.Report) {}, nil, "max_subscriptions", stateUnknown, "not told", stateOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := good
			if c.change != nil {
				c.change(&r)
			}
			d := diagnoseLink(&r, c.err)
			i := slices.IndexFunc(d.Checks, func(found check) bool { return found.Name == c.check })
			if i < 0 {
				t.Fatalf("no check %q in %+v", c.check, d)
			}
			got := d.Checks[i]
			if got.State != c.state || d.Verdict != c.verdict || !strings.Contains(got.Found+"\n"+got.Note, c.say) {
				t.Errorf("got %+v, verdict %s; want %s with %q, verdict %s", got, d.Verdict, c.state, c.say, c.verdict)
			}
		})
	}
}

func TestDoctorLink(t *testing.T) {
	t.Parallel()
	const allowed = "signalbox.>"
	dir := initialised(t)
	open := runNATS(t, server.Options{})
	locked := runNATS(t, server.Options{Users: []*server.User{
		{Username: "all", Password: "hunter2", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{allowed}}, Subscribe: &server.SubjectPermission{Allow: []string{allowed}},
		}},
		{Username: "deaf", Password: "hunter2", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{allowed}}, Subscribe: &server.SubjectPermission{Deny: []string{"signalbox.all"}},
		}},
	}})
	as := func(user string) string { return strings.Replace(locked, "nats://", "nats://"+user+"@", 1) }
	small := runNATS(t, server.Options{MaxPayload: 100_000})
	node := start(t, dir, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--nats", open, "--node", "east")
	node.addr()
	for name, c := range map[string]struct {
		url    string
		node   string // that is there
		status int
		want   []string
	}{
		"a node":         {open, "east", 0, []string{"A cluster works over this link.", " round trip ", "not encrypted"}},
		"no node":        {as("all:hunter2"), "", 0, []string{"no node is there yet", "may publish and subscribe below signalbox."}},
		"permissions":    {as("deaf:hunter2"), "", 1, []string{"cannot work", "fault    permissions", "may not subscribe to signalbox.all"}},
		"wrong password": {as("all:hunter3"), "", 1, []string{"fault  connection", "uthorization"}},
		"small messages": {small, "", 1, []string{"fault    max_payload", "100 000 bytes"}},
		"nobody there":   {"nats://" + deadAddr, "", 1, []string{"fault  connection"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := examined(t, dir, c.node, "--nats", c.url)
			if got.status != c.status || got.stderr != "" || strings.Contains(got.stdout, "hunter") {
				t.Errorf("got status %d and stderr %q, want %d and none; in\n%s", got.status, got.stderr, c.status, got.stdout)
			}
			for _, want := range c.want {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("no %q in\n%s", want, got.stdout)
				}
			}
			asJSON := invocation{dir: dir}.run(t, "doctor", "--json", "--nats", c.url)
			var d linkDiagnosis
			if err := json.Unmarshal([]byte(asJSON.stdout), &d); err != nil || asJSON.status != c.status {
				t.Errorf("--json: got status %d, %v in %s", asJSON.status, err, asJSON.stdout)
			}
		})
	}
	route := freeAddr(t)
	start(t, dir, nil, "serve", "--listen", "127.0.0.1:0", "--data-dir", "data2", "--nats", "embedded", "--nats-listen", route, "--node", "west").addr()
	meshed := examined(t, dir, "west", "--nats", "embedded", "--nats-listen", route)
	if meshed.status != 0 || !strings.Contains(meshed.stdout, "routes to 1") {
		t.Errorf("embedded: got status %d and %s", meshed.status, meshed.stdout)
	}
	invocation{dir: dir}.fails(t, []string{"doctor", "--nats", "http://127.0.0.1"}, "no URL of a NATS server")
}

// examined has the doctor look at the link until it hears the node, if there is to be
// one: it listens for a moment, in which a node that is busy may not answer.
func examined(t testing.TB, dir, node string, args ...string) result {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		got := invocation{dir: dir}.run(t, append([]string{"doctor"}, args...)...)
		if node == "" || strings.Contains(got.stdout, "\n  "+node+"  ") {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("the doctor does not hear %s: status %d and stderr %q, in\n%s", node, got.status, got.stderr, got.stdout)
		}
	}
}

// deadAddr is an address at which nobody listens: its port is that of a service of old,
// and given to nobody who asks for any.
const deadAddr = "127.0.0.1:1"

// freeAddr returns an address that nothing listens on, of the loopback network where
// nobody else's connections come from, and with a port that nobody is given who asks
// for any: those are from 32768 up.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.%d.%d.%d:%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254), 20000+rand.IntN(12000))
		if listener, err := net.Listen("tcp", addr); err == nil {
			listener.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}
