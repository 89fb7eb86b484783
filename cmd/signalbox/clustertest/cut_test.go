package clustertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startApart starts two nodes, each in a namespace with a wire of its own to the
// broker's.
func startApart(t testing.TB) (left, right *node, toLeft *wire) {
	t.Helper()
	b := &broker{in: newNamespace(t), host: "0.0.0.0", port: "4222"}
	var nodes []*node
	var wires []*wire
	for _, name := range []string{"left", "right"} {
		in := newNamespace(t)
		w := join(t, in, b.in)
		nodes = append(nodes, newNode(t, in, name, "--nats", "nats://"+w.ends[1]+":"+b.port))
		wires = append(wires, w)
	}
	b.run(t)
	for _, n := range nodes {
		n.launch()
	}
	for _, n := range nodes {
		n.ready()
	}
	return nodes[0], nodes[1], wires[0]
}

// cutOutages are what a cut of the left node's link costs: what is said there until it is
// told of by errors. Nobody tells the right one, to whom the left may as well be dead until
// the two have found each other.
func cutOutages(left, right *node, cut, told, back time.Time) []outage {
	return []outage{
		{left, right, span{cut.Add(-lossBefore), told}},
		{right, left, span{cut.Add(-lossBefore), back}},
	}
}

// TestCut cuts one node off from the broker for longer than a node is missed, while
// peers come, go and move on both sides.
func TestCut(t *testing.T) {
	t.Parallel()
	left, right, toLeft := startApart(t)
	g := gather(t, "cut", left, right)
	mover, leftLeaves, rightLeaves := g.add(left, "mover"), g.add(left, "left-leaves"), g.add(right, "right-leaves")
	g.meet(patience, left, right)
	g.more(50)
	var outages []outage
	for round := range 2 {
		from, to := left, right
		if round == 1 {
			from, to = right, left
		}
		start := now()
		toLeft.cut()
		told := g.refused(left)
		g.meet(till(start.Add(leaveWithin)), left)
		g.meet(till(start.Add(leaveWithin)), right)
		g.remove(from, mover)
		mover = g.add(to, "mover")
		g.remove(left, leftLeaves)
		g.remove(right, rightLeaves)
		leftLeaves, rightLeaves = g.add(left, strings.Repeat("l", round+1)), g.add(right, strings.Repeat("r", round+1))
		g.meet(patience, left)
		g.meet(patience, right)
		g.more(50)
		toLeft.heal()
		g.allBack(left, right)
		outages = append(outages, cutOutages(left, right, start, told, g.back)...)
	}
	g.more(100)
	if _, remote := g.finish(outages...); remote.refused == 0 {
		t.Error("nothing was refused")
	}
}

// TestCutLoss cuts one node off, once, and wants what was said while the cut was
// neither seen nor begun to be all that is lost on the way from it.
func TestCutLoss(t *testing.T) {
	t.Parallel()
	left, right, toLeft := startApart(t)
	g := gather(t, "loss", left, right)
	g.more(100)
	start := now()
	toLeft.cut()
	told := g.refused(left)
	t.Logf("refused after %v", told.Sub(start))
	g.meet(till(start.Add(leaveWithin)), right)
	toLeft.heal()
	g.allBack(left, right)
	g.more(100)
	g.finish(cutOutages(left, right, start, told, g.back)...)
}

const (
	// shortCut is far from the time after which a node is missed, also where
	// everything takes longer than it should.
	shortCut = 800 * time.Millisecond
	// unmissed is how long a node may be cut off and is not missed for certain: what it
	// said last was said up to a second before, and so it is with what it says next.
	unmissed = 1500 * time.Millisecond
)

// TestShortCut cuts one node off for a fraction of the time after which a node is
// missed: nobody leaves, and nothing is lost.
func TestShortCut(t *testing.T) {
	t.Parallel()
	left, right, toLeft := startApart(t)
	g := gather(t, "short", left, right)
	g.more(50)
	before := make(map[*client]int)
	for _, c := range g.everyone {
		before[c] = len(c.told("short"))
	}
	start, cut := time.Now(), now()
	toLeft.cut()
	<-time.After(shortCut)
	toLeft.heal()
	if took := time.Since(start); took > unmissed {
		t.Logf("this machine took %v for a short cut", took)
		g.allBack(left, right)
		g.more(100)
		g.finish(apart(left, right, cut, g.back)...)
		return
	}
	g.more(100)
	_, remote := g.finish()
	if remote.refused+remote.lost > 0 {
		t.Errorf("refused and lost: got %v", remote)
	}
	g.meet(patience, left, right)
	for _, c := range g.everyone {
		if told := c.told("short")[before[c]:]; len(told) > 0 {
			t.Errorf("%s on %s is told %s", c.peer, c.node.name, told)
		}
	}
}

// apart are what it costs that two nodes, whose links to their own brokers hold, do not
// see each other: nobody tells either.
func apart(a, b *node, cut, back time.Time) []outage {
	w := span{cut.Add(-lossBefore), back}
	return []outage{{a, b, w}, {b, a, w}}
}

// TestEmbeddedCut meshes three nodes with embedded brokers, and cuts one wire: two do
// not see each other, the third sees both. Then it cuts the one off from all.
func TestEmbeddedCut(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("one secret of all nodes of this cluster\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	spaces := []*namespace{newNamespace(t), newNamespace(t), newNamespace(t)}
	ab, ac, bc := join(t, spaces[0], spaces[1]), join(t, spaces[0], spaces[2]), join(t, spaces[1], spaces[2])
	var nodes []*node
	for i, routes := range [][]string{{ab.ends[1], ac.ends[1]}, {ab.ends[0], bc.ends[1]}, {ac.ends[0], bc.ends[0]}} {
		nodes = append(nodes, newNode(t, spaces[i], string(rune('a'+i)), "--nats", "embedded", "--nats-listen", "0.0.0.0:6222",
			"--nats-routes", strings.Join(routes, ":6222,")+":6222", "--nats-secret-file", secret))
		nodes[i].launch()
	}
	for _, n := range nodes {
		n.ready()
	}
	a, b, c := nodes[0], nodes[1], nodes[2]
	g := gather(t, "embedded", nodes...)
	g.more(50)

	toldC := g.members[c][0].told("embedded")
	start := now()
	ab.cut()
	for _, n := range []*node{a, b} {
		for _, m := range g.members[n] {
			m.sees(till(start.Add(leaveWithin)), "embedded", roster(g.on(n, c))...)
		}
	}
	g.more(50)
	ab.heal()
	g.allBack(nodes...)
	outages := apart(a, b, start, g.back)
	if got := g.members[c][0].told("embedded"); len(got) != len(toldC) {
		t.Errorf("the one who saw both all the time is told %s", got[len(toldC):])
	}

	start = now()
	ab.cut()
	ac.cut()
	g.meet(till(start.Add(leaveWithin)), a)
	g.meet(till(start.Add(leaveWithin)), b, c)
	ab.heal()
	ac.heal()
	g.allBack(nodes...)
	outages = append(outages, apart(a, b, start, g.back)...)
	outages = append(outages, apart(a, c, start, g.back)...)
	g.more(100)
	g.finish(outages...)
}
