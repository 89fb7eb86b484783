package target

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"signalbox/bench/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunning(t *testing.T) {
	for _, tt := range []struct {
		name, url  string
		addr, path string
		fault      bool
	}{
		{"plain", "ws://127.0.0.1:8080", "127.0.0.1:8080", "/v1", false},
		{"slash", "ws://127.0.0.1:8080/", "127.0.0.1:8080", "/v1", false},
		{"path", "ws://127.0.0.1:8080/realtime/v1", "127.0.0.1:8080", "/realtime/v1", false},
		{"no port", "ws://127.0.0.1", "127.0.0.1:80", "/v1", false},
		{"IPv6", "ws://[::1]:8080", "[::1]:8080", "/v1", false},
		{"TLS", "wss://127.0.0.1", "127.0.0.1:443", "/v1", false},
		{"no WebSocket", "https://127.0.0.1:8080", "", "", true},
		{"no host", "ws://", "", "", true},
		{"no host but a port", "ws://:8080", "", "", true},
		{"no URL", "127.0.0.1:8080", "", "", true},
		{"no port number", "ws://127.0.0.1:x", "", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target, err := Running(Remote{URL: tt.url})
			if (err != nil) != tt.fault {
				t.Fatalf("got error %v, want one: %t", err, tt.fault)
			}
			if err == nil && (target.Addr.String() != tt.addr || target.Signalbox().Path != tt.path) {
				t.Errorf("got %s, %s, want %s, %s", target.Addr, target.Signalbox().Path, tt.addr, tt.path)
			}
		})
	}
	known, err := newCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if target, err := Running(Remote{URL: "wss://127.0.0.1", CA: known.Cert}); err != nil || !target.Signalbox().TLS.RootCAs.Equal(known.Client.RootCAs) {
		t.Errorf("with a certificate of its own: got %v, %v, want that it is trusted", target, err)
	}
	if _, err := Running(Remote{URL: "ws://127.0.0.1:1", PID: 1 << 30}); err == nil {
		t.Error("no error for a process that is not there")
	}
}

func TestToken(t *testing.T) {
	key := newKey()
	text, err := key.Token(Claims{Peer: "alice", Permissions: []string{"send"}, PeerMetadata: map[string]any{"n": 1}})
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{}
	token, err := jwt.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return []byte(key.Secret), nil }, jwt.WithExpirationRequired())
	if err != nil {
		t.Fatal(err)
	}
	if token.Header["kid"] != key.ID || claims["sub"] != "alice" || len(claims["permissions"].([]any)) != 1 || claims["peerMetadata"] == nil {
		t.Errorf("got header %v, claims %v", token.Header, claims)
	}
}

func TestSignalboxFrames(t *testing.T) {
	s := &Signalbox{Host: "127.0.0.1:1", Path: "/v1", Key: newKey()}
	for _, tt := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"subscribe", AppendSubscribe(nil, `a"b`, "7"), `{"type":"subscribe","channel":"a\"b","requestId":"7"}`},
		{"unsubscribe", AppendUnsubscribe(nil, "a"), `{"type":"unsubscribe","channel":"a"}`},
		{"send", AppendSend(nil, "bob", []byte("[1]")), `{"type":"send","to":"bob","data":[1]}`},
		{"publish", s.AppendPublish(nil, "a", []byte("[1]")), `{"type":"publish","channel":"a","data":[1]}`},
	} {
		if got := said(t, tt.frame); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	delivered := `{"type":"message","channel":"a","from":"p","data":}`
	if got := s.Overhead("a", "p"); got != len(delivered) {
		t.Errorf("the overhead is %d, want %d", got, len(delivered))
	}
	script, err := s.Subscriber(Claims{Peer: "p"}, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	if !script.Welcome || script.Acks != 2 || !strings.HasPrefix(string(script.Request), "GET /v1?token=ey") {
		t.Errorf("got welcome %t, %d acks, request %.20q", script.Welcome, script.Acks, script.Request)
	}
}

func TestHubFrames(t *testing.T) {
	h := &Hub{Host: "127.0.0.1:1"}
	join, err := h.Join("p", "c")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(join.Request), "GET /c HTTP/1.1\r\n") || join.Welcome || join.Acks != 0 {
		t.Errorf("got %+v", join)
	}
	data := client.AppendData(nil, 60, client.Stamp{})
	if got := said(t, h.AppendPublish(nil, "c", data)); got != string(data) {
		t.Errorf("got %s, want %s", got, data)
	}
}

func TestAnnouncement(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		addr       string
		ok         bool
	}{
		{"told", `{"addr":"127.0.0.1:80","pid":7}`, "127.0.0.1:80", true},
		{"chatter", `listening…`, "", false},
		{"another object", `{"level":"info"}`, "", false},
	} {
		var a announcement
		if addr, ok := a.read(tt.line); addr != tt.addr || ok != tt.ok {
			t.Errorf("%s: got %q, %t, want %q, %t", tt.name, addr, ok, tt.addr, tt.ok)
		}
	}
}

// shell runs a script as if it were a server.
func shell(script string) Command {
	var a announcement
	return Command{Args: []string{"sh", "-c", script}, Ready: a.read}
}

const told = `echo '{"addr":"127.0.0.1:1"}';`

func TestStart(t *testing.T) {
	cores, err := Cores()
	if err != nil {
		t.Fatal(err)
	}
	c := shell(`echo starting;` + told + `exec sleep 1000`)
	c.Cores = cores[:1]
	p, addr, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if addr != "127.0.0.1:1" {
		t.Errorf("got address %q", addr)
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(p.PID, &set); err != nil || set.Count() != 1 || !set.IsSet(cores[0]) {
		t.Errorf("it runs on %d cores, error %v, want core %d alone", set.Count(), err, cores[0])
	}
	if again, err := Cores(); err != nil || !slices.Equal(again, cores) {
		t.Errorf("our own cores are %v, error %v, want %v as before", again, err, cores)
	}
	if cpu, err := p.CPU(); err != nil || cpu <= 0 {
		t.Errorf("got CPU time %v, error %v", cpu, err)
	}
	if m, err := p.Memory(); err != nil || m.PSS <= 0 || m.Anon <= 0 || m.Anon > m.PSS {
		t.Errorf("got memory %+v, error %v", m, err)
	}
	if n, err := p.Descriptors(); err != nil || n < 3 {
		t.Errorf("got %d descriptors, error %v", n, err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("a server that SIGTERM ends: %v", err)
	}
	if _, err := p.CPU(); err == nil {
		t.Error("CPU time of a process that has ended")
	}
}

func TestStartTellsWhy(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		command Command
		want    string
	}{
		{"no such command", t.Context(), Command{Args: []string{"/nowhere/server"}}, "no such file"},
		{"ends at once", t.Context(), shell("echo the port is taken; exit 1"), "the port is taken"},
		{"says nothing", t.Context(), shell("exit 1"), "printed nothing"},
		{"cancelled", ended, shell("exec sleep 1000"), context.Canceled.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := Start(tt.ctx, tt.command); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestStopTellsFault(t *testing.T) {
	p, _, err := Start(t.Context(), shell(told+`echo out of luck; exit 3`))
	if err != nil {
		t.Fatal(err)
	}
	<-p.doneC
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("got %v, want an error with what the server said", err)
	}
}

func TestGoroutines(t *testing.T) {
	p, _, err := Start(t.Context(), shell(`trap 'echo "goroutine 1 gp=0x1 m=0 [running]:"; echo "goroutine running"; echo "goroutine 22 [select, 3 minutes]:"; exit 2' QUIT;`+told+`while :; do sleep 0.01; done`))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := p.Goroutines(t.Context()); err != nil || n != 2 {
		t.Errorf("got %d, error %v, want 2", n, err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("after the dump: %v", err)
	}
}

func TestSettle(t *testing.T) {
	p, err := Attach(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Settle(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := p.Rest(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("Rest: got %v, want %v", err, context.Canceled)
	}
	if err := p.Settle(t.Context(), time.Millisecond); !errors.Is(err, ErrRestless) {
		t.Errorf("got %v, want %v", err, ErrRestless)
	}
	if err := p.Rest(t.Context(), time.Millisecond); !errors.Is(err, ErrRestless) {
		t.Errorf("Rest beyond its limit: got %v, want %v", err, ErrRestless)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("a process that is not ours: %v", err)
	}
	p.Kill()
}

// TestBusy: idle and waiting for disks are not busy, steal and interrupts are, and
// guests are not counted twice.
func TestBusy(t *testing.T) {
	const stat = "cpu  11 22 33 44 55 66 77 88 99 0\n" +
		"cpu0 1 2 3 1000 1000 4 5 6 1 2\n" +
		"cpu1 10 20 30 1000 1000 40 50 60 10 20\n" +
		"cpu10 100 200 300 1000 1000 400 500 600 100 200\n" +
		"\nintr 1 2 3\n"
	for _, tt := range []struct {
		name  string
		text  string
		cores []int
		want  time.Duration // 0: an error
	}{
		{"one", stat, []int{0}, 210 * time.Millisecond},
		{"another", stat, []int{10}, 21 * time.Second},
		{"two", stat, []int{0, 1}, 2310 * time.Millisecond},
		{"none of that number", stat, []int{0, 2}, 0},
		{"a line cut short", "cpu0 1 2 3\n", []int{0}, 0},
		{"no numbers", "cpu0 1 2 x 4 5 6 7 8\n", []int{0}, 0},
	} {
		got, err := readBusy([]byte(tt.text), tt.cores)
		if got != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("%s: got %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	cores, err := Cores()
	if err != nil {
		t.Fatal(err)
	}
	if busy, err := Busy(cores); err != nil || busy <= 0 {
		t.Errorf("this machine: got %s, %v", busy, err)
	}
}

func TestKernelFiles(t *testing.T) {
	const slabinfo = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize> …\nTCP 10 12 2432 13 8 : tunables 0 0 0\nfilp 100 110 256 16 1 : x\n"
	if got, err := activeObjects([]byte(slabinfo)); err != nil || got != 10*2432+100*256 {
		t.Errorf("got %d, error %v, want %d", got, err, 10*2432+100*256)
	}
	if _, err := activeObjects([]byte("TCP ten 12 2432 13\n")); err == nil {
		t.Error("no error for a line without numbers")
	}
	const sockstat = "sockets: used 36\nTCP: inuse 8 orphan 0 tw 16015 alloc 8 mem 348\nUDP: inuse 0 mem 256\n"
	if got, err := tcpMemory([]byte(sockstat)); err != nil || got != 348*int64(os.Getpagesize()) {
		t.Errorf("got %d, error %v, want %d pages", got, err, 348)
	}
	if _, err := tcpMemory([]byte("UDP: inuse 0 mem 256\n")); err == nil {
		t.Error("no error without a line for TCP")
	}
	if got := kiloField([]byte("Rss:  12 kB\nPss: 3 kB\n"), "Pss:"); got != 3<<10 {
		t.Errorf("got %d, want %d", got, 3<<10)
	}
}
