package cluster

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"signalbox/engine/quota"
)

var (
	usageNow = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	usageID  = strings.Repeat("A", 26)
)

const usageMonth = 1772323200

// usageNode is a node without a bus: what it says is carried by usageWorld.
type usageNode struct {
	id      NodeID
	ledger  *quota.Ledger
	out     outbox
	usage   usage
	origins map[NodeID]*origin
	heard   int // records of counts
}

// usageWorld carries what nodes say of usage to one another.
type usageWorld struct {
	t     testing.TB
	now   time.Time
	last  NodeID
	nodes []*usageNode
}

// add adds a node that knows app_a, and has it and the others meet.
func (w *usageWorld) add() *usageNode {
	w.t.Helper()
	ledger, err := quota.Open("", func() time.Time { return usageNow })
	if err != nil {
		w.t.Fatal(err)
	}
	ledger.App("app_a")
	w.last++
	n := &usageNode{id: w.last, ledger: ledger, origins: make(map[NodeID]*origin)}
	n.out = outbox{wakeC: make(chan struct{}, 1), standing: standing{up: true}}
	n.usage = usage{ledger: ledger, out: &n.out}
	for _, o := range w.nodes {
		w.meet(n, o)
		w.meet(o, n)
	}
	w.nodes = append(w.nodes, n)
	return n
}

// meet has n hear of o for the first time.
func (w *usageWorld) meet(n, o *usageNode) {
	n.origins[o.id] = &origin{id: o.id, subject: string(appendNodeSubject(nil, o.id))}
	n.usage.found(o.id)
}

// remove ends a node for all others.
func (w *usageWorld) remove(n *usageNode) {
	w.nodes = slices.DeleteFunc(w.nodes, func(o *usageNode) bool { return o == n })
	for _, o := range w.nodes {
		delete(o.origins, n.id)
		o.usage.gone(n.id)
	}
}

// tick lets seconds of time pass and carries what is said.
func (w *usageWorld) tick(seconds int) {
	w.t.Helper()
	for range 4 * seconds {
		w.now = w.now.Add(250 * time.Millisecond)
		for _, n := range w.nodes {
			n.usage.tick(w.now, n.origins)
			w.carry(n)
		}
	}
}

// carry takes what n has said to those it is for.
func (w *usageWorld) carry(n *usageNode) {
	w.t.Helper()
	var taken batch
	n.out.take(&taken)
	for _, c := range taken.chunks {
		for _, e := range c.entries {
			subject := string(c.buf[e.subject:e.start])
			for _, o := range w.nodes {
				from := o.origins[n.id]
				if from == nil || subject != subjectAll && subject != string(appendNodeSubject(nil, o.id)) {
					continue
				}
				o.hear(w.t, from, bytes.Clone(c.buf[e.start+maxHeader:e.end]))
			}
		}
		n.out.recycle(c)
	}
}

func (n *usageNode) hear(t testing.TB, from *origin, records []byte) {
	t.Helper()
	for c := (cursor{rest: records}); len(c.rest) > 0; {
		kind := c.byte()
		if kind == kindUsage {
			n.heard++
		}
		if err := n.usage.heard(from, kind, &c); c.bad || err != nil && !errors.Is(err, errUsage) {
			t.Fatalf("heard: bad = %v, %v", c.bad, err)
		}
	}
}

func (n *usageNode) use(messages, connections int) {
	for range messages {
		n.ledger.App("app_a").Message()
	}
	for range connections {
		n.ledger.App("app_a").Connect()
	}
}

// alike fails unless all nodes give this usage of app_a.
func (w *usageWorld) alike(messages, connections, peak int64) {
	w.t.Helper()
	for _, n := range w.nodes {
		u := n.ledger.App("app_a").Usage(usageNow)
		if u.MessagesUsed != messages || u.ConcurrentNow != connections || u.PeakConcurrent != peak {
			w.t.Errorf("node %d: messages, connections, peak = %d, %d, %d, want %d, %d, %d",
				n.id, u.MessagesUsed, u.ConcurrentNow, u.PeakConcurrent, messages, connections, peak)
		}
	}
}

func newUsageWorld(t testing.TB) *usageWorld { return &usageWorld{t: t, now: usageNow} }

func TestUsageIsAlike(t *testing.T) {
	w := newUsageWorld(t)
	a, b, c := w.add(), w.add(), w.add()
	a.use(5, 2)
	b.use(3, 1)
	w.tick(1)
	w.alike(8, 3, 3)
	c.use(1, 4)
	a.ledger.App("app_a").Disconnect()
	w.tick(1)
	w.alike(9, 6, 7) // c had its four before it heard that a has one less
}

// TestUsageQuiet: nothing is said while nothing changes, but for what is told
// again each minute.
func TestUsageQuiet(t *testing.T) {
	w := newUsageWorld(t)
	a, b := w.add(), w.add()
	a.use(5, 2)
	w.tick(5)
	a.heard, b.heard = 0, 0
	w.tick(int(retellAfter/time.Second) - 6)
	if a.heard != 0 || b.heard != 0 {
		t.Errorf("records while nothing changes = %d, %d, want none", a.heard, b.heard)
	}
	w.tick(10)
	if a.heard > 4 || b.heard > 4 || a.heard == 0 {
		t.Errorf("records in the minute's turn = %d, %d, want a few", a.heard, b.heard)
	}
}

// TestUsageSurvivesNodes: a newcomer learns what a node that is no more has used,
// and its connections have ended with it.
func TestUsageSurvivesNodes(t *testing.T) {
	w := newUsageWorld(t)
	a, b := w.add(), w.add()
	a.use(5, 2)
	b.use(1, 1)
	w.tick(1)
	w.remove(a)
	w.alike(6, 1, 3)
	w.add()
	w.tick(2)
	w.alike(6, 1, 3)
	w.remove(b)
	w.add()
	w.tick(2)
	w.alike(6, 0, 3)
}

// TestUsageAfterPartition: what either side has counted, of nodes that are no more
// too, is known to both afterwards.
func TestUsageAfterPartition(t *testing.T) {
	w := newUsageWorld(t)
	a, others := w.add(), []*usageNode{w.add(), w.add(), w.add(), w.add()}
	w.tick(5)
	for _, o := range others {
		delete(a.origins, o.id)
		a.usage.gone(o.id)
		delete(o.origins, a.id)
		o.usage.gone(a.id)
	}
	for _, n := range []*usageNode{a, others[0]} {
		n.ledger.Merge([]quota.Share{{
			By: strings.Repeat(string(rune('A'+n.id)), 26), App: "app_a", Start: usageMonth, Counts: quota.Counts{Messages: 10},
		}})
	}
	for _, n := range w.nodes {
		n.use(2, 1)
	}
	w.tick(1)
	for _, o := range others {
		w.meet(a, o)
		w.meet(o, a)
	}
	w.tick(2)
	w.alike(30, 5, 5)
}

// TestUsageOfNewcomer: it knows at once what all others have counted.
func TestUsageOfNewcomer(t *testing.T) {
	w := newUsageWorld(t)
	for range 6 {
		w.add().use(2, 1)
	}
	w.tick(2)
	w.add()
	w.tick(1)
	w.alike(12, 6, 6)
}

// TestUsageAfterLoss: what a broken link has lost, either way, is told again.
func TestUsageAfterLoss(t *testing.T) {
	w := newUsageWorld(t)
	a, others := w.add(), []*usageNode{w.add(), w.add(), w.add(), w.add()}
	w.tick(5)
	a.out.connected(false)
	a.use(5, 1)
	for _, o := range others {
		o.use(2, 1)
		o.ledger.Changes() // were on the way
	}
	w.tick(1)
	a.out.connected(true)
	a.out.standing.begin()
	a.usage.resync(a.origins)
	w.tick(1)
	w.alike(13, 5, 5)
}

// TestUsageOfNewApp: what was said of an app before it was known here is asked for
// once it is.
func TestUsageOfNewApp(t *testing.T) {
	w := newUsageWorld(t)
	a, b := w.add(), w.add()
	w.tick(1)
	a.ledger.App("app_new").Message()
	w.tick(1)
	if got := b.ledger.App("app_new").Usage(usageNow).MessagesUsed; got != 0 {
		t.Errorf("used before it is known = %d, want 0", got)
	}
	w.tick(1)
	if got := b.ledger.App("app_new").Usage(usageNow).MessagesUsed; got != 1 {
		t.Errorf("used = %d, want 1", got)
	}
}

// TestUsageGoodbye: the last counts are said before a node goes.
func TestUsageGoodbye(t *testing.T) {
	w := newUsageWorld(t)
	a, b := w.add(), w.add()
	b.use(1, 0)
	w.tick(1)
	a.use(3, 0)
	a.usage.last()
	w.carry(a)
	w.remove(a)
	w.alike(4, 0, 0)
}

func TestUsageOfManyApps(t *testing.T) {
	w := newUsageWorld(t)
	a, b := w.add(), w.add()
	const apps = 3*maxUsageRows + 7
	name := func(i int) string { return "app_" + NodeID(i+1).String() }
	for i := range apps {
		b.ledger.App(name(i))
		a.ledger.App(name(i)).Message()
		a.ledger.App(name(i)).Connect()
	}
	w.tick(1)
	for i := range apps {
		if u := b.ledger.App(name(i)).Usage(usageNow); u.MessagesUsed != 1 || u.ConcurrentNow != 1 {
			t.Fatalf("app %d: Usage = %+v, want one message and one connection", i, u)
		}
	}
}

// TestUsageWithoutLedger: a bus without one hears what others say and says nothing.
func TestUsageWithoutLedger(t *testing.T) {
	w := newUsageWorld(t)
	a, b := w.add(), w.add()
	b.usage.ledger = nil
	a.use(1, 1)
	w.tick(1)
	b.usage.last()
	b.usage.resync(b.origins)
	w.remove(a)
	if b.out.size != 0 {
		t.Errorf("%d bytes said", b.out.size)
	}
}

func TestUsageRecords(t *testing.T) {
	shares := []quota.Share{
		{By: usageID, App: "app_a", Start: usageMonth, Counts: quota.Counts{Messages: 1, OverageMessages: 2, OverageConnections: 3, PeakConcurrent: 4}},
		{By: usageID, App: "b", Start: -1, Counts: quota.Counts{Messages: 1 << 50}},
	}
	sockets := []quota.Sockets{{App: "app_a", Open: 300}, {App: "b"}}
	record := appendUsage(nil, shares, sockets)
	c := cursor{rest: record}
	if kind := c.byte(); kind != kindUsage {
		t.Errorf("kind = %d, want %d", kind, kindUsage)
	}
	gotShares, gotSockets := c.usage()
	if c.bad || len(c.rest) != 0 || !slices.Equal(gotShares, shares) || !slices.Equal(gotSockets, sockets) {
		t.Errorf("read %+v, %+v (bad %v, %d bytes left)", gotShares, gotSockets, c.bad, len(c.rest))
	}
	for n := 1; n < len(record); n++ {
		c := cursor{rest: record[1:n]}
		if c.usage(); !c.bad {
			t.Errorf("the first %d bytes of %d pass for a record", n, len(record))
		}
	}
}

// TestUsageRefused: what another node says is taken for what it can be.
func TestUsageRefused(t *testing.T) {
	good := quota.Share{By: usageID, App: "app_a", Start: usageMonth, Counts: quota.Counts{Messages: 1}}
	bad := good
	bad.Messages = -1
	tests := []struct {
		name    string
		shares  []quota.Share
		sockets []quota.Sockets
		want    error
	}{
		{"good", []quota.Share{good}, []quota.Sockets{{App: "app_a", Open: 1}}, nil},
		{"nothing", nil, nil, nil},
		{"negative count", []quota.Share{bad}, nil, errUsage},
		{"sockets of no app", nil, []quota.Sockets{{App: "app_z", Open: 1}}, errUsage},
		{"too many sockets", nil, []quota.Sockets{{App: "app_a", Open: 1 << 62}}, errUsage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newUsageWorld(t)
			a, b := w.add(), w.add()
			c := cursor{rest: appendUsage(nil, tt.shares, tt.sockets)}
			if got := a.usage.heard(a.origins[b.id], c.byte(), &c); !errors.Is(got, tt.want) || c.bad {
				t.Errorf("heard = %v (bad %v), want %v", got, c.bad, tt.want)
			}
		})
	}
}

func FuzzUsage(f *testing.F) {
	f.Add(appendUsage(nil, []quota.Share{{By: usageID, App: "app_a", Start: usageMonth, Counts: quota.Counts{Messages: 1}}}, []quota.Sockets{{App: "app_a", Open: 2}}))
	f.Add(appendUsageAsk(nil, true))
	f.Add([]byte{kindUsage, 255, 255, 255, 255, 15})
	w := newUsageWorld(f)
	a, b := w.add(), w.add()
	f.Fuzz(func(t *testing.T, record []byte) {
		c := cursor{rest: record}
		if kind := c.byte(); kind == kindUsage || kind == kindUsageAsk {
			_ = a.usage.heard(a.origins[b.id], kind, &c)
		}
		u := a.ledger.App("app_a").Usage(usageNow)
		if u.MessagesUsed < 0 || u.OverageMessages < 0 || u.OverageConnections < 0 || u.ConcurrentNow < 0 || u.PeakConcurrent < 0 {
			t.Errorf("Usage = %+v", u)
		}
	})
}
