package cluster

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/nats-io/nats-server/v2/server"
)

// TestEstrangedNodesAnswer has two nodes keep each other's messages, and each count
// those of the other: neither waits for the other to count first.
func TestEstrangedNodesAnswer(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	port := portOf(s)
	c := config(s.ClientURL(), "a")
	c.times.round, c.times.fence, c.times.gone = patience, patience, time.Hour
	stopNATS(s)
	tellC := make(chan struct{})
	var nodes []*node
	for range 2 { // each meets the other in the middle of its life
		n := start(t, c)
		n.r.mu.Lock()
		n.r.sockets, n.r.tellC = 1, tellC
		n.r.mu.Unlock()
		n.r.finds.Store(true)
		n.entersChannel("room")
		nodes = append(nodes, n)
	}
	natsServer(t, port)
	for _, n := range nodes {
		n.knows(1)
		n.after("found")
		n.until("messages go out", func(Stats) bool { return n.publishes("other", "alice", "hi") == nil })
		n.EnterPeer(app, "bob")
		n.fence()
	}
	var sums []func() int
	for i, n := range nodes {
		other := nodes[1-i]
		counted, sum := n.sums()
		if err := n.Send(directTo("bob", "alice", "hi"), true, counted); err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sum)
		// Behind the message, which is kept by now.
		n.Tell(Step{App: app, Channel: "room", Version: 2, Member: Member{Peer: "alice"}})
		other.after("step room 2 +alice")
	}
	close(tellC)
	for i, sum := range sums {
		if got := sum(); got != 1 {
			t.Errorf("node %d counted %d sockets, want 1", i, got)
		}
	}
}

// TestCountedLateIsCounted has a node take its time to count a message to a peer, until
// it is asked for again, and something else is asked between the two.
func TestCountedLateIsCounted(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	c := config(s.ClientURL(), "a")
	c.times.patience = patience // or until the test has it lost
	a, b := start(t, c), start(t, c)
	a.knows(1)
	b.knows(1)
	b.EnterPeer(app, "bob")
	b.fence()
	holdC := make(chan struct{})
	b.r.counting(1, holdC)
	counted, sum := a.sums()
	if err := a.Send(directTo("bob", "alice", "hi"), true, counted); err != nil {
		t.Fatal(err)
	}
	if err := a.Peers(app, "room", func([]Member) {}); err != nil {
		t.Fatal(err)
	}
	a.until("it asks something else", func(s Stats) bool { return s.Rounds >= 1 })
	a.rounds.mu.Lock()
	for _, ask := range a.rounds.asks {
		if ask.first {
			ask.timer.Reset(0)
		}
	}
	a.rounds.mu.Unlock()
	a.until("it asks again", func(s Stats) bool { return s.Rounds >= 2 })
	a.entersChannel("room") // what waits for nothing is over by then
	close(holdC)
	if got := sum(); got != 1 {
		t.Errorf("counted %d sockets, want 1", got)
	}
}

// TestAnswersComeBeforeQuestions has somebody answer what is yet to be asked: numbers are
// easily guessed.
func TestAnswersComeBeforeQuestions(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	a := joinAll(t, s, "a", "b")[0]
	stopC := make(chan struct{})
	var guesses sync.WaitGroup
	guesses.Go(func() {
		for {
			select {
			case <-stopC:
				return
			default:
				a.rounds.mu.Lock()
				next := a.rounds.last
				a.rounds.mu.Unlock()
				a.rounds.count(next, 0)
				runtime.Gosched() // there may be only this core
			}
		}
	})
	counted, sum := a.sums()
	for range 50 {
		if err := a.Send(directTo("bob", "alice", "hi"), true, counted); err != nil {
			t.Fatal(err)
		}
		sum()
	}
	close(stopC)
	guesses.Wait()
}

// TestAnsweredOrRefused has somebody answer a question that then cannot be put: whoever
// asks gets an answer or an error, not both.
func TestAnsweredOrRefused(t *testing.T) {
	t.Parallel()
	b, err := newNATS(config("", "a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		sockets int
		want    string
	}{
		{"nobody answers", 0, fmt.Sprint([]int{}, ErrUnavailable)},
		{"somebody answers", 1, fmt.Sprint([]int{1}, nil)},
	} {
		var answers []int
		errC := make(chan error)
		b.out.mu.Lock() // the question is numbered, and waits
		go func() {
			errC <- b.Send(directTo("bob", "alice", "hi"), true, func(n int) { answers = append(answers, n) })
		}()
		var id uint64
		for id == 0 {
			runtime.Gosched()
			b.rounds.mu.Lock()
			for n := range b.rounds.asks {
				id = n
			}
			b.rounds.mu.Unlock()
		}
		if tt.sockets > 0 {
			b.rounds.count(id, tt.sockets)
		}
		b.out.mu.Unlock()
		err := <-errC
		if got := fmt.Sprint(answers, err); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestSaidAgainIsHeardOnce: however long a node takes until it reads what was said again,
// it is the same message.
func TestSaidAgainIsHeardOnce(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	c := config(s.ClientURL(), "a")
	c.times.gone, c.times.patience = time.Minute, time.Millisecond
	a := start(t, c)
	other := newStranger(t, s)
	other.say(appendBeat(nil, beat{name: "other", epoch: 1, number: 1}))
	say := func(ask uint64) {
		other.say(appendDirect(nil, ask, flagOnce, directTo("bob", "alice", fmt.Sprint(ask))))
	}
	say(1)
	a.after(`direct bob alice "1"`)
	turns := a.turns.Load()
	a.until("time has passed", func(Stats) bool { return a.turns.Load() > turns+20 })
	say(1)
	say(2)
	a.wants(`direct bob alice "2"`)
}

func TestRepeatsAreBounded(t *testing.T) {
	t.Parallel()
	var r repeats
	const last = 5 * maxRepeats / 2
	for ask := uint64(1); ask <= last; ask++ {
		if r.heard(ask) {
			t.Fatalf("%d has been heard before", ask)
		}
	}
	for ask := uint64(last - maxRepeats); ask <= last; ask++ {
		if !r.heard(ask) {
			t.Fatalf("%d has not been heard", ask)
		}
	}
	if got := len(r.recent) + len(r.older); got > 2*maxRepeats {
		t.Errorf("%d are remembered", got)
	}
}

// entries are what is acknowledged once all nodes have heard of it.
var entries = []struct {
	name  string
	enter func(a *node, entered func(all bool))
}{
	{"a channel", func(a *node, entered func(bool)) { a.EnterChannel(Share{App: app, Channel: "room"}, entered) }},
	{"a pattern", func(a *node, entered func(bool)) { a.EnterPattern(app, "room/*", entered) }},
}

// TestEnteredIsSure has a node say that it is there, and then nothing of its share.
func TestEnteredIsSure(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		times func(*times)
		then  func(a *node, say func(records []byte), stop func())
		want  bool
	}{
		{"no answer", func(c *times) { c.fence = 100 * time.Millisecond }, nil, false},
		{"it has missed something", nil, func(_ *node, say func([]byte), _ func()) {
			say(appendBeat(nil, beat{name: "mute", epoch: 1, number: 3}))
		}, false},
		{"its link was down", nil, func(_ *node, say func([]byte), _ func()) {
			say(appendBeat(nil, beat{name: "mute", epoch: 2, number: 1}))
		}, false},
		{"its link was down, it has missed something", nil, func(_ *node, say func([]byte), _ func()) {
			say(appendBeat(nil, beat{name: "mute", epoch: 2, number: 2}))
		}, false},
		{"the link was down", nil, func(a *node, _ func([]byte), _ func()) { a.relinks() }, false},
		{"it ends", nil, func(_ *node, say func([]byte), _ func()) { say([]byte{kindBye}) }, true},
		{"it is silent", func(c *times) { c.gone = 2 * time.Second }, nil, true},
		{"the link is down, it goes", func(c *times) { c.gone = 2 * time.Second }, func(_ *node, _ func([]byte), stop func()) { stop() }, true},
	} {
		for _, entry := range entries {
			t.Run(tt.name+"/"+entry.name, func(t *testing.T) {
				t.Parallel()
				s := natsServer(t, -1)
				c := config(s.ClientURL(), "a")
				c.times.gone, c.times.fence = time.Minute, time.Minute
				if tt.times != nil {
					tt.times(&c.times)
				}
				a := start(t, c)
				say := newStranger(t, s).say
				say(appendBeat(nil, beat{name: "mute", epoch: 1, number: 1}))
				a.knows(1)
				rounds := a.Stats().Rounds
				enteredC := make(chan bool, 1)
				entry.enter(a, func(all bool) { enteredC <- all })
				a.until("it waits", func(s Stats) bool { return s.Rounds > rounds })
				if tt.then != nil {
					tt.then(a, say, func() { stopNATS(s) })
				}
				select {
				case all := <-enteredC:
					if all != tt.want {
						t.Errorf("all: got %v, want %v", all, tt.want)
					}
				case <-time.After(patience):
					t.Error("it waits for ever")
				}
			})
		}
	}
}

// TestSettledOnceHeard has a node's link come back while another one, which lives,
// does not say that it hears: it might lack the peers whose messages would come.
func TestSettledOnceHeard(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	c := config(s.ClientURL(), "a")
	c.times.gone, c.times.fence = time.Minute, time.Minute
	a := start(t, c)
	mute := newStranger(t, s)
	mute.say(appendBeat(nil, beat{name: "mute", epoch: 1, number: 1}))
	a.knows(1)
	a.relinks()
	a.hearsAgain()
	a.until("its fence is out", func(s Stats) bool { return s.Rounds >= 1 })
	if err := a.publishes("room", "alice", "hi"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	mute.say(appendBeat(nil, beat{name: "mute", epoch: 2, number: 1}))
	a.until("messages go out", func(Stats) bool { return a.publishes("room", "alice", "hi") == nil })
}

// lateBeat is a time between beats within which a test looks at a link that is just there.
const lateBeat = 2 * time.Second

// TestAloneUntilOthersAreHeard has the link of a node come back that knows no other any
// more: until one that is there can have been heard, messages are not said to nobody, and
// nothing is entered.
func TestAloneUntilOthersAreHeard(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	c := config(s.ClientURL(), "a")
	c.times.beat = lateBeat
	a := start(t, c)
	enters := func() bool {
		enteredC := make(chan bool, 1)
		a.EnterChannel(Share{App: app, Channel: "room"}, func(all bool) { enteredC <- all })
		return <-enteredC
	}
	if err := a.publishes("room", "alice", "hi"); err != nil || !enters() {
		t.Errorf("alone from the first: got %v", err)
	}
	cut := time.Now()
	a.relinks()
	a.until("its link is back", func(s Stats) bool { return s.Links == 2 })
	if err := a.publishes("room", "alice", "hi"); !errors.Is(err, ErrUnavailable) && time.Since(cut) < lateBeat {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if enters() && time.Since(cut) < lateBeat {
		t.Error("it has entered, whoever is there")
	}
	a.until("messages go out", func(Stats) bool { return a.publishes("room", "alice", "hi") == nil })
	if !enters() {
		t.Error("it has not entered")
	}
}

// TestLateUntilOthersAreHeard is the same of a node whose first link is late.
func TestLateUntilOthersAreHeard(t *testing.T) {
	t.Parallel()
	s := natsServer(t, -1)
	port := portOf(s)
	c := config(s.ClientURL(), "a")
	c.times.beat = lateBeat
	stopNATS(s)
	a := start(t, c)
	down := time.Now()
	natsServer(t, port)
	a.until("its link is there", func(s Stats) bool { return s.Links == 1 })
	if err := a.publishes("room", "alice", "hi"); !errors.Is(err, ErrUnavailable) && time.Since(down) < lateBeat {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	a.until("messages go out", func(Stats) bool { return a.publishes("room", "alice", "hi") == nil })
}

// startPatient starts a node with a subscriber of the channel room, which waits for others
// longer than a test takes, and returns its server and its configuration, too.
func startPatient(t *testing.T) (*server.Server, Config, *node) {
	t.Helper()
	s := natsServer(t, -1)
	c := config(s.ClientURL(), "a")
	c.times.gone, c.times.fence = time.Minute, time.Minute
	a := start(t, c)
	a.entersChannel("room")
	return s, c, a
}

// TestKeptForItsOwnSake has a node's link come back while another one does not answer:
// what a third one says, which does, is not kept until then.
func TestKeptForItsOwnSake(t *testing.T) {
	t.Parallel()
	s, c, a := startPatient(t)
	c.Name = "b"
	b := start(t, c)
	newStranger(t, s).say(appendBeat(nil, beat{name: "mute", epoch: 1, number: 1}))
	a.knows(2)
	b.knows(2)
	a.relinks()
	a.hearsAgain()
	a.until("its fence is out", func(s Stats) bool { return s.Rounds >= 1 })
	if err := b.publishes("room", "bob", "hi"); err != nil {
		t.Fatal(err)
	}
	a.after(`message room bob "hi"`)
}

// TestKeptFromTheFirst has a message come over a new connection before anybody has said
// that it is new: it is kept until all shares have been exchanged.
func TestKeptFromTheFirst(t *testing.T) {
	t.Parallel()
	s, _, a := startPatient(t)
	other := newStranger(t, s)
	other.say(appendBeat(nil, beat{name: "other", epoch: 1, number: 1}))
	a.knows(1)
	a.socket.anew.Store(true)
	other.say(appendPublication(nil, 0, message("room", "bob", "hi")))
	other.say(appendStep(nil, Step{App: app, Channel: "room", Version: 2, Member: Member{Peer: "bob"}}))
	a.wants("step room 2 +bob")
	a.relinks()
	a.hearsAgain()
	a.until("its fence is out", func(s Stats) bool { return s.Rounds >= 1 })
	other.say(appendBeat(nil, beat{name: "other", epoch: 2, number: 1}))
	a.after(`message room bob "hi"`)
}

// TestKeptAlone has messages be kept of a node that is estranged: all that they take is
// reckoned with, and nothing else is on the heap for them.
func TestKeptAlone(t *testing.T) {
	t.Parallel()
	b, err := newNATS(config("", "a"))
	if err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	hear := func(text []byte) {
		t.Helper()
		if err := b.payload(text, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	say := func(records ...byte) []byte {
		seq++
		return payload(strangeID, seq, records...)
	}
	hear(say(appendBeat(nil, beat{name: "other", epoch: 1, number: 17})...))
	o := b.members.origins[strangeID]

	for i, record := range [][]byte{
		appendPublication(nil, 0, message("room", "alice", "hi")),
		appendDirect(nil, 0, 0, directTo("bob", "alice", "hi")),
	} {
		text := say(append(record, appendExit(nil, app, strings.Repeat("x", 200))...)...)
		whole := weak.Make(&text[0])
		hear(text)
		text = nil
		runtime.GC()
		if whole.Value() != nil || len(o.kept) != i+1 {
			t.Errorf("%d: %d messages are kept, and all that they came with", i, len(o.kept))
		}
	}

	d := directTo("bob", "alice", "hi")
	d.FromMetadata = []byte(`{"a":"` + strings.Repeat("x", maxMetadata-8) + `"}`)
	for range 2 * maxKept / maxMetadata {
		hear(say(appendDirect(nil, 0, 0, d)...))
	}
	if got := len(o.kept); got > maxKept/maxMetadata+2 {
		t.Errorf("%d messages with %d bytes of metadata are kept", got, maxMetadata)
	}
}

// TestKeptUntilAsked has an exchange end before the other node could be asked, for want of
// room: its messages are kept until it has answered another one.
func TestKeptUntilAsked(t *testing.T) {
	t.Parallel()
	b, err := newNATS(config("", "a"))
	if err != nil {
		t.Fatal(err)
	}
	b.out.connected(true)
	b.out.begin(b.newBeat())
	seq := uint64(0)
	say := func(records []byte) {
		t.Helper()
		seq++
		if err := b.payload(payload(strangeID, seq, records...), time.Now()); err != nil {
			t.Fatal(err)
		}
		b.reconcile()
	}
	say(appendBeat(nil, beat{name: "other", epoch: 1, number: 1}))
	room := b.out.size
	b.out.size = maxOutbox + 1
	say(appendBeat(nil, beat{name: "other", epoch: 1, number: 3}))
	b.out.size = room
	say(appendPublication(nil, 0, message("room", "bob", "hi")))
	o := b.members.origins[strangeID]
	if got := len(o.kept); got != 1 {
		t.Fatalf("%d messages are kept, want 1", got)
	}
	if got := len(b.rounds.asks); got != 0 {
		t.Errorf("it is asked %d times before all is told anew", got)
	}
	b.resync()
	round, ok := b.rounds.start(b.out.asks)
	if !ok || len(o.kept) != 1 {
		t.Fatalf("%d messages are kept until it answers, want 1", len(o.kept))
	}
	say(appendDone(nil, round))
	if got := len(o.kept); got != 0 {
		t.Errorf("%d messages are still kept", got)
	}
	b.rounds.close()
}

// TestExchangesAreBounded has nodes be found, more than all shares can be told to, by what
// anybody can say: there are no more exchanges than are told at once, and one for each
// node that is there then.
func TestExchangesAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		says func(i uint64) []byte
	}{
		{"a node that is missed something of", func(i uint64) []byte {
			return payload(strangeID, i, appendBeat(nil, beat{name: "other", epoch: 1, number: 2*i - 1})...)
		}},
		{"nodes that come and go", func(i uint64) []byte {
			if i%2 == 0 {
				return payload(strangeID+NodeID(i), 2, kindBye)
			}
			return payload(strangeID+NodeID(i+1), 1, appendBeat(nil, beat{name: "other", epoch: 1, number: 17})...)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _, a := startPatient(t)
			tellC := make(chan struct{})
			a.r.mu.Lock()
			a.r.tellC = tellC
			a.r.mu.Unlock()
			a.r.finds.Store(true)
			other := newStranger(t, s)
			for other.said < 4*maxTelling {
				other.said++
				if err := other.conn.Publish(subjectAll, tt.says(other.said)); err != nil {
					t.Fatal(err)
				}
			}
			found := func() (n int) {
				other.say(appendKick(nil, 0, app, "bob"))
				for e := a.next(); e != "kick bob"; e = a.next() {
					if e == "found" {
						n++
					}
				}
				return n
			}
			if got := found(); got != maxTelling {
				t.Errorf("%d are told, want %d", got, maxTelling)
			}
			close(tellC)
			a.after("found")
			if got := found(); got != 0 {
				t.Errorf("%d more are told than are there", got)
			}
		})
	}
}

func TestClones(t *testing.T) {
	t.Parallel()
	p := message("room", "alice", "hi")
	p.FromMetadata = []byte("{}")
	if got := p.clone(); !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, want %+v", got, p)
	}
	d := directTo("bob", "alice", "hi")
	if got := d.clone(); !reflect.DeepEqual(got, d) {
		t.Errorf("got %+v, want %+v", got, d)
	}
}

// TestFirstAnswerIsLost has a node be met in the middle of its life, and its first answer
// get lost, as where servers of NATS have just found each other: what it says is kept until
// it has answered anew, and no longer.
func TestFirstAnswerIsLost(t *testing.T) {
	t.Parallel()
	s, _, a := startPatient(t)
	other := newStranger(t, s)
	all, err := other.conn.SubscribeSync(subjectAll)
	if err != nil {
		t.Fatal(err)
	}
	fence := func() (round uint64) {
		t.Helper()
		for {
			m, err := all.NextMsg(patience)
			if err != nil {
				t.Fatal(err)
			}
			c := cursor{rest: m.Data}
			if id, _, err := c.header(); err == nil && id == a.id && c.byte() == kindFence {
				return c.number()
			}
		}
	}
	other.say(appendBeat(nil, beat{name: "other", epoch: 1, number: 17}))
	fence()
	other.say(appendBeat(nil, beat{name: "other", epoch: 1, number: 18}))
	other.say(appendDone(nil, fence()))
	other.say(appendPublication(nil, 0, message("room", "bob", "hi")))
	a.after(`message room bob "hi"`)
}

func TestStanding(t *testing.T) {
	t.Parallel()
	const linked, broken, begins, lost, tells, settled = "linked", "broken", "begins", "lost", "tells", "settled"
	for _, tt := range []struct {
		name  string
		steps []string // after ! it does not; told N is toldAll(N)
	}{
		{"a link that nothing was said before", []string{"!" + begins, linked, "!" + settled, begins, "!" + begins, "!" + tells, settled}},
		{"it breaks and comes back", []string{linked, begins, broken, linked, "!" + settled, begins, "!" + settled, tells, "!" + settled, "told 1", settled}},
		{"it breaks before it begins", []string{linked, broken, "!" + begins, "!" + settled, linked, begins}},
		{"something is lost while it is told", []string{linked, begins, lost, tells, lost, "told 1", "!" + settled, tells, "told 2", settled}},
		{"told twice at once", []string{linked, begins, lost, tells, lost, tells, "told 1", "!" + settled, "told 2", settled}},
		{"told twice at once, the later first", []string{linked, begins, lost, tells, lost, tells, "told 2", settled, "told 1", settled}},
	} {
		var s standing
		for i, step := range tt.steps {
			does, want := true, step[0] != '!'
			switch step = strings.TrimPrefix(step, "!"); step {
			case linked, broken:
				s.connected(step == linked)
			case begins:
				does = s.begin()
			case lost:
				s.lost = true
			case tells:
				does = s.tell() > 0
			case settled:
				does = s.settled()
			default:
				s.toldAll(uint64(step[len(step)-1] - '0'))
			}
			if does != want {
				t.Errorf("%s: step %d, %s: got %v, want %v", tt.name, i, tt.steps[i], does, want)
			}
		}
	}
}

// TestBeatBeforeTheLink has a beat be due before the link is seen to be there: nothing is
// lost with it, and a node that has just come says messages.
func TestBeatBeforeTheLink(t *testing.T) {
	t.Parallel()
	b := discard()
	b.out.connected(true)
	b.sayBeat()
	b.out.begin(b.newBeat())
	if err := b.Publish(message("room", "alice", "hi"), nil); err != nil {
		t.Errorf("got %v", err)
	}
}

// TestEnteredWithoutALink has something entered while nodes that have not gone cannot
// be asked.
func TestEnteredWithoutALink(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		gone   time.Duration
		others int
	}{
		{"they are believed to live", time.Hour, 1},
		{"they are gone", 300 * time.Millisecond, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := natsServer(t, -1)
			c := config(s.ClientURL(), "a")
			c.times.gone = tt.gone
			a := start(t, c)
			c.Name = "b"
			start(t, c)
			a.knows(1)
			stopNATS(s)
			a.until("its link is down", func(s Stats) bool { return !s.Linked })
			a.knows(tt.others)
			for _, entry := range entries {
				enteredC := make(chan bool, 1)
				entry.enter(a, func(all bool) { enteredC <- all })
				if all, want := <-enteredC, tt.others == 0; all != want {
					t.Errorf("%s: all: got %v, want %v", entry.name, all, want)
				}
			}
		})
	}
}
