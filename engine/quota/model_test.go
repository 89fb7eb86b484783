package quota

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// gossipModel is a cluster of ledgers beside what they must come to.
type gossipModel struct {
	t     *testing.T
	rng   *rand.Rand
	apps  []string
	nodes []*modelNode
	air   []packet

	counted map[modelKey]int64 // messages ever counted, by contributor
	lost    map[modelKey]int64 // of them, the most that kills may have cost
}

type modelKey struct {
	contributor int
	app         string
	start       int64
}

type modelNode struct {
	id          uint64 // of the process
	contributor int
	dir         string
	clock       testClock
	ledger      *Ledger
	open        map[string]int64
	unstored    map[modelKey]int64 // counted since the last flush
}

// packet is what one node tells all others.
type packet struct {
	from   uint64
	shares []Share
}

var modelMonths = []time.Time{
	time.Date(2026, 1, 31, 23, 59, 59, 0, time.UTC),
	time.Date(2026, 2, 1, 0, 0, 1, 0, time.UTC),
}

func newGossipModel(t *testing.T, seed uint64, nodes int) *gossipModel {
	m := &gossipModel{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), apps: []string{"app_a", "app_b"},
		counted: make(map[modelKey]int64), lost: make(map[modelKey]int64),
	}
	for i := range nodes {
		n := &modelNode{clock: testClock{modelMonths[0]}, contributor: i}
		if i > 0 { // the first has no directory
			n.dir = t.TempDir()
		}
		m.nodes = append(m.nodes, n)
		m.start(n)
	}
	return m
}

// start gives the node a new process, which is told what some of the others know.
func (m *gossipModel) start(n *modelNode) {
	n.id, n.open, n.unstored = m.rng.Uint64(), make(map[string]int64), make(map[modelKey]int64)
	n.ledger = openLedger(m.t, n.dir, &n.clock)
	for _, app := range m.apps {
		n.ledger.App(app)
	}
	if err := n.ledger.flush(); err != nil {
		m.t.Fatal(err)
	}
	for _, o := range m.nodes {
		if o != n && o.ledger != nil && m.rng.IntN(3) > 0 {
			shares, _ := o.ledger.Told(true)
			n.ledger.Merge(shares)
		}
	}
}

// step does one thing at random.
func (m *gossipModel) step(kills bool) {
	n := m.nodes[m.rng.IntN(len(m.nodes))]
	app := m.apps[m.rng.IntN(len(m.apps))]
	switch m.rng.IntN(12) {
	case 0, 1, 2:
		count := m.rng.Int64N(5)
		messages(n.ledger.App(app), int(count))
		start, _ := month(n.clock.now)
		k := modelKey{n.contributor, app, start.Unix()}
		m.counted[k] += count
		n.unstored[k] += count
	case 3:
		n.ledger.App(app).Connect()
		n.open[app]++
	case 4:
		if n.open[app] > 0 {
			n.ledger.App(app).Disconnect()
			n.open[app]--
		}
	case 5, 6:
		shares, _ := n.ledger.Changes()
		m.air = append(m.air, packet{n.id, shares})
	case 7, 8:
		m.deliver(n)
	case 9:
		shares, _ := n.ledger.Told(m.rng.IntN(2) == 0)
		m.air = append(m.air, packet{n.id, shares})
	case 10:
		if err := n.ledger.flush(); err != nil {
			m.t.Fatal(err)
		}
		clear(n.unstored)
	case 11:
		m.restart(n, kills)
	}
}

// deliver hands the node something said, of whatever age, which may come again.
func (m *gossipModel) deliver(n *modelNode) {
	if len(m.air) == 0 {
		return
	}
	i := m.rng.IntN(len(m.air))
	if m.air[i].from != n.id || m.rng.IntN(2) == 0 {
		n.ledger.Merge(m.air[i].shares)
	}
	if m.rng.IntN(4) == 0 { // lost to the others
		m.air = append(m.air[:i], m.air[i+1:]...)
	}
}

// restart ends the node's process, by a kill if there are any and chance will have
// it, and starts another. Without a directory that is another contributor.
func (m *gossipModel) restart(n *modelNode, kills bool) {
	if m.rng.IntN(4) > 0 {
		return
	}
	if n.dir == "" {
		m.bury(n, kills)
		n.contributor += len(m.nodes)
	} else if kills && m.rng.IntN(2) == 0 {
		kill(m.t, n.ledger)
		for k, count := range n.unstored {
			m.lost[k] += count
		}
	} else {
		closeLedger(m.t, n.ledger)
	}
	m.start(n)
}

// bury notes what is lost with a node without a directory: what no other has
// heard, and all of it if those may be killed before they store it.
func (m *gossipModel) bury(n *modelNode, kills bool) {
	for k, count := range m.counted {
		if k.contributor != n.contributor {
			continue
		}
		known := int64(0)
		for _, o := range m.nodes {
			a := o.ledger.App(k.app)
			if p := a.known(k.start); !kills && p != nil && p.shares[n.ledger.ID()] != nil {
				known = max(known, p.shares[n.ledger.ID()].Messages)
			}
		}
		m.lost[k] = count - known
	}
}

// check fails if any node has more than was counted.
func (m *gossipModel) check() {
	m.t.Helper()
	for i, n := range m.nodes {
		for _, app := range m.apps {
			for _, at := range modelMonths {
				_, most := m.sums(app, at)
				if got := n.ledger.App(app).Usage(at).MessagesUsed; got > most {
					m.t.Fatalf("node %d, %s, %s: used = %d, counted were %d", i, app, at.Format("January"), got, most)
				}
			}
		}
	}
}

// sums returns the least and the most that may be known of an app's month.
func (m *gossipModel) sums(app string, at time.Time) (least, most int64) {
	first, _ := month(at)
	for k, n := range m.counted {
		if k.app == app && k.start == first.Unix() {
			least, most = least+n-m.lost[k], most+n
		}
	}
	return least, most
}

// settle has all nodes tell all others everything, until nothing is new.
func (m *gossipModel) settle() {
	for _, at := range modelMonths {
		for range 3 {
			for _, n := range m.nodes {
				n.clock.now = at
				changed, changedOpen := n.ledger.Changes()
				told, open := n.ledger.Told(true)
				for _, o := range m.nodes {
					o.ledger.Merge(changed)
					o.ledger.Merge(told)
					if o != n {
						o.ledger.SetElsewhere(n.id, changedOpen)
						o.ledger.SetElsewhere(n.id, open)
					}
				}
			}
		}
	}
}

func (m *gossipModel) compare() {
	m.t.Helper()
	for _, app := range m.apps {
		open := int64(0)
		for _, n := range m.nodes {
			open += n.open[app]
		}
		for _, at := range modelMonths {
			want := m.nodes[0].ledger.App(app).Usage(at)
			if least, most := m.sums(app, at); want.MessagesUsed < least || want.MessagesUsed > most {
				m.t.Errorf("%s, %s: used = %d, want %d to %d", app, at.Format("January"), want.MessagesUsed, least, most)
			}
			if want.ConcurrentNow != open {
				m.t.Errorf("%s: open = %d, want %d", app, want.ConcurrentNow, open)
			}
			for i, n := range m.nodes[1:] {
				if got := n.ledger.App(app).Usage(at); got != want {
					m.t.Errorf("%s: node %d has %+v, the first has %+v", app, i+1, got, want)
				}
			}
		}
	}
}

// TestGossipModel: ledgers that hear one another late, twice, out of order or never,
// that restart or are killed, and whose clocks pass a month's end one by one, come
// to the same counts, which are those of the model.
func TestGossipModel(t *testing.T) {
	for seed := range uint64(24) {
		kills := seed%2 == 1
		t.Run(fmt.Sprintf("seed=%d,kills=%v", seed, kills), func(t *testing.T) {
			m := newGossipModel(t, seed, 4)
			for i := range 600 {
				m.step(kills)
				m.check()
				if i%100 == 99 && i/100 < len(m.nodes) {
					m.nodes[i/100].clock.now = modelMonths[1]
				}
			}
			m.settle()
			m.compare()
			for _, n := range m.nodes {
				closeLedger(t, n.ledger)
			}
		})
	}
}
