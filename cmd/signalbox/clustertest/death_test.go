package clustertest

import (
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"
)

const (
	// lossBefore is how long before a process dies what it has taken may be lost:
	// what is on its way then.
	lossBefore = time.Second
	// spare is how much memory a node may gain while it cannot tell others: the
	// outbox's bound and as much again, for the collector and the race detector.
	spare = 128 << 20
)

// gathering is the clients of nodes in one channel: on each node members who talk,
// one who only listens, and a peer that is on all nodes.
type gathering struct {
	t        testing.TB
	channel  string
	members  map[*node][]*client
	talkers  map[*node][]*talker
	everyone []*client
	back     time.Time // since when messages must come promptly; zero: they need not
}

const talkersPerNode = 2

func gather(t testing.TB, channel string, nodes ...*node) *gathering {
	t.Helper()
	g := &gathering{t: t, channel: channel, members: make(map[*node][]*client), talkers: make(map[*node][]*talker)}
	for _, n := range nodes {
		g.add(n, "listener@"+n.name)
		g.add(n, "everywhere")
		for i := range talkersPerNode {
			c := g.add(n, fmt.Sprintf("talker%d@%s", i, n.name))
			g.talkers[n] = append(g.talkers[n], c.talks(true, channel))
		}
	}
	g.meet(patience, nodes...)
	return g
}

// add has another peer join on a node.
func (g *gathering) add(n *node, peer string) *client {
	g.t.Helper()
	c := n.connect(peer).watch(g.channel)
	g.members[n] = append(g.members[n], c)
	g.everyone = append(g.everyone, c)
	return c
}

// remove has a member leave.
func (g *gathering) remove(n *node, c *client) {
	c.leave()
	g.members[n] = slices.DeleteFunc(g.members[n], func(other *client) bool { return other == c })
}

// forget takes a node's clients, which are gone with it, out of the gathering.
func (g *gathering) forget(n *node) {
	delete(g.members, n)
	delete(g.talkers, n)
}

// meet waits until the members on these nodes see each other and nobody else.
func (g *gathering) meet(within time.Duration, nodes ...*node) {
	g.t.Helper()
	allSee(within, g.channel, g.on(nodes...))
}

// on are the members on these nodes.
func (g *gathering) on(nodes ...*node) (members []*client) {
	for _, n := range nodes {
		members = append(members, g.members[n]...)
	}
	return members
}

// more waits until every talker has said so many more.
func (g *gathering) more(count int) {
	g.t.Helper()
	for _, talkers := range g.talkers {
		for _, s := range talkers {
			s.more(count)
		}
	}
}

// allBack is meet after trouble: from here on nothing is lost, or late.
func (g *gathering) allBack(nodes ...*node) {
	g.t.Helper()
	g.meet(healWithin, nodes...)
	g.back = now()
}

// refused waits until what is said on a node, whose link has just been cut, is answered
// with errors, and returns since when that is at the latest.
func (g *gathering) refused(n *node) time.Time {
	g.t.Helper()
	for _, s := range g.talkers[n] {
		s.answered(leaveWithin, s.said(), "backend_error")
	}
	return now()
}

// finish ends all talks, and accounts for every utterance: at the listener of its own
// node nothing may be lost at any time, at the others what was said in an outage.
func (g *gathering) finish(mayLose ...outage) (local, remote count) {
	g.t.Helper()
	var talkers []*talker
	var listeners []*client
	for n := range g.members {
		talkers = append(talkers, g.talkers[n]...)
		listeners = append(listeners, g.members[n][0])
	}
	finishAll(g.t, talkers, listeners...)
	for n, talkers := range g.talkers {
		for _, s := range talkers {
			for _, l := range listeners {
				if l.node == n {
					s.account(&local, nil, l)
				} else {
					s.account(&remote, between(n, l.node, mayLose), l)
				}
				if late := s.latest(l, g.back); !g.back.IsZero() && late > promptly {
					g.t.Errorf("%s on %s heard %s %v late, once all were back", l.peer, l.node.name, s.name(), late)
				}
			}
		}
	}
	wantTruth(g.t, g.everyone)
	g.t.Logf("same node: %v; other nodes: %v", local, remote)
	return local, remote
}

// TestNodeKilled kills one of three nodes under load, and starts it again.
func TestNodeKilled(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, startBroker(t), 3)
	g := gather(t, "death", nodes...)
	g.more(100)
	victim, survivors := nodes[2], nodes[:2]
	killed := now()
	victim.kill()
	dead := g.talkers[victim]
	g.forget(victim)
	g.meet(till(killed.Add(leaveWithin)), survivors...)

	// What the dead node's talkers said came to the others without a gap, up to an
	// end shortly before the death.
	var total count
	for _, s := range dead {
		s.halt()
		for _, n := range survivors {
			s.account(&total, []span{{killed.Add(-lossBefore), killed.Add(patience)}}, g.members[n][0])
			heard := g.members[n][0].heardOf(s)
			if len(heard) == 0 || heard[len(heard)-1] != len(heard) {
				t.Errorf("%s heard %d utterances of %s, up to %v", n.name, len(heard), s.name(), heard[max(0, len(heard)-1):])
			}
		}
	}
	t.Logf("of the dead node's: %v", total)
	for _, n := range survivors {
		wantPeers(t, n, "death", roster(g.on(survivors...))...)
		if got := g.members[n][0].ask(`"type":"send","to":"listener@node-2","data":1`); got != "peer_not_found" {
			t.Errorf("send to a peer of the dead node: got %q, want peer_not_found", got)
		}
	}
	before := survivors[0].usage(one).MessagesUsed

	victim.launch()
	victim.ready()
	g.add(victim, "listener@"+victim.name)
	g.add(victim, "everywhere")
	g.meet(healWithin, nodes...)
	g.more(100)
	for _, n := range nodes {
		waitFor(t, patience, n.name+" knows what was used before", func() bool { return n.usage(one).MessagesUsed >= before })
	}
	g.finish()
	agreeOnUsage(t, nodes)
}

// agreeOnUsage waits until all nodes tell the same usage.
func agreeOnUsage(t *testing.T, nodes []*node) {
	t.Helper()
	var got []usage
	waitFor(t, patience, "all nodes tell the same usage", func() bool {
		got = nil
		for _, n := range nodes {
			got = append(got, n.usage(one))
		}
		return len(slices.Compact(slices.Clone(got))) == 1
	})
	t.Logf("usage: %+v", got[0])
}

// TestNodeStalled stops a node for longer than it takes to miss it. Until it is missed
// nobody knows whether its peers are there; then they are not, until it goes on.
func TestNodeStalled(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, startBroker(t), 2)
	g := gather(t, "stall", nodes...)
	g.more(50)
	works, stalls := nodes[0], nodes[1]
	c := g.members[works][0]
	start := now()
	stalls.signal(syscall.SIGSTOP)
	if got := c.ask(`"type":"send","to":"listener@node-1","data":1`); got != "backend_error" {
		t.Errorf("send to a peer of a node that stands still: got %q, want backend_error", got)
	}
	g.meet(till(start.Add(leaveWithin)), works)
	if got := c.ask(`"type":"send","to":"listener@node-1","data":1`); got != "peer_not_found" {
		t.Errorf("send to a peer of a node that is gone: got %q, want peer_not_found", got)
	}
	stalls.signal(syscall.SIGCONT)
	g.allBack(nodes...)
	g.more(100)
	g.finish(outage{span: span{start.Add(-lossBefore), g.back}})
}

// TestBrokerKilled kills the broker under load, for longer than a node is missed, and
// starts it again.
func TestBrokerKilled(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	nodes := startNodes(t, b, 3)
	g := gather(t, "broker", nodes...)
	g.more(100)
	memory := make(map[*node]int64)
	for _, n := range nodes {
		memory[n] = n.resident()
	}
	killed := now()
	b.kill()
	var outages []outage
	for _, n := range nodes {
		outages = append(outages, outage{from: n, span: span{killed.Add(-lossBefore), g.refused(n)}})
	}
	for _, n := range nodes {
		g.meet(till(killed.Add(leaveWithin)), n)
	}

	// Each node goes on for its own.
	for _, n := range nodes {
		c := n.connect("newcomer@" + n.name)
		c.watch("broker")
		c.sees(patience, "broker", roster(g.members[n])...)
		if got := c.ask(`"type":"send","to":%q,"data":1`, g.members[nodes[0]][0].peer); got != "backend_error" && n != nodes[0] {
			t.Errorf("%s: send to a peer elsewhere: got %q, want backend_error", n.name, got)
		}
		if got := n.rest(one, http.MethodPost, "/v1/channels/broker/publish", map[string]any{"data": 1}, nil); got != http.StatusServiceUnavailable {
			t.Errorf("%s: REST publish: got status %d, want 503", n.name, got)
		}
		if got := n.rest(one, http.MethodGet, "/v1/usage", nil, nil); got != http.StatusOK {
			t.Errorf("%s: usage: got status %d, want 200", n.name, got)
		}
		g.members[n][0].await("a message by REST", func(f *frame) bool { return f.Type == "message" && f.From == "system" })
		c.leave()
	}
	late := newNode(t, nil, "late", "--nats", b.url())
	late.launch()
	g.more(250)
	for _, n := range nodes {
		if got := n.resident() - memory[n]; got > spare {
			t.Errorf("%s has gained %d MiB", n.name, got>>20)
		}
		g.meet(patience, n)
	}

	restarted := now()
	b.run(t)
	late.ready()
	g.add(late, "listener@late")
	g.allBack(append(nodes, late)...)
	g.more(100)
	// Who is back first does not know of the others, which have been missed, and they miss
	// what it says until they are back.
	_, remote := g.finish(append(outages, outage{span: span{restarted, g.back}})...)
	if remote.refused == 0 {
		t.Error("nothing was refused")
	}
	agreeOnUsage(t, append(nodes, late))
}

// TestBrokerRestarted kills the broker under load and starts it again before any node
// is missed: nobody leaves.
func TestBrokerRestarted(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	nodes := startNodes(t, b, 2)
	g := gather(t, "restart", nodes...)
	g.more(50)
	var outages []outage
	missed := false
	for i := range 2 {
		start, killed := time.Now(), now()
		b.kill()
		for _, n := range nodes {
			outages = append(outages, outage{from: n, span: span{killed.Add(-lossBefore), g.refused(n)}})
		}
		g.add(nodes[0], fmt.Sprintf("newcomer%d", i))
		b.run(t)
		took := time.Since(start)
		g.allBack(nodes...)
		if took > unmissed {
			t.Logf("this machine took %v to start the broker again", took)
			missed = true
			outages = append(outages, apart(nodes[0], nodes[1], killed, g.back)...)
		}
		g.more(50)
	}
	g.more(100)
	g.finish(outages...)
	if missed {
		return
	}
	for _, c := range g.everyone {
		for _, told := range c.told("restart") {
			if told[0] == '-' {
				t.Errorf("%s on %s is told %s", c.peer, c.node.name, told)
			}
		}
	}
}
