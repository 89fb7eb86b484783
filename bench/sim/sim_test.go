package sim

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"signalbox/bench/client"
	"signalbox/bench/result"
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, // gnet's worker pool comes with the engine's defaults, and belongs to the process
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
	)
}

// patience bounds what a test waits for.
const patience = 2 * time.Minute

// testConfig is a simulation that takes no time.
func testConfig() Config {
	return Config{
		Sections: Sections, Sessions: []int{20, 60}, Loops: []int{1, 2}, Subscribers: 10, InFlight: []int{1, 8},
		WriteCosts: []time.Duration{0}, Bytes: 128, For: 20 * time.Millisecond, Rounds: 1,
	}
}

func quiet(string, int, int) {}

func TestRunFillsEverySection(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	record := &result.Record{}
	cfg := testConfig()
	cfg.Stall = func() (time.Duration, error) { return 5 * time.Millisecond, nil }
	if err := Run(ctx, cfg, record, quiet); err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for _, row := range record.Rows {
		rows[row.Text("section")]++
		if v, ok := row.Value("longest stall of the machine"); ok && v != 5000 {
			t.Errorf("%v: the longest stall is %v µs, want 5000", row.Labels, v)
		}
		if _, collects := row.Value("GC cycle"); collects {
			p50, _ := row.Value("GC pause, p50")
			p99, _ := row.Value("p99")
			longest, _ := row.Value("max")
			if p50 <= 0 || p50 > p99 || p99 > longest {
				t.Errorf("%v: pauses are %v, %v and %v µs, want them to rise", row.Labels, p50, p99, longest)
			}
		}
		for _, name := range []string{"deliveries", "CPU", "CPU a connect", "heap"} {
			if v, ok := row.Value(name); ok && v <= 0 && name != "heap" {
				t.Errorf("%v: %s is %v, want more than 0", row.Labels, name, v)
			}
		}
	}
	want := map[string]int{
		Sessions: 4,  // two sizes, a slope, the close
		FanOut:   8,  // sizes × in flight × collecting
		Roster:   12, // sizes × loops × three
		Scale:    4,  // in flight × loops
	}
	if !maps.Equal(rows, want) {
		t.Errorf("rows by section are %v, want %v", rows, want)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	record := &result.Record{}
	cfg := testConfig()
	cfg.For = time.Hour
	cfg.Sections = []string{Sessions, FanOut}
	err := Run(ctx, cfg, record, func(what string, _, _ int) {
		if what == "publish to all" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, want %v", err, context.Canceled)
	}
	if len(record.Rows) != 4 {
		t.Errorf("%d rows are left of what was done, want 4", len(record.Rows))
	}
}

func TestPingsAreAnswered(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const ping = time.Second // two of them without an answer close a session
	w, err := newWorld(ctx, worldConfig{loops: 1, sessions: 5, ping: ping})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.open(5, ownChannel, func(int) {}); err != nil {
		t.Fatal(err)
	}
	enough := newLatch(1)
	told := false
	err = w.each(func(l *loop) {
		l.after = func() {
			if l.pings >= 15 && !told {
				told = true
				enough.done(1)
			}
		}
	})
	if err == nil {
		err = w.wait(enough, nil)
	}
	if err != nil {
		t.Errorf("after pings: %v", err)
	}
}

func TestRead(t *testing.T) {
	ack := frame.AppendFrame(nil, frame.OpText, protocol.AppendAck(nil, []byte("1")))
	peers := make([]protocol.Peer, 4000)
	for i := range peers {
		peers[i].ID = peerName(i)
	}
	long := frame.AppendFrame(nil, frame.OpText, protocol.AppendPresence(nil, hall, peers, nil))
	tests := []struct {
		name   string
		writes [][]byte
		want   []client.Kind
	}{
		{"one frame", [][]byte{ack}, []client.Kind{client.Ack}},
		{"two in a write", [][]byte{slices.Concat(ack, ack)}, []client.Kind{client.Ack, client.Ack}},
		{"a long one", [][]byte{long}, []client.Kind{client.Presence}},
		{"a long one in parts", [][]byte{long[:1000], long[1000:70000], long[70000:]}, []client.Kind{client.Presence}},
		{"one behind the last part", [][]byte{long[:1000], slices.Concat(long[1000:], ack)}, []client.Kind{client.Presence, client.Ack}},
		{"a control frame", [][]byte{slices.Concat(frame.AppendFrame(nil, frame.OpPong, nil), ack)}, []client.Kind{client.Ack}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []client.Kind
			l := newLoop(0, nil, -1, nil)
			l.hear = func(_ *conn, kind client.Kind, _ int) { got = append(got, kind) }
			c := &conn{loop: l}
			for _, b := range tt.writes {
				c.Write(b)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("heard %v, want %v", got, tt.want)
			}
			if len(l.missing) != 0 {
				t.Errorf("%v bytes are still missing", l.missing[c])
			}
		})
	}
}

// kept holds on to what TestSites allocates.
var kept [][]byte

func TestSitesFindWhoAllocates(t *testing.T) {
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = profileRate // by default the samples are so few that half of them may be wanting
	before := readHeap(true)
	for range 4 << 10 {
		kept = append(kept, make([]byte, 4<<10))
	}
	defer func() { kept = nil }()
	list := readHeap(true).growth(before)
	if len(list) == 0 {
		t.Fatal("the profile has no site that has grown")
	}
	const want = 16 << 20
	if got := list[0]; got.bytes < want/2 || got.bytes > 2*want {
		t.Errorf("%s has grown by %d bytes, want about %d", got.name, got.bytes, want)
	}
}

// TestBroadcastOnce: there is a message even if the time is over before the first.
func TestBroadcastOnce(t *testing.T) {
	b := &broadcast{inFlight: 1, idle: newLatch(1)}
	b.stopped.Store(true)
	if b.next() == nil {
		t.Error("nothing is published")
	}
}
