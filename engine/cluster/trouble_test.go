package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// kill ends a node without a goodbye.
func (n *node) kill() { n.conn.Close() }

// relinks has the node's link break and come back.
func (n *node) relinks() {
	n.t.Helper()
	if err := n.conn.ForceReconnect(); err != nil {
		n.t.Fatal(err)
	}
}

// hearsAgain waits until a node has come back from relinks, and hears.
func (n *node) hearsAgain() {
	n.t.Helper()
	n.after("resync")
	if err := n.conn.FlushTimeout(patience); err != nil { // NATS has taken its subscriptions
		n.t.Fatal(err)
	}
}

func TestGoneAndFound(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	c := config(s.ClientURL(), "a")
	c.times.gone = 700 * time.Millisecond
	a := start(t, c)
	c.Name = "b"
	b := start(t, c)
	a.knows(1)
	b.knows(1)
	a.clear()
	b.Close()
	a.wants("gone")
	a.knows(0)

	c.Name = "c"
	d := start(t, c)
	a.knows(1)
	a.clear()
	d.kill()
	a.wants("gone")
}

// TestFoundAnew has a node be met that was there before this one knew of it, and has more
// to tell.
func TestFoundAnew(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	c := config(s.ClientURL(), "a")
	c.times.gone = time.Hour
	a := start(t, c)
	a.r.finds.Store(true)
	old := newStranger(t, s)
	beats := func(epoch, number uint64) {
		t.Helper()
		old.say(appendBeat(nil, beat{name: "old", epoch: epoch, number: number}))
	}
	beats(1, 17)
	a.wants("found")
	beats(1, 18)
	a.wants("found") // once more: it may not have been heard everywhere
	beats(1, 20)
	a.wants("found") // a beat was lost, and who knows what with it
	beats(2, 1)
	beats(2, 2)
	old.say([]byte{kindBye})
	a.wants("gone")
}

// TestNothingBehindGoodbye has a node say more in the same breath: whoever it tells of
// would never be gone.
func TestNothingBehindGoodbye(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	a := join(t, s, "a")
	other := newStranger(t, s)
	hello := appendBeat(nil, beat{name: "other", epoch: 1, number: 1})
	other.say(hello)
	a.knows(1)
	ghost := mustShare(Share{App: app, Channel: "room", Version: 1, Members: []Member{{Peer: "ghost"}}})
	other.say(slices.Concat([]byte{kindBye}, ghost, appendBeat(nil, beat{name: "other", epoch: 1, number: 2})))
	a.wants("gone")
	a.until("the rest is refused", func(s Stats) bool { return s.Refused["origin"] == 1 })
	a.knows(0)
	other.say(hello)
	a.knows(1)
	for range len(a.r.eventC) {
		if got := a.next(); strings.HasPrefix(got, "share") {
			t.Errorf("handed over: %s", got)
		}
	}
}

// TestNumberOutOfReach has somebody say something in a node's name under a number that it
// does not come to: it is heard again once it has been missed.
func TestNumberOutOfReach(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	c := config(s.ClientURL(), "a")
	c.times.gone = 500 * time.Millisecond
	a := start(t, c)
	b := join(t, s, "b")
	a.knows(1)
	b.knows(1)
	a.entersChannel("room")
	a.clear()
	text := payload(b.id, math.MaxUint64, appendUsageAsk(nil, false)...)
	if err := newStranger(t, s).conn.Publish(subjectAll, text); err != nil {
		t.Fatal(err)
	}
	a.after("gone")
	a.knows(1)
	if err := b.publishes("room", "bob", "hi"); err != nil {
		t.Fatal(err)
	}
	a.after(`message room bob "hi"`)
}

// payload makes what a node says.
func payload(from NodeID, seq uint64, records ...byte) []byte {
	p := make([]byte, maxHeader)
	return append(p[putHeader(p, from, seq):], records...)
}

// withSilent starts a node, one that counts so many sockets, and one that answers
// nothing before the test ends.
func withSilent(t *testing.T, change func(*times), sockets int) (a, silent *node) {
	t.Helper()
	c := config(natsServer(t, -1).ClientURL(), "a")
	change(&c.times)
	a, counting, silent := start(t, c), start(t, c), start(t, c)
	a.knows(2)
	counting.r.counting(sockets, nil)
	holdC := make(chan struct{})
	t.Cleanup(func() { close(holdC) })
	silent.r.counting(5, holdC)
	return a, silent
}

// untilCounted waits until others have counted sockets for something that the node asks.
func (n *node) untilCounted() {
	n.t.Helper()
	r := &n.rounds
	n.until("sockets are counted", func(Stats) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, ask := range r.asks {
			if ask.sockets > 0 {
				return true
			}
		}
		return false
	})
}

func TestRoundOutlivesADyingNode(t *testing.T) {
	t.Parallel()
	a, silent := withSilent(t, func(d *times) { d.gone, d.round = 500*time.Millisecond, time.Minute }, 2)
	counted, sum := a.sums()
	if err := a.Kick(app, "bob", counted); err != nil {
		t.Fatal(err)
	}
	silent.after("kick bob")
	a.untilCounted()
	silent.kill()
	if got := sum(); got != 2 {
		t.Errorf("counted %d, want what the living node counts, 2", got)
	}
}

func TestRoundEndsWithoutAllAnswers(t *testing.T) {
	t.Parallel()
	a, _ := withSilent(t, func(d *times) { d.round = time.Minute }, 2)
	counted, sum := a.sums()
	if err := a.Kick(app, "bob", counted); err != nil {
		t.Fatal(err)
	}
	a.untilCounted()
	a.losesPatience()
	if got := sum(); got != 2 {
		t.Errorf("counted %d, want 2", got)
	}
	a.until("it counts the timeout", func(s Stats) bool { return s.RoundTimeouts >= 1 })
}

// TestSendIsNotSure has a message to a peer whom those who answer do not have, while
// another does not answer, and while NATS is away: no answer is no.
func TestSendIsNotSure(t *testing.T) {
	t.Parallel()
	a, _ := withSilent(t, func(d *times) { d.round = 100 * time.Millisecond }, 0)
	counted, sum := a.sums()
	if err := a.Send(directTo("bob", "alice", "hi"), true, counted); err != nil {
		t.Fatal(err)
	}
	if got := sum(); got != Unknown {
		t.Errorf("one does not answer: got %d sockets, want %d", got, Unknown)
	}

	a.out.mu.Lock() // nothing is passed on before NATS is away
	ask := a.rounds.ask(&ask{finish: func(a *ask) { counted(a.socketsOrUnknown()) }, first: true})
	a.out.asks = append(a.out.asks, ask)
	a.out.standing.up = false
	a.out.wake()
	a.out.mu.Unlock()
	if got := sum(); got != Unknown {
		t.Errorf("without a link: got %d sockets, want %d", got, Unknown)
	}
}

func TestCutLinkHeals(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	port := portOf(s)
	c := config(s.ClientURL(), "a")
	c.times.round = time.Second // a mark is lost whose hearer is not back yet
	nodes := []*node{start(t, c), start(t, c)}
	a, b := nodes[0], nodes[1]
	a.knows(1)
	b.knows(1)
	a.entersChannel("room")
	b.entersChannel("room")
	stopNATS(s)
	for _, n := range nodes {
		n.until("its link is down", func(s Stats) bool { return !s.Linked })
		n.clear()
	}
	if err := a.publishes("room", "alice", "lost"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if err := a.Kick(app, "bob", func(int) { t.Error("called in spite of an error") }); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	a.entersChannel("late") // enters at once, and waits for nobody
	a.Tell(Step{App: app, Channel: "room", Version: 2, Member: Member{Peer: "alice"}})

	natsServer(t, port)
	a.after("resync")
	b.after("resync")
	a.knows(1)
	b.knows(1)
	b.until("messages go out", func(Stats) bool { return b.publishes("late", "bob", "hi") == nil })
	a.after(`message late bob "hi"`)
	if err := b.publishes("room", "bob", "hi"); err != nil {
		t.Fatal(err)
	}
	a.after(`message room bob "hi"`)
}

func TestJoinsWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	port, url := portOf(s), s.ClientURL()
	stopNATS(s)
	a := start(t, config(url, "a"))
	a.entersChannel("room")
	if err := a.publishes("room", "alice", "lost"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	s = natsServer(t, port)
	b := join(t, s, "b")
	a.after("resync")
	a.knows(1)
	b.knows(1)
	if err := b.publishes("room", "bob", "hi"); err != nil {
		t.Fatal(err)
	}
	a.after(`message room bob "hi"`)
}

func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	nodes := joinAll(t, natsServer(t, -1), "a", "b")
	a := nodes[0]
	// The writer cannot take anything while the outbox is locked.
	o := &a.out
	o.mu.Lock()
	record := make([]byte, maxOutbox/64)
	said := 0
	for ; said < 100 && o.open(len(record)); said++ {
		o.room(len(record))
		o.size += len(record)
	}
	if said < 60 || said > 64 {
		t.Errorf("%d of 64 were taken", said)
	}
	ok, err := o.listened(1 << 20)
	o.mu.Unlock()
	if !a.Behind() {
		t.Error("it is full, and not behind")
	}
	if ok || !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, %v, want ErrUnavailable", ok, err)
	}
	o.mu.Lock()
	o.size -= said * len(record)
	o.mu.Unlock()
	if a.Behind() {
		t.Error("nothing waits, and it is behind")
	}
	a.after("resync") // what was refused is told anew
}

func TestFormatsRefuseEachOther(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	old, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	stranger := []byte(`{"node":"old","id":"beef","format":99,"version":"v9","more":[1]}`)
	if _, err := old.Subscribe(subjectHello, func(m *nats.Msg) { _ = m.Respond(stranger) }); err != nil {
		t.Fatal(err)
	}
	if err := old.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	c := config(s.ClientURL(), "a")
	c.times.quiet, c.times.join = patience, patience
	_, err = Join(t.Context(), c)
	if want := "cluster: node old runs version v9, which speaks format 99; this one speaks format 1"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestRunningNodeIgnoresOtherFormats(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	var log lines
	c := config(s.ClientURL(), "a")
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a := start(t, c)
	old, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	answers, err := old.SubscribeSync("signalbox.hello.beef")
	if err != nil {
		t.Fatal(err)
	}
	stranger := []byte(`{"node":"old","id":"beef","format":99,"version":"v9"}`)
	for range 3 {
		if err := old.PublishRequest(subjectHello, "signalbox.hello.beef", stranger); err != nil {
			t.Fatal(err)
		}
		m, err := answers.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if h, err := parseHello(m.Data); err != nil || h.Node != "a" || h.Format != format {
			t.Errorf("answered %s", m.Data)
		}
	}
	other := payload(42, 1, kindBye)
	other[0] = 99
	if err := old.Publish(subjectAll, other); err != nil {
		t.Fatal(err)
	}
	a.until("it refuses the format", func(s Stats) bool { return s.Refused["format"] == 1 })
	if got := strings.Count(log.String(), "another format is ignored"); got != 1 {
		t.Errorf("said %d times in the log, want once", got)
	}
	a.knows(0)
}

func TestRefusedByNATS(t *testing.T) {
	t.Parallel()
	guarded := natsServerOf(t, server.Options{Port: -1, Username: "u", Password: "p"})
	small := natsServerOf(t, server.Options{Port: -1, MaxPayload: 1000})
	missing := config(guarded.ClientURL(), "a")
	missing.CredentialsFile = filepath.Join(t.TempDir(), "none.creds")
	wrong := config(strings.Replace(guarded.ClientURL(), "nats://", "nats://u:hunter2@", 1), "a")
	for _, tt := range []struct {
		name string
		c    Config
		want string
	}{
		{"no password", config(guarded.ClientURL(), "a"), "cluster: NATS refuses: nats: Authorization Violation"},
		{"wrong password", wrong, "cluster: NATS refuses: nats: Authorization Violation"},
		{"no such credentials", missing, "no such file"},
		{"small payloads", config(small.ClientURL(), "a"), "max_payload"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Join(t.Context(), tt.c)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestJoinEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := config(natsServer(t, -1).ClientURL(), "a")
	c.times.quiet, c.times.join = patience, patience
	if _, err := Join(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestStartAfterClose: a server may be told to end while it starts.
func TestStartAfterClose(t *testing.T) {
	t.Parallel()
	a := join(t, natsServer(t, -1), "a")
	a.Close()
	startedC := make(chan struct{})
	go func() {
		a.Start(a.r)
		close(startedC)
	}()
	a.wait(startedC, "Start to return")
}

func TestHostilePayloads(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	nodes := joinAll(t, s, "a", "b")
	a := nodes[0]
	a.entersChannel("room")
	a.clear()
	evil, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer evil.Close()
	frame := func(text string) []byte { return append([]byte{0x81, byte(len(text))}, text...) }
	publication := func(change func(*Publication)) []byte {
		p := message("room", "alice", "")
		p.Data = nil
		p.Frame = frame(`{"type":"message","channel":"room","from":"alice","data":1}`)
		change(&p)
		return appendPublication(nil, 0, p)
	}
	for _, tt := range []struct {
		name   string
		text   []byte
		reason string
	}{
		{"empty", nil, "malformed"},
		{"half a header", []byte{format, 1, 2}, "malformed"},
		{"no number", []byte{format, 1, 2, 3, 4, 5, 6, 7, 8}, "malformed"},
		{"its own id", payload(a.id, 1<<40, kindBye), "origin"},
		{"id 0", payload(0, 1, kindBye), "origin"},
		{"unknown kind", payload(7, 1, 200), "malformed"},
		{"cut", payload(7, 2, publication(func(*Publication) {})[:20]...), "malformed"},
		{"huge length", payload(7, 3, kindExit, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), "malformed"},
		{"endless number", payload(7, 4, kindMark, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "malformed"},
		{"huge share", payload(7, 5, kindShare, 0, 1, 'a', 1, 'r', 1, 0xff, 0xff, 0xff, 0x7f), "malformed"},
		{"no app", payload(7, 6, publication(func(p *Publication) { p.App = "" })...), "name"},
		{"app with a space", payload(7, 7, publication(func(p *Publication) { p.App = "a b" })...), "name"},
		{"glob", payload(7, 8, publication(func(p *Publication) { p.Channel = "r*" })...), "name"},
		{"no sender", payload(7, 9, publication(func(p *Publication) { p.From = "" })...), "name"},
		{"metadata no object", payload(7, 10, publication(func(p *Publication) { p.FromMetadata = []byte(`[]`) })...), "json"},
		{"metadata not whole", payload(7, 11, publication(func(p *Publication) { p.FromMetadata = []byte(`{"a":`) })...), "json"},
		{"metadata too large", payload(7, 12, publication(func(p *Publication) { p.FromMetadata = make([]byte, 5000) })...), "size"},
		{"no frame", payload(7, 13, publication(func(p *Publication) { p.Frame = nil })...), "frame"},
		{"two frames", payload(7, 14, publication(func(p *Publication) { p.Frame = append(p.Frame, p.Frame...) })...), "frame"},
		{"binary frame", payload(7, 15, publication(func(p *Publication) { p.Frame[0] = 0x82 })...), "frame"},
		{"masked frame", payload(7, 16, publication(func(p *Publication) { p.Frame[1] |= 0x80 })...), "frame"},
		{"frame of another channel", payload(7, 17, publication(func(p *Publication) { p.Channel = "other" })...), "frame"},
		{"frame of another sender", payload(7, 18, publication(func(p *Publication) { p.From = "mallory" })...), "frame"},
		{"data no JSON", payload(7, 19, publication(func(p *Publication) {
			p.Frame = frame(`{"type":"message","channel":"room","from":"alice","data":1,"x":2}`)
		})...), "json"},
		{"data not UTF-8", payload(7, 20, publication(func(p *Publication) {
			p.Frame = frame(`{"type":"message","channel":"room","from":"alice","data":"` + "\xff" + `"}`)
		})...), "json"},
		{"no data", payload(7, 21, publication(func(p *Publication) {
			p.Frame = frame(`{"type":"message","channel":"room","from":"alice","data":}`)
		})...), "json"},
		{"data too large", payload(7, 22, appendDirect(nil, 0, 0, Direct{App: app, To: "bob", From: "alice", Data: make([]byte, maxData+1)})...), "size"},
		{"direct to nobody", payload(7, 23, appendDirect(nil, 0, 0, Direct{App: app, From: "alice", Data: []byte("1")})...), "name"},
		{"step of a glob", payload(7, 24, appendStep(nil, Step{App: app, Channel: "*", Member: Member{Peer: "bob"}})...), "name"},
		{"step of nobody", payload(7, 25, appendStep(nil, Step{App: app, Channel: "room"})...), "name"},
		{"leave with metadata", payload(7, 26, appendStep(nil, Step{App: app, Channel: "room", Leaves: true, Member: Member{"bob", "{}"}})...), "json"},
		{"share of nobody", payload(7, 27, append(mustShare(Share{App: app, Channel: "room", Members: []Member{{}}}), 0)...), "malformed"},
		{"kick of nobody", payload(7, 28, appendKick(nil, 1, app, "")...), "name"},
		{"question of no app", payload(7, 29, appendPeers(nil, 1, "", "room")...), "name"},
		{"page of a long prefix", payload(7, 30, appendChannels(nil, 1, page{app: app, prefix: strings.Repeat("x", 300)})...), "name"},
		{"node with a bad name", payload(7, 31, appendBeat(nil, beat{name: "a\nb", epoch: 1, number: 1})...), "name"},
		{"beat 0", payload(7, 32, appendBeat(nil, beat{name: "x"})...), "name"},
		{"channel that is a glob", payload(7, 33, appendOccupied(nil, 1, []Occupied{{"*", 1}})...), "name"},
	} {
		before := a.Stats().Refused[tt.reason]
		if err := evil.Publish(subjectAll, tt.text); err != nil {
			t.Fatal(err)
		}
		a.until(tt.name+" is refused", func(s Stats) bool { return s.Refused[tt.reason] == before+1 })
	}
	for range len(a.r.eventC) {
		if got := a.next(); got != "found" && got != "settle" && got != "gone" {
			t.Errorf("handed over: %s", got)
		}
	}
	// What is refused takes nothing that is not with it.
	good := publication(func(*Publication) {})
	bad := publication(func(p *Publication) { p.From = "" })
	records := append(appendBeat(nil, beat{name: "new", epoch: 1, number: 1}), bad...)
	if err := evil.Publish(subjectAll, payload(8, 1, append(records, good...)...)); err != nil {
		t.Fatal(err)
	}
	a.after("message room alice 1")
	if err := evil.Publish(subjectHello, []byte(strings.Repeat("x", 5000))); err != nil {
		t.Fatal(err)
	}
	for _, id := range []NodeID{7, 8} { // nobody waits for their answers
		if err := evil.Publish(subjectAll, payload(id, 100, kindBye)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		n.knows(1)
	}
	nodes[1].fence() // and life goes on
}

// TestNonsenseIsNoNode has nonsense come from more ids than there may be nodes: no
// round waits for them, and there is room for those that come.
func TestNonsenseIsNoNode(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	a := joinAll(t, s, "a", "b")[0]
	evil, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer evil.Close()
	before := a.Stats().Refused["malformed"]
	for i := range uint64(2 * maxNodes) {
		text := payload(NodeID(1000+i), 1, kindMark, 1, 200)
		if i%2 == 0 {
			text = payload(NodeID(1000+i), 0)
		}
		if err := evil.Publish(subjectAll, text); err != nil {
			t.Fatal(err)
		}
	}
	a.until("all is refused", func(s Stats) bool { return s.Refused["malformed"] == before+2*maxNodes })
	a.rounds.mu.Lock()
	live := len(a.rounds.live)
	a.rounds.mu.Unlock()
	if live != 1 {
		t.Errorf("rounds wait for %d nodes, want 1", live)
	}
	join(t, s, "c")
	a.knows(2)
}

// TestEndedNodesTakeRoom has nodes come and go, more than there may be, within the time in
// which a node is missed: no more are met until it is over.
func TestEndedNodesTakeRoom(t *testing.T) {
	t.Parallel()
	b, err := newNATS(config("", "a"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	comesAndGoes := func(id NodeID) error {
		records := append(appendBeat(nil, beat{name: "other", epoch: 1, number: 1}), kindBye)
		return b.payload(payload(id, 1, records...), now)
	}
	for i := range NodeID(2 * maxNodes) {
		if err := comesAndGoes(1000 + i); (err != nil) != (i >= maxNodes) {
			t.Fatalf("node %d: got error %v", i, err)
		}
	}
	b.watch(now)
	now = now.Add(b.times.gone)
	b.watch(now)
	if err := comesAndGoes(1); err != nil {
		t.Errorf("once it is over: got error %v", err)
	}
	if got := len(b.members.ended); got != 1 {
		t.Errorf("%d have ended lately, want 1", got)
	}
}

// TestStallGivesNoCredit has a node stand still, and hear another as soon as it goes on:
// that one has no more time from then on than any.
func TestStallGivesNoCredit(t *testing.T) {
	t.Parallel()
	b, err := newNATS(config("", "a"))
	if err != nil {
		t.Fatal(err)
	}
	b.ticked = time.Now()
	now := b.ticked.Add(time.Minute)
	if err := b.payload(payload(7, 1, appendBeat(nil, beat{name: "other", epoch: 1, number: 1})...), now); err != nil {
		t.Fatal(err)
	}
	b.watch(now)
	for gone := now.Add(b.times.gone); now.Before(gone); {
		if len(b.members.origins) != 1 {
			t.Fatalf("it is gone %v early", gone.Sub(now))
		}
		now = now.Add(b.times.tick)
		b.watch(now)
	}
	b.watch(now.Add(b.times.tick))
	if len(b.members.origins) != 0 {
		t.Error("it is not gone")
	}
}

func mustShare(s Share) []byte {
	records, _ := appendShare(nil, s, false)
	return records
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	c := config(EmbeddedNATS, "a")
	c.Embedded = Embedded{Listen: "127.0.0.1:0", Secret: "open sesame, please"}
	a := start(t, c)
	c.Name, c.Embedded.Routes = "b", []string{a.RouteAddr().String()}
	b := start(t, c)
	c.Name, c.Embedded.Secret = "stranger", "the wrong secret"
	stranger := start(t, c)
	a.knows(1)
	b.knows(1)
	stranger.knows(0)
	b.entersChannel("room")
	b.clear()
	for i := range 10 {
		if err := a.publishes("room", "alice", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		b.wants(fmt.Sprintf(`message room alice "%d"`, i))
	}
	a.Close()
	b.knows(0)
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestNothingIsDroppedOnTheWay has a node stand still while far more comes than
// waits for it.
func TestNothingIsDroppedOnTheWay(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	c := config(s.ClientURL(), "a")
	c.times.gone = time.Hour // who says so much beats once only
	c.times.ping = time.Hour // nor are answers heard while it stands still, however slow the machine is
	a := start(t, c)
	a.entersChannel("room")
	many, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer many.Close()
	holdC := make(chan struct{})
	a.Start(&heldNode{recorder: a.r, holdC: holdC})
	say := func(seq uint64, records []byte) {
		t.Helper()
		if err := many.Publish(subjectAll, payload(42, seq, records...)); err != nil {
			t.Fatal(err)
		}
	}
	say(1, appendBeat(nil, beat{name: "many", epoch: 1, number: 1}))
	const messages = 3 * maxQueue
	for i := range messages {
		say(uint64(i+2), appendPublication(nil, 0, message("room", "alice", fmt.Sprint(i))))
	}
	if err := many.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	a.until("its queue fills", func(Stats) bool { return len(a.messageC) > maxQueue/2 })
	close(holdC)
	for i := range messages {
		a.after(fmt.Sprintf(`message room alice "%d"`, i))
	}
	if got := a.Stats(); got.Links != 1 || got.Resyncs != 0 {
		t.Errorf("the link came up %d times, with %d resyncs", got.Links, got.Resyncs)
	}
}

// TestBusyIsNotGone has a node's reader wait for its loops longer than a node is missed.
func TestBusyIsNotGone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		stuck time.Duration
		gone  bool
	}{
		{"busy", time.Minute, false},
		{"stuck", 300 * time.Millisecond, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := config(natsServer(t, -1).ClientURL(), "a")
			c.times.gone, c.times.stuck = 2*time.Second, tt.stuck
			a := start(t, c)
			c.Name = "b"
			b := start(t, c)
			holdC, heldC := make(chan struct{}), make(chan struct{})
			defer close(holdC)
			b.Start(&heldNode{recorder: b.r, holdC: holdC, heldC: heldC})
			b.entersChannel("room")
			a.knows(1)
			if err := a.publishes("room", "alice", "hi"); err != nil {
				t.Fatal(err)
			}
			b.wait(heldC, "its reader to wait")
			since := time.Now()
			a.until("it is gone, or has been heard", func(s Stats) bool {
				return len(s.Nodes) == 0 || s.Nodes[0].Heard.Sub(since) > 2*c.times.gone
			})
			if gone := len(a.Stats().Nodes) == 0; gone != tt.gone {
				t.Errorf("gone: got %v, want %v", gone, tt.gone)
			}
		})
	}
}

func TestDeniedIsLoggedOnce(t *testing.T) {
	t.Parallel()
	none := &server.SubjectPermission{Deny: []string{">"}}
	s := natsServerOf(t, server.Options{
		Port: -1, Users: []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{Publish: none}}},
	})
	var log lines
	c := config(strings.Replace(s.ClientURL(), "nats://", "nats://u:p@", 1), "a")
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	since := time.Now()
	a := start(t, c)
	a.after("resync") // what was denied is lost
	a.after("resync")
	text := log.String()
	most := 1 + int(time.Since(since)/complainEvery) // once, unless the machine stands still
	if got := strings.Count(text, "NATS reports an error"); got < 1 || got > most {
		t.Errorf("said %d times in the log, want at most %d:\n%s", got, most, text)
	}
}

// TestOverTheLimitOfSubscriptions has NATS deny a node to hear some peers: all else goes
// on.
func TestOverTheLimitOfSubscriptions(t *testing.T) {
	t.Parallel()
	s := natsServerOf(t, server.Options{Port: -1, MaxSubs: 10})
	var log lines
	c := config(s.ClientURL(), "a")
	c.times.gone = time.Hour
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a := start(t, c)
	c.Name, c.Logger = "b", slog.New(slog.DiscardHandler)
	b := start(t, c)
	a.knows(1)
	b.knows(1)
	b.entersChannel("room")
	for i := range 20 {
		a.EnterPeer(app, fmt.Sprint("peer", i))
	}
	a.until("the log says so", func(Stats) bool { return strings.Contains(log.String(), "max_subscriptions") })
	beats := func() time.Time { return b.Stats().Nodes[0].Heard }
	for range 3 {
		since := beats()
		b.until("another beat is heard", func(Stats) bool { return beats().After(since) })
		if err := a.publishes("room", "alice", "hi"); err != nil {
			t.Error(err)
		}
	}
	if got := a.Stats().Resyncs; got > 0 {
		t.Errorf("%d resyncs, which mend nothing", got)
	}
}

// TestRelinksOverTheLimit has such a node lose its link: whatever it asks for again, what
// all nodes hear is among what NATS grants, soon.
func TestRelinksOverTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 10
	s := natsServerOf(t, server.Options{Port: -1, MaxSubs: limit})
	c := config(s.ClientURL(), "a")
	c.times.gone, c.times.fence, c.times.measure = 500*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
	a := start(t, c)
	c.Name = "b"
	b := start(t, c)
	a.knows(1)
	b.knows(1)
	asks := func(n int) func(Stats) bool {
		return func(Stats) bool { return a.conn.NumSubscriptions() == n }
	}
	const peers = 20
	for i := range peers {
		a.EnterPeer(app, fmt.Sprint("peer", i))
	}
	for link := range 10 {
		a.until("it asks for no more than is granted", asks(limit))
		a.clear()
		a.relinks() // perhaps before all has been denied that was tried again
		a.after("resync")
		b.until("a answers", func(Stats) bool {
			enteredC := make(chan bool, 1)
			b.EnterChannel(Share{App: app, Channel: fmt.Sprint("room", link)}, func(all bool) { enteredC <- all })
			return <-enteredC && len(b.Stats().Nodes) == 1
		})
		a.until("a knows b, and says messages", func(s Stats) bool {
			return len(s.Nodes) == 1 && a.publishes("room", "alice", "hi") == nil
		})
	}
	a.until("it asks for no more than is granted", asks(limit)) // nor is it to be denied more
	// With the next link, those who have left have made room for others that were denied.
	const stays = 17
	for i := range peers {
		if i != stays {
			a.ExitPeer(app, fmt.Sprint("peer", i))
		}
	}
	own := len(a.subjects())
	a.until("the others have ended", func(Stats) bool { return a.conn.NumSubscriptions() <= own+1 })
	a.clear()
	a.relinks()
	a.after("resync")
	a.until("all is asked for, and granted", func(s Stats) bool {
		return asks(own+1)(s) && a.conn.FlushTimeout(patience) == nil
	})
	b.until("messages go out", func(Stats) bool {
		return b.Send(directTo(fmt.Sprint("peer", stays), "bob", "hi"), false, nil) == nil
	})
	a.after(`direct peer17 bob "hi"`)
}

// deafOf are two users, of whom one may not hear these subjects.
func deafOf(subjects ...string) []*server.User {
	deaf := &server.Permissions{Subscribe: &server.SubjectPermission{Deny: subjects}}
	return []*server.User{{Username: "hears", Password: "p"}, {Username: "deaf", Password: "p", Permissions: deaf}}
}

func urlOf(s *server.Server, user string) string {
	return strings.Replace(s.ClientURL(), "nats://", "nats://"+user+":p@", 1)
}

func TestDeafNodeDoesNotJoin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		o    server.Options
	}{
		{"all", server.Options{Users: deafOf(subjectAll)}},
		{"its own", server.Options{Users: deafOf("signalbox.n.*")}},
		{"the account's limit", server.Options{Users: deafOf(), MaxSubs: 3}},
	} {
		tt.o.Port = -1
		s := natsServerOf(t, tt.o)
		if _, err := Join(t.Context(), config(urlOf(s, "deaf"), "a")); err == nil || !strings.HasPrefix(err.Error(), "cluster: NATS refuses: ") {
			t.Errorf("%s: got error %v, want that NATS refuses", tt.name, err)
		}
	}
}

// TestDeafenedNodeLeaves takes a node's permission to hear from it while it runs: it
// leaves the others, which would wait for its answers, and is back when it may hear.
func TestDeafenedNodeLeaves(t *testing.T) {
	t.Parallel()
	o := server.Options{Port: -1, Users: deafOf()}
	s := natsServerOf(t, o)
	c := config(urlOf(s, "hears"), "a")
	c.times.gone, c.times.fence, c.times.measure = time.Minute, time.Minute, 100*time.Millisecond
	a := start(t, c)
	var log lines
	c.URLs, c.Name, c.Logger = urlOf(s, "deaf"), "deaf", slog.New(slog.NewTextHandler(&log, nil))
	deaf := start(t, c)
	a.knows(1)
	deaf.knows(1)
	reload := func(users []*server.User) {
		t.Helper()
		changed := o
		changed.Host, changed.NoSigs, changed.NoLog, changed.NoSystemAccount, changed.Users = "127.0.0.1", true, true, true, users
		if err := s.ReloadOptions(&changed); err != nil {
			t.Fatal(err)
		}
	}
	reload(deafOf(subjectAll))
	a.knows(0)
	deaf.until("nothing goes out", func(s Stats) bool {
		return !s.Linked && errors.Is(deaf.publishes("room", "alice", "hi"), ErrUnavailable)
	})
	a.entersChannel("room") // waits for nobody
	a.clear()
	tries := deaf.conn.Stats().Reconnects
	deaf.until("it has tried again", func(Stats) bool { return deaf.conn.Stats().Reconnects >= tries+3 })
	for range len(a.r.eventC) {
		if got := a.next(); got == "gone" {
			t.Error("it was there again, and gone")
		}
	}
	if !strings.Contains(log.String(), "does not let this node hear") {
		t.Errorf("the log does not say why:\n%s", log.String())
	}
	reload(deafOf())
	a.knows(1)
	deaf.until("messages go out", func(Stats) bool { return deaf.publishes("room", "alice", "hi") == nil })
}

// TestMuteNodeIsNamed has a node that beats answer nothing.
func TestMuteNodeIsNamed(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	var log lines
	c := config(s.ClientURL(), "a")
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c.times.gone, c.times.fence = time.Minute, 10*time.Millisecond
	a := start(t, c)
	newStranger(t, s).say(appendBeat(nil, beat{name: "mute", epoch: 1, number: 1}))
	a.knows(1)
	const named = "a node does not answer"
	for i := range 2*blameAfter - 1 {
		if got := strings.Count(log.String(), named); got > 0 && i < blameAfter {
			t.Errorf("said %d times in the log after %d tries", got, i)
		}
		a.entersChannel("room")
	}
	a.until("the log names it", func(Stats) bool { return strings.Contains(log.String(), "node=mute id=2a times=") })
	if got := strings.Count(log.String(), named); got != 1 {
		t.Errorf("said %d times in the log, want once:\n%s", got, log.String())
	}
}

// heldNode is a Node that stands still with the first message until holdC is closed.
type heldNode struct {
	*recorder
	holdC chan struct{}
	heldC chan struct{} // unless nil, closed when it stands still
}

func (n *heldNode) Publish(p Publication, counted func(int)) {
	if n.heldC != nil {
		close(n.heldC)
		n.heldC = nil
	}
	<-n.holdC
	n.recorder.Publish(p, counted)
}
