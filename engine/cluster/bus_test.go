package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMessagesComeInOrder(t *testing.T) {
	t.Parallel()
	nodes := joinAll(t, natsServer(t, -1), "a", "b", "c")
	a, b, c := nodes[0], nodes[1], nodes[2]
	b.entersChannel("x/1")
	b.entersChannel("x/2")
	b.EnterPeer(app, "bob")
	b.fence()
	for _, n := range nodes {
		n.clear()
	}

	const messages = 300
	for i := range messages {
		text := fmt.Sprint(i)
		var err error
		switch i % 3 {
		case 0:
			err = a.publishes("x/1", "alice", text)
		case 1:
			err = a.publishes("x/2", "alice", text)
		default:
			err = a.Send(directTo("bob", "alice", text), false, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range messages {
		switch i % 3 {
		case 0:
			b.wants(fmt.Sprintf(`message x/1 alice "%d"`, i))
		case 1:
			b.wants(fmt.Sprintf(`message x/2 alice "%d"`, i))
		default:
			b.wants(fmt.Sprintf(`direct bob alice "%d"`, i))
		}
	}
	a.fence()
	c.clear()
	if got := len(c.r.eventC); got != 0 {
		t.Errorf("a node that hears nothing of it got %d events", got)
	}
}

func TestMetadataAndFrameCross(t *testing.T) {
	t.Parallel()
	nodes := joinAll(t, natsServer(t, -1), "a", "b")
	nodes[1].entersChannel(`quo"te/é`)
	nodes[1].clear()
	p := message(`quo"te/é`, `al"ice`, "hi")
	p.FromMetadata = []byte(`{"n":1}`)
	if err := nodes[0].Publish(p, nil); err != nil {
		t.Fatal(err)
	}
	nodes[1].wants(`message quo"te/é al"ice "hi"{"n":1}`)
}

func TestOverlappingSubscriptionsHearOnce(t *testing.T) {
	t.Parallel()
	nodes := joinAll(t, natsServer(t, -1), "a", "b")
	a, b := nodes[0], nodes[1]
	b.entersChannel("room/1")
	b.entersPattern("room/*")
	b.entersPattern("room/**")
	b.entersPattern("**")
	b.clear()
	for i := range 3 {
		if err := a.publishes("room/1", "alice", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		a.fence() // each in a message of its own
		b.wants(fmt.Sprintf(`message room/1 alice "%d"`, i))
	}
	if got := len(b.r.eventC); got != 0 {
		t.Errorf("%d events more, first %q", got, b.next())
	}
	if got := b.Stats().Repeated; got == 0 {
		t.Error("nothing came twice: the test tests nothing")
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	nodes := joinAll(t, natsServer(t, -1), "a", "b", "c", "d")
	a, b, c := nodes[0], nodes[1], nodes[2]
	for _, n := range []*node{b, c} {
		n.entersChannel("room")
		n.EnterPeer(app, "bob")
		n.fence()
	}
	holdC := make(chan struct{})
	b.r.counting(3, nil)
	c.r.counting(4, holdC)

	for _, tt := range []struct {
		name string
		ask  func(counted func(int)) error
		want int
	}{
		{"publish", func(f func(int)) error { return a.Publish(message("room", "alice", "hi"), f) }, 7},
		{"publish where nobody is", func(f func(int)) error { return a.Publish(message("empty", "alice", "hi"), f) }, 0},
		{"send to all sockets", func(f func(int)) error { return a.Send(directTo("bob", "alice", "hi"), false, f) }, 7},
		{"kick", func(f func(int)) error { return a.Kick(app, "bob", f) }, 7},
	} {
		counted, sum := a.sums()
		if err := tt.ask(counted); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if holdC != nil { // the sum waits for those who count late
			c.after(`message room alice "hi"`)
			close(holdC)
			holdC = nil
		}
		if got := sum(); got != tt.want {
			t.Errorf("%s: counted %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestSendToOneSocket(t *testing.T) {
	t.Parallel()
	config := config(natsServer(t, -1).ClientURL(), "")
	config.times.patience = patience // or until the test has it lost
	nodes := joinAllOf(t, config, "a", "b", "c")
	a, b, c := nodes[0], nodes[1], nodes[2]
	send := func(to string) int {
		t.Helper()
		counted, sum := a.sums()
		if err := a.Send(directTo(to, "alice", "hi"), true, counted); err != nil {
			t.Fatal(err)
		}
		return sum()
	}
	if got := send("nowhere"); got != 0 {
		t.Errorf("a peer that is nowhere has %d sockets", got)
	}
	b.wants(`direct nowhere alice "hi"`) // all nodes were asked
	c.wants(`direct nowhere alice "hi"`)

	// A peer that has just come is not heard for yet.
	b.r.counting(1, nil)
	if got := send("fresh"); got != 1 {
		t.Errorf("a fresh peer has %d sockets, want 1", got)
	}
	b.wants(`direct fresh alice "hi"`)
	c.wants(`direct fresh alice "hi"`)

	b.EnterPeer(app, "bob")
	b.fence()
	if got := send("bob"); got != 1 {
		t.Errorf("got %d sockets, want 1", got)
	}
	b.wants(`direct bob alice "hi"`)
	a.fence()
	if got := len(c.r.eventC); got != 0 {
		t.Errorf("the node without the peer got %q", c.next())
	}

	// Where the first answer comes too late, all are asked, and b passes over it.
	holdC := make(chan struct{})
	b.r.counting(1, holdC)
	counted, sum := a.sums()
	if err := a.Send(directTo("bob", "alice", "late"), true, counted); err != nil {
		t.Fatal(err)
	}
	a.losesPatience()
	c.wants(`direct bob alice "late"`)
	close(holdC)
	if got := sum(); got != 1 {
		t.Errorf("got %d sockets, want 1", got)
	}
	b.wants(`direct bob alice "late"`)
	a.fence()
	if got := len(b.r.eventC); got != 0 {
		t.Errorf("the peer got it twice: %q", b.next())
	}
}

func TestPeersAndChannels(t *testing.T) {
	t.Parallel()
	nodes := joinAll(t, natsServer(t, -1), "a", "b", "c")
	a, b, c := nodes[0], nodes[1], nodes[2]
	var many []Member // more than one record holds
	for i := range 4000 {
		many = append(many, Member{Peer: fmt.Sprintf("peer-%05d", i), Meta: `{"text":"` + strings.Repeat("x", 100) + `"}`})
	}
	b.r.members, c.r.members = many[:3000], many[1000:]
	b.r.occupied = []Occupied{{"a", 1}, {"c", 2}, {"d", 9}, {"B", 1}}
	c.r.occupied = []Occupied{{"b", 1}, {"c", 3}}

	peersC := make(chan []Member, 1)
	if err := a.Peers(app, "room", func(m []Member) { peersC <- m }); err != nil {
		t.Fatal(err)
	}
	channelsC := make(chan []Occupied, 1)
	if err := a.Channels(app, "", "B", 3, func(o []Occupied) { channelsC <- o }); err != nil {
		t.Fatal(err)
	}
	if got := <-peersC; !slices.Equal(got, many) {
		t.Errorf("got %d peers, want %d", len(got), len(many))
	}
	if got, want := <-channelsC, []Occupied{{"a", 1}, {"b", 1}, {"c", 3}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSharesComeBeforeEntered(t *testing.T) {
	t.Parallel()
	nodes := joinAll(t, natsServer(t, -1), "a", "b", "c")
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.entersChannel("room", Member{"alice", `{"n":1}`})
	c.entersChannel("room", Member{"carol", ""})
	for _, n := range nodes {
		n.clear()
	}
	b.r.shares["room"] = Share{App: app, Channel: "room", Version: 7, Members: []Member{{"bob", ""}}}
	b.EnterChannel(b.r.shares["room"], func(bool) { b.r.event("entered") })
	got := []string{b.next(), b.next()}
	if slices.Sort(got); !slices.Equal(got, []string{`share room 1 +alice{"n":1}`, "share room 1 +carol"}) &&
		!slices.Contains(got, "settle") {
		t.Errorf("got %q", got)
	}
	b.after("entered")
	a.after("share room 7 +bob")

	b.Tell(Step{App: app, Channel: "room", Version: 8, Member: Member{"ben", `{}`}})
	b.Tell(Step{App: app, Channel: "room", Version: 9, Leaves: true, Member: Member{Peer: "bob"}})
	if err := b.publishes("room", "ben", "hi"); err != nil {
		t.Fatal(err)
	}
	b.ExitChannel(app, "room")
	a.after("step room 8 +ben{}")
	a.wants("step room 9 -bob")
	a.wants("settle") // before the message, which must not overtake them
	a.wants(`message room ben "hi"`)
	a.wants("exit room")

	a.clear()
	c.Exchange(a.ID(), Share{App: app, Channel: "room", Version: 5, Members: []Member{{"carol", ""}}})
	a.wants("share room 5 +carol")
	c.after(`share room 1 +alice{"n":1}`)
}

// TestRostersAloneSettle: where nothing but changes of rosters comes, the node
// catches up now and then, so that what waits for the loops has a bound.
func TestRostersAloneSettle(t *testing.T) {
	b := discard()
	r := &recorder{eventC: make(chan string, 3*maxUnsettled)}
	b.node = r
	b.members.origins[7] = &origin{id: 7, tally: newTally(&b.out, "")}
	for i := range uint64(2 * maxUnsettled) {
		step := appendStep(nil, Step{App: app, Channel: "room", Version: i, Member: Member{Peer: "bob"}})
		if err := b.payload(payload(7, i+1, step...), b.ticked); err != nil {
			t.Fatal(err)
		}
	}
	settled := 0
	for range len(r.eventC) {
		if <-r.eventC == "settle" {
			settled++
		}
	}
	if settled != 2 {
		t.Errorf("settled %d times, want 2", settled)
	}
}

func TestLargeShareComesWhole(t *testing.T) {
	t.Parallel()
	nodes := joinAll(t, natsServer(t, -1), "a", "b")
	var members []Member
	for i := range 20_000 {
		members = append(members, Member{Peer: fmt.Sprintf("peer-%05d", i), Meta: `{"text":"` + strings.Repeat("x", 50) + `"}`})
	}
	nodes[0].entersChannel("room", members...)
	nodes[1].wants("share room 1 " + names(members))
}

// TestHugeShareIsSaid has a share that is more than the outbox holds of all else, which
// goes on meanwhile.
func TestHugeShareIsSaid(t *testing.T) {
	t.Parallel()
	meta := `{"x":"` + strings.Repeat("x", 4000) + `"}`
	huge := Share{App: app, Channel: "room", Version: 1, Members: make([]Member, maxOutbox/4000+1)}
	for i := range huge.Members {
		huge.Members[i] = Member{Peer: fmt.Sprint("peer", i), Meta: meta}
	}
	b := NATS{out: outbox{wakeC: make(chan struct{}, 1), heard: 1, standing: standing{linked: true, up: true}}}
	b.Answer(2, huge)
	if err := b.Publish(message("other", "alice", "hi"), nil); err != nil {
		t.Errorf("a message behind it: %v", err)
	}
	if b.out.openShare(muchWaits + 1) {
		t.Error("another one would wait with it")
	}

	var taken batch
	b.out.take(&taken)
	var p partial
	var whole Share
	for _, chunk := range taken.chunks {
		for _, e := range chunk.entries {
			c := cursor{rest: chunk.buf[e.start+maxHeader : e.end]}
			for len(c.rest) > 0 && c.byte() == kindShare {
				flags, s := c.share()
				if s, ok, err := p.add(s, flags&flagMore != 0); err != nil {
					t.Fatal(err)
				} else if ok {
					whole = s
				}
			}
		}
		b.out.recycle(chunk)
	}
	if !slices.Equal(whole.Members, huge.Members) {
		t.Errorf("a share of %d members came, want %d", len(whole.Members), len(huge.Members))
	}
	if b.out.size != 0 || b.out.large != 0 {
		t.Errorf("when all is said %d and %d bytes wait", b.out.size, b.out.large)
	}
}

func TestSubscriptionsLinger(t *testing.T) {
	t.Parallel()
	nodes := joinAll(t, natsServer(t, -1), "a", "b")
	b := nodes[1]
	subscribed := func(n int) {
		t.Helper()
		b.until(fmt.Sprintf("%d subscriptions", n), func(s Stats) bool { return s.Subscriptions == n })
	}
	b.entersChannel("room")
	b.entersChannel("room") // to exchange shares anew: no holder more
	b.entersPattern("room/*")
	b.entersPattern("room/*")
	b.EnterPeer(app, "bob")
	b.EnterPeer(app, "bob")
	subscribed(3)
	b.ExitChannel(app, "room")
	subscribed(2)
	b.ExitPattern(app, "room/*")
	b.ExitPeer(app, "bob")
	b.ExitPeer(app, "bob")
	subscribed(1)
	b.ExitPattern(app, "room/*")
	b.ExitPattern(app, "room/*") // one too many does no harm
	subscribed(0)
	b.entersChannel("room")
	subscribed(1)
	b.clear()
	if err := nodes[0].publishes("room", "alice", "hi"); err != nil {
		t.Fatal(err)
	}
	b.after(`message room alice "hi"`)
}

// TestManyExpireInTurns has far more peers leave at once than end under one lock.
func TestManyExpireInTurns(t *testing.T) {
	b, forget := said(t)
	const peers = 2*maxExpired + 1
	for _, change := range []func(app, peer string){b.EnterPeer, b.ExitPeer} {
		for i := range peers {
			change(app, fmt.Sprint(i))
		}
	}
	forget()
	later := time.Now().Add(time.Hour)
	if got := b.out.expireSome(later); got != maxExpired {
		t.Errorf("%d expired under one lock, want %d", got, maxExpired)
	}
	b.out.expire(later)
	if got := b.Stats().Subscriptions; got != 0 {
		t.Errorf("%d are left", got)
	}
	if got := len(b.out.chunks[0].entries); got != peers {
		t.Errorf("the writer is told of %d, want %d", got, peers)
	}
}

func TestAloneEverythingIsCalledAtOnce(t *testing.T) {
	t.Parallel()
	a := join(t, natsServer(t, -1), "a")
	called := 0
	err := errors.Join(
		a.Publish(message("room", "alice", "hi"), func(int) { called++ }),
		a.Send(directTo("bob", "alice", "hi"), true, func(int) { called++ }),
		a.Send(directTo("bob", "alice", "hi"), false, func(int) { called++ }),
		a.Kick(app, "bob", func(int) { called++ }),
		a.Peers(app, "room", func([]Member) { called++ }),
		a.Channels(app, "", "", 10, func([]Occupied) { called++ }),
	)
	if err != nil {
		t.Error(err)
	}
	a.EnterPattern(app, "room/*", func(bool) { called++ })
	a.EnterChannel(Share{App: app, Channel: "room"}, func(bool) { called++ })
	a.EnterChannel(Share{App: app, Channel: "room"}, nil)
	if called != 8 {
		t.Errorf("%d of 8 callbacks were called", called)
	}
}
