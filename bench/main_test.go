package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

// testLimit is far more than any scenario here takes.
const testLimit = 10 * time.Minute

// server is the binary under test, built once.
var server string

func TestMain(m *testing.M) {
	// The harness starts itself as the floor, as a terminator, as a crowd and to
	// watch for stalls.
	if len(os.Args) > 1 && slices.Contains([]string{"floor", "terminator", "crowd", "stalls"}, os.Args[1]) {
		main()
		return
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bench-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// What is too many for the descriptors that we may have is that on every machine.
	if err := lowerLimit(mostDescriptors); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	server = filepath.Join(dir, "signalbox")
	if err := target.Build(context.Background(), server, "signalbox/cmd/signalbox"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// The server's libraries, linked for sim, keep goroutines of their own.
	before := goleak.IgnoreCurrent()
	status := m.Run()
	if err := goleak.Find(before); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	return status
}

// mostDescriptors is more than any test needs.
const mostDescriptors = 1 << 17

// lowerLimit has this process, and those that it starts, have at most n descriptors.
func lowerLimit(n uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	limit.Cur, limit.Max = min(limit.Cur, n), min(limit.Max, n)
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
}

// outcome is what a command line has done.
type outcome struct {
	status   int
	out, err string
}

func execute(ctx context.Context, t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, testLimit)
	defer cancel()
	var out, err strings.Builder
	status := run(ctx, args, &stdio{out: &out, err: &err})
	return outcome{status, out.String(), err.String()}
}

// interrupt is execute on a terminal, by a user who has had enough once it has shown
// lines that match each of the patterns, in their order.
func interrupt(t *testing.T, patterns []string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	w := &terminal{waits: patterns, cancel: cancel}
	var out strings.Builder
	status := run(ctx, args, &stdio{out: &out, err: w, terminal: true})
	if len(w.waits) > 0 {
		t.Errorf("%q: never showed %q", args, w.waits[0])
	}
	return outcome{status, out.String(), w.String()}
}

// terminal ends a run once it has shown all that it waits for.
type terminal struct {
	strings.Builder
	waits  []string
	cancel context.CancelFunc
}

func (w *terminal) Write(line []byte) (int, error) {
	if len(w.waits) > 0 && regexp.MustCompile(w.waits[0]).Match(line) {
		if w.waits = w.waits[1:]; len(w.waits) == 0 {
			w.cancel()
		}
	}
	return w.Builder.Write(line)
}

// measure runs a scenario small and returns its record.
func measure(t *testing.T, args ...string) *result.Record {
	t.Helper()
	path := filepath.Join(t.TempDir(), "record.json")
	args = append(args, "--json", path)
	if o := execute(t.Context(), t, args...); o.status != 0 {
		t.Fatalf("%q: status %d: %s%s", args, o.status, o.out, o.err)
	}
	r, err := result.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.Partial || !r.HasFigures() {
		t.Errorf("%q: partial %t, rows %v", args, r.Partial, r.Rows)
	}
	return r
}

// figures are the values of a figure in all rows that have it.
func figures(r *result.Record, name string) (values []float64) {
	for _, row := range r.Rows {
		if v, ok := row.Value(name); ok {
			values = append(values, v)
		}
	}
	return values
}

// TestScenarios runs each scenario small against the real server, and looks
// whether the figures are there. How large they are depends on the machine.
func TestScenarios(t *testing.T) {
	short := []string{"--for", "200ms", "--warm-up", "20ms"}
	longer := []string{"--for", "400ms", "--warm-up", "20ms"} // where a core is shared by two that encrypt
	for _, tt := range []struct {
		args []string
		// rows have these figures, all above zero but for slopes, as over so few
		// connections what the runtime does in between is more than theirs, and for what
		// nodes do at rest, which may be nothing.
		rows    int
		figures []string
	}{
		{[]string{"connect", "--connections", "40", "--rounds", "2"}, 3, []string{"connects", "CPU a connect", "× floor", "p99"}},
		{[]string{"idle", "--connections", "40,80", "--rest", "100ms"}, 8, []string{"PSS", "heap and stacks", "kernel, both ends"}},
		{append([]string{"fanout", "--subscribers", "10,20", "--in-flight", "1,8", "--publishers", "1,8", "--rounds", "2"}, short...), 8,
			[]string{"deliveries", "publishes", "CPU a delivery", "× floor"}},
		{append([]string{"fanout", "--tls", "--subscribers", "10", "--in-flight", "1,8", "--publishers", "1,8", "--rounds", "2"}, longer...), 6,
			[]string{"deliveries", "publishes", "CPU a delivery"}},
		{[]string{"connect", "--tls", "--connections", "40", "--rounds", "2"}, 2, []string{"connects", "CPU a connect", "p99"}},
		{[]string{"idle", "--tls", "--connections", "40,80", "--rest", "100ms"}, 8, []string{"PSS", "heap and stacks"}},
		{append([]string{"latency", "--subscribers", "10", "--shares", "0.1"}, short...), 1, []string{"p50", "p99.9", "max"}},
		{append([]string{"latency", "--subscribers", "10", "--rate", "200,400"}, short...), 2, []string{"p50", "p99.9", "max"}},
		{append([]string{"direct", "--pairs", "1,5"}, short...), 4, []string{"round trips", "CPU a direct", "p50"}},
		{[]string{"presence", "--peers", "20"}, 3, []string{"frames", "frames each", "bytes", "join p99", "pair p99", "pair max"}},
		{[]string{"reconnect", "--connections", "20"}, 1, []string{"back", "99 % back", "drained", "CPU a return"}},
		{[]string{"reconnect", "--connections", "20", "--cut"}, 1, []string{"back", "all back"}},
		{append([]string{"slow", "--subscribers", "10", "--rounds", "2"}, short...), 2, []string{"p99", "median p99", "× without"}},
		{append([]string{"cluster", "--nodes", "2", "--subscribers", "10", "--rounds", "1", "--pairs", "2", "--joins", "10", "--connects", "10", "--rest", "300ms",
			"--parts", "fanout,trips,storm,rest,connect,held", "--connections", "12", "--per-node", "6"}, short...), 26,
			[]string{"CPU a message", "× alone", "p50", "frames each", "CPU a node", "connects"}},
		{[]string{"soak", "--peers", "10", "--channels", "2", "--churn", "2", "--life", "50ms", "--for", "300ms", "--samples", "2"}, 4,
			[]string{"arrived", "goroutines", "PSS", "descriptors"}},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			r := measure(t, append(tt.args, "--server-bin", server)...)
			if len(r.Rows) != tt.rows {
				t.Errorf("got %d rows, want %d: %v", len(r.Rows), tt.rows, r.Rows)
			}
			for _, name := range tt.figures {
				values := figures(r, name)
				if len(values) == 0 {
					t.Errorf("no row has %q", name)
				}
				for _, v := range values {
					if v <= 0 && tt.args[0] != "idle" && (name != "CPU a node" || v < 0) {
						t.Errorf("%q is %v", name, v)
					}
				}
			}
			for _, name := range []string{"missing", "pair missing", "errors", "refused", "wrong"} {
				for _, v := range figures(r, name) {
					if v != 0 {
						t.Errorf("%v %s", v, name)
					}
				}
			}
		})
	}
}

// TestAccounts: what is counted adds up exactly.
func TestAccounts(t *testing.T) {
	r := measure(t, "soak", "--peers", "12", "--channels", "3", "--churn", "0", "--for", "300ms", "--rate", "300", "--samples", "1",
		"--directs", "0", "--server-bin", server)
	for _, tt := range []struct {
		figure string
		want   float64
	}{
		{"messages", 90}, {"due", 270}, {"arrived", 270}, {"wrong", 0},
	} {
		if got := figures(r, tt.figure); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: got %v, want %v", tt.figure, got, tt.want)
		}
	}
	for _, live := range figures(r, "live heap") { // with the clients, and at rest
		if live <= 0 || live > 16 {
			t.Errorf("live heap: got %v MiB, want that of a small server", live)
		}
	}
	path := filepath.Join(t.TempDir(), "record.json")
	o := execute(t.Context(), t, "soak", "--peers", "12", "--channels", "3", "--churn", "0", "--for", "300ms", "--rate", "300", "--samples", "1",
		"--server-bin", server, "--server-flags=--message-rate 1 --message-burst 1", "--json", path)
	if o.status != 1 || strings.Count(o.err, "connections were lost") != 1 {
		t.Errorf("with peers that are closed: got status %d, %q, want 1 and that they were lost", o.status, o.err)
	}
	lost, err := result.Read(path)
	if err != nil || len(figures(lost, "arrived")) != 1 || figures(lost, "arrived")[0] >= figures(lost, "due")[0] {
		t.Errorf("with peers that are closed: got %v, %v, want an account of what did not arrive", lost, err)
	}
	o = interrupt(t, []string{"[1-9]\\d* errors"}, "soak", "--peers", "4", "--channels", "2", "--churn", "2", "--life", "10ms", "--for", "1h", "--samples", "1",
		"--server-bin", server, "--server-flags=--connect-rate 5")
	if o.status != 1 || !strings.Contains(o.err, "visits and frames were refused") || strings.Contains(o.err, "deliveries were due") {
		t.Errorf("with visits that are refused: got status %d, %q, want 1 and that they were", o.status, o.err)
	}
	r = measure(t, "presence", "--peers", "30", "--server-bin", server)
	if frames := figures(r, "frames"); frames[0] < 30 || frames[1] < 15 {
		t.Errorf("got %v presence frames, want at least one for each snapshot and for each that stayed", frames)
	}
}

// TestTooShort: a measurement within which no message arrives everywhere lasts until
// one does, each under its own conditions.
func TestTooShort(t *testing.T) {
	short := []string{"--for", "1us", "--warm-up", "0s", "--server-bin", server}
	r := measure(t, append([]string{"fanout", "--subscribers", "500", "--in-flight", "1,16", "--publishers", "1", "--rounds", "1", "--no-floor"}, short...)...)
	if len(r.Rows) != 2 || r.Rows[0].Text("in flight") != "1" || r.Rows[1].Text("in flight") != "16" {
		t.Errorf("got %v, want a row for each number in flight", r.Rows)
	}
	if values := figures(r, "publishes"); len(values) != 2 || slices.Min(values) <= 0 {
		t.Errorf("got %v publishes a second, want some in flight each", values)
	}
	r = measure(t, append([]string{"latency", "--subscribers", "500"}, short...)...)
	if values := figures(r, "p50"); len(values) != 5 || slices.Min(values) <= 0 {
		t.Errorf("latency: got medians of %v ms, want one of each share", values)
	}
}

// TestRatios: those that are told are those of the record's rounds.
func TestRatios(t *testing.T) {
	r := measure(t, "connect", "--connections", "20", "--rounds", "3", "--server-bin", server)
	rounds := func(row result.Row, name string) []float64 {
		i := slices.IndexFunc(row.Figures, func(f result.Figure) bool { return f.Name == name })
		if i < 0 || len(row.Figures[i].Rounds) != 3 {
			t.Fatalf("got %v, want three rounds of %q", row, name)
		}
		return row.Figures[i].Rounds
	}
	floor := rounds(r.Rows[len(r.Rows)-1], "CPU a connect")
	for _, row := range r.Rows {
		want := result.Median(load.Ratios(rounds(row, "CPU a connect"), floor))
		if got, _ := row.Value("× floor"); got != want {
			t.Errorf("%s: got %v × floor, want %v", row.Text("server"), got, want)
		}
	}
}

// TestIdleProfile: what an idle connection holds is told, and by names for all
// that matters.
func TestIdleProfile(t *testing.T) {
	// So many that nobody notices what the server holds some kilobytes of now and then.
	r := measure(t, "idle", "--profile", "--connections", "200,3200", "--rest", "100ms", "--no-floor", "--server-bin", server)
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "not at rest after 100ms") {
		t.Errorf("got notes %q, want that the server was given too little time", notes)
	}
	const negligible = 8 // bytes
	sum := 0.0
	for _, row := range r.Rows {
		alive, ok := row.Value("alive")
		switch what := row.Text("held"); {
		case !ok:
		case what == "sum":
			if math.Abs(alive-sum) > 1e-6 || alive < 500 || alive > 2000 {
				t.Errorf("the sum is %v, of parts that make %v", alive, sum)
			}
			return
		case what == "" && alive > negligible:
			t.Errorf("%s allocates %v bytes a connection for nobody knows what", row.Text("allocated by"), alive)
		default:
			sum += alive
		}
	}
	t.Errorf("no sum in %v", r.Rows)
}

// TestRunningServer measures a server that it has not started.
func TestRunningServer(t *testing.T) {
	own, err := target.StartOwn(t.Context(), target.Own{Bin: server, Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	key := own.Signalbox().Key
	there := []string{"--url", "ws://" + own.Addr.String(), "--sk-id", key.ID, "--sk-secret", key.Secret}
	pid := append([]string{"--pid", fmt.Sprint(own.Process.PID)}, there...)

	r := measure(t, append([]string{"connect", "--connections", "10", "--rounds", "1"}, there...)...)
	if len(r.Rows) != 1 {
		t.Errorf("got %v, want no floor beside a server that may be elsewhere", r.Rows)
	}
	if len(figures(r, "connects")) != 1 || len(figures(r, "CPU a connect")) != 0 {
		t.Errorf("without --pid: got %v", r.Rows)
	}
	if text := fmt.Sprint(r); strings.Contains(text, key.Secret) {
		t.Error("the record holds the secret")
	}
	if r.Params["connections"] != "10" || r.Params["window"] != "64" {
		t.Errorf("got parameters %v", r.Params)
	}
	if r.Server != "" {
		t.Errorf("without --pid: got server %q, though nothing tells which it is", r.Server)
	}
	r = measure(t, append([]string{"connect", "--connections", "10", "--rounds", "1", "--no-floor"}, pid...)...)
	if r.Server != own.Commit {
		t.Errorf("with --pid: got server %q, want %q", r.Server, own.Commit)
	}
	if len(figures(r, "CPU a connect")) != 1 {
		t.Errorf("with --pid: got %v", r.Rows)
	}
	measure(t, append([]string{"reconnect", "--connections", "10"}, there...)...)
	soak := []string{"soak", "--peers", "4", "--channels", "2", "--churn", "0", "--for", "200ms", "--samples", "1"}
	if r = measure(t, append(soak, pid...)...); len(figures(r, "PSS")) != 2 || len(figures(r, "live heap")) != 0 {
		t.Errorf("soak with --pid: got %v, want PSS, and no live heap, which nobody tells", r.Rows)
	}

	wrong := append([]string{"connect", "--connections", "5", "--rounds", "1"}, there[:5]...)
	if o := execute(t.Context(), t, append(wrong, strings.Repeat("x", 48))...); o.status != 1 || !strings.Contains(o.err, "close code 4001") {
		t.Errorf("wrong secret: got status %d, %q, want the server's close code", o.status, o.err)
	}
}

// TestRefusedConnects: connects that a server refuses make no good run.
func TestRefusedConnects(t *testing.T) {
	apps := filepath.Join(t.TempDir(), "apps.yaml")
	key := target.Key{ID: "sk_id_" + strings.Repeat("0", 32), Secret: "sk_secret_" + strings.Repeat("0", 48)}
	text := fmt.Sprintf(`apps:
  - id: app_small
    plan: {name: SMALL, maxConcurrentConnections: 5, maxMessagesPerPeriod: 0, overagesAllowed: false, overagesEnabled: false}
    keys: [{id: %s, secret: %s, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}]
`, key.ID, key.Secret)
	if err := os.WriteFile(apps, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "record.json")
	own, err := target.StartOwn(t.Context(), target.Own{Bin: server, Loops: 1, Flags: []string{"--apps", apps}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	o := execute(t.Context(), t, "connect", "--connections", "20", "--rounds", "1", "--url", "ws://"+own.Addr.String(),
		"--sk-id", key.ID, "--sk-secret", key.Secret, "--json", path)
	if o.status != 1 || !strings.Contains(o.err, "15 of 20 connections could not be opened") {
		t.Errorf("got status %d, %q, want 1 and how many failed", o.status, o.err)
	}
	r, err := result.Read(path)
	if err != nil || !slices.Equal(figures(r, "errors"), []float64{15}) {
		t.Errorf("got %v, %v, want a record with 15 errors", r, err)
	}
}

// TestRunningServerTLS measures one that speaks TLS, whose certificate nobody knows.
func TestRunningServerTLS(t *testing.T) {
	own, err := target.StartOwn(t.Context(), target.Own{Bin: server, Loops: 1, TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	key := own.Signalbox().Key
	args := []string{"connect", "--connections", "10", "--rounds", "1", "--url", "wss://" + own.Addr.String(), "--sk-id", key.ID, "--sk-secret", key.Secret}
	if o := execute(t.Context(), t, args...); o.status != 1 || !strings.Contains(o.err, "certificate") {
		t.Errorf("got status %d, %q, want 1 and that the certificate is not trusted", o.status, o.err)
	}
	measure(t, append(args, "--insecure")...)
}

// TestInterrupt: what there is when the user has had enough is the result.
func TestInterrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.json")
	// The second time that the server is measured, both have been.
	o := interrupt(t, []string{"signalbox, 1 in flight", "floor, 1 in flight", "signalbox, 1 in flight"},
		"fanout", "--subscribers", "5", "--in-flight", "1", "--publishers", "1", "--for", "1s", "--warm-up", "0s",
		"--rounds", "1000000", "--server-bin", server, "--json", path)
	if o.status != 0 || !strings.Contains(o.out, "ended before it was done") {
		t.Fatalf("got status %d, %q, %q", o.status, o.out, o.err)
	}
	r, err := result.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Partial || len(r.Rows) != 2 {
		t.Errorf("got partial %t, %d rows", r.Partial, len(r.Rows))
	}
	if o := execute(t.Context(), t, "fanout", "--timeout", "1ns", "--server-bin", server); o.status != 1 || !strings.Contains(o.err, "before anything was measured") {
		t.Errorf("out of time at once: got status %d, %q", o.status, o.err)
	}
	if o := execute(t.Context(), t, "report", "--complete", path, "--out", filepath.Join(t.TempDir(), "r.html")); o.status != 1 {
		t.Errorf("report takes it for complete: %q", o.out)
	}
}

// TestInterruptEndsMeasurements: a long one that is under way ends too, and what it
// has seen until then is told.
func TestInterruptEndsMeasurements(t *testing.T) {
	for _, tt := range []struct {
		args []string
		line string
	}{
		{[]string{"direct", "--pairs", "1"}, "round trips: [1-9]"},
		{[]string{"fanout", "--subscribers", "2"}, "signalbox, 1 in flight to 2: [1-9]"},
		{[]string{"latency", "--subscribers", "2", "--rate", "100"}, "publishes/s: [1-9]"},
		{[]string{"slow", "--subscribers", "2"}, "none stalled: [1-9]"},
	} {
		t.Run(tt.args[0], func(t *testing.T) {
			args := append(tt.args, "--for", "1h", "--timeout", "1h", "--warm-up", "0s", "--server-bin", server)
			o := interrupt(t, []string{tt.line, tt.line}, args...)
			if o.status != 0 || !strings.Contains(o.out, "[") || !strings.Contains(o.out, "ended before it was done") {
				t.Errorf("got status %d, %q, %q, want what was seen until then", o.status, o.out, o.err)
			}
		})
	}
}

// TestMissedLimit: rows that there are do not make up for what did not come about.
func TestMissedLimit(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		// However long we do not get to run: who is in sees the roster in an hour, and who
		// comes back to this server is one too many for a minute.
		{[]string{"presence", "--peers", "20", "--server-flags=--snapshot-delay 1h --presence-window 1h"}, "rosters are right"},
		{[]string{"reconnect", "--connections", "20", "--cut", "--server-flags=--connect-rate 20"}, "of 20 were back"},
	} {
		path := filepath.Join(t.TempDir(), "record.json")
		o := execute(t.Context(), t, append(tt.args, "--limit", "1ns", "--server-bin", server, "--json", path)...)
		if o.status != 1 || !strings.Contains(o.err, tt.want) || !strings.Contains(o.out, "failed:") {
			t.Errorf("%s: got status %d, %q, %q, want 1 and what was missed", tt.args[0], o.status, o.out, o.err)
		}
		if r, err := result.Read(path); err != nil || !r.Partial {
			t.Errorf("%s: got %v, %v, want a record that is partial", tt.args[0], r, err)
		}
	}
}

func TestReport(t *testing.T) {
	dir := t.TempDir()
	page, svg := filepath.Join(dir, "r.html"), filepath.Join(dir, "svg")
	o := execute(t.Context(), t, "report", "report/testdata/latency.json", "report/testdata/idle.json", "--out", page, "--svg", svg)
	if o.status != 0 {
		t.Fatalf("got status %d: %s", o.status, o.err)
	}
	for _, path := range []string{page, filepath.Join(svg, "latency-1.svg"), filepath.Join(svg, "idle-1.svg"), filepath.Join(svg, "idle-2.svg")} {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
	record := filepath.Join(dir, "r.json")
	if err := (&result.Record{Scenario: "idle"}).Write(record); err != nil {
		t.Fatal(err)
	}
	if o := execute(t.Context(), t, "report", record, "--out", record); o.status != 1 || !strings.Contains(o.err, "--out") {
		t.Errorf("onto a record: got status %d, %q, want 1", o.status, o.err)
	}
	if _, err := result.Read(record); err != nil {
		t.Errorf("the record is gone: %v", err)
	}
	if o := execute(t.Context(), t, "report", "main_test.go"); o.status != 1 {
		t.Error("no error for a file that is no record")
	}
}

func TestBadFlags(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{"no scenario", "", "expected"},
		{"no key", "connect --url ws://127.0.0.1:1", "--sk-id"},
		{"pid of an own server", "connect --pid 1", "--url"},
		{"no loops", "connect --loops 0", "--loops"},
		{"no window", "connect --window 0", "--window"},
		{"cores and loops", "connect --loops 2 --server-cores 1", "--server-cores"},
		{"no connections", "connect --connections 0", "--connections"},
		{"too many connections", "connect --connections 100000000", "descriptors"},
		{"shrinking", "idle --connections 5,4", "--connections"},
		{"profile of one number", "idle --profile --connections 5", "--connections"},
		{"profile of a running server", "idle --profile --url ws://127.0.0.1:1 --sk-id a --sk-secret b", "--profile"},
		{"no subscribers", "fanout --subscribers 0", "--subscribers"},
		{"more publishers than messages", "fanout --in-flight 1 --publishers 2", "--publishers"},
		{"no rounds", "fanout --rounds 0", "--rounds"},
		{"no share", "latency --shares 0", "--shares"},
		{"a warm-up before the start", "slow --warm-up=-5s", "--warm-up"},
		{"no time", "connect --timeout 0s", "--timeout"},
		{"too many subscribers, later", "fanout --subscribers 1,100000000", "descriptors"},
		{"too many pairs, later", "direct --pairs 1,100000000", "descriptors"},
		{"too many peers, later", "presence --peers 2,999999", "descriptors"},
		{"no pairs", "direct --pairs 0", "--pairs"},
		{"one peer", "presence --peers 1", "--peers"},
		{"no return", "reconnect --connections 0", "--connections"},
		{"none stalled", "slow --stalled 0", "--stalled"},
		{"more channels than peers", "soak --peers 2 --channels 3", "--channels"},
		{"TLS of a running server", "connect --tls --url ws://127.0.0.1:1 --sk-id a --sk-secret b", "--tls"},
		{"no WebSocket", "connect --url https://127.0.0.1:1 --sk-id a --sk-secret b", "wss"},
		{"no certificate", "connect --url wss://127.0.0.1:1 --sk-id a --sk-secret b --ca main_test.go", "--ca"},
		{"a certificate for nothing", "connect --url ws://127.0.0.1:1 --sk-id a --sk-secret b --insecure", "--insecure"},
		{"cluster of a running server", "cluster --url ws://127.0.0.1:1 --sk-id a --sk-secret b", "--url"},
		{"fewer and fewer nodes", "cluster --nodes 2,1", "--nodes"},
		{"no such part", "cluster --parts fanout,lunch", "--parts"},
		{"nobody to hold", "cluster --parts held --connections 2", "--connections"},
		{"results into a directory", "fanout --json .", "--json"},
		{"simulated results into a directory", "sim --json .", "--json"},
		{"no file", "report nowhere.json", "nowhere.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := execute(t.Context(), t, strings.Fields(tt.line)...)
			if o.status != 1 || !strings.Contains(o.err, tt.want) {
				t.Errorf("got status %d, %q, want 1 and %q", o.status, o.err, tt.want)
			}
		})
	}
}
