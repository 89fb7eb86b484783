package clustertest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestAcross holds three nodes to the contract as if they were one.
func TestAcross(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, startBroker(t), 3)
	for _, c := range []struct {
		name string
		test func(*testing.T, []*node)
	}{
		{"messages", testMessages},
		{"names", testNames},
		{"order", testOrder},
		{"directs", testDirects},
		{"REST", testREST},
		{"one roster", testRoster},
		{"crowd", testCrowd},
		{"usage", testUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			local := make([]*node, len(nodes))
			for i, n := range nodes {
				copied := *n
				copied.t = t
				local[i] = &copied
			}
			c.test(t, local)
		})
	}
}

// onEach connects a peer to each node, named with its number.
func onEach(nodes []*node, peer string) []*client {
	var clients []*client
	for i, n := range nodes {
		clients = append(clients, n.connect(fmt.Sprint(peer, "-", i)))
	}
	return clients
}

func testMessages(t *testing.T, nodes []*node) {
	const data = `{"b":1e999,"a":"A","a":2, "list":[ 1,2 ]}`
	exact, pattern := onEach(nodes, "exact"), onEach(nodes, "pattern")
	both := onEach(nodes, "both")
	stranger := nodes[2].connectAs(two, "stranger", nil).subscribe("news/today", "news/*", "**")
	for i := range nodes {
		exact[i].subscribe("news/today")
		pattern[i].subscribe("news/*")
		both[i].subscribe("news/today", "news/**", "**/today")
		both[i].do(`"type":"subscribe","channel":"*/today","includeSenderMetadata":true`)
	}
	for i, n := range nodes {
		alice := n.connectAs(one, "alice", map[string]any{"peerMetadata": map[string]any{"n": i}}).subscribe("news/today")
		again := nodes[(i+1)%3].connect("alice").subscribe("news/today")
		alice.publish("news/today", data)
		for k := range nodes {
			exact[k].wantMessage("news/today", "alice", "", data)
			pattern[k].wantMessage("news/today", "alice", "", data)
			both[k].wantMessage("news/today", "alice", fmt.Sprintf(`{"n":%d}`, i), data)
		}
		again.wantMessage("news/today", "alice", "", data)
		alice.leave()
		again.leave()
		alice.wantNone("message", "direct")
	}
	// Nothing came twice, nor to another app, if the next that comes is another.
	nodes[0].connectAs(two, "friend", nil).publish("news/today", `"two"`)
	stranger.wantMessage("news/today", "friend", "", `"two"`)
	exact[0].publish("news/today", `"last"`)
	for _, c := range slices.Concat(exact[1:], pattern, both) {
		c.wantMessage("news/today", "exact-0", "", `"last"`)
		c.wantNone("message", "direct")
	}
	stranger.wantNone("message", "direct")
}

// testNames uses names that a subject could not hold as they are.
func testNames(t *testing.T, nodes []*node) {
	names := []string{
		"a.b", "a b", ">", "a/>", "a/./b", "/", "//", "a//b", "a/", "=", "=41", "A", "ü/日本", "$SYS", "signalbox.all",
		"\u00a0", `q"\`, strings.Repeat("x", 256), strings.Repeat("/", 256), strings.Repeat("ü", 128),
	}
	listeners := onEach(nodes[1:], "names")
	for _, c := range listeners {
		for _, name := range names {
			c.subscribe(name)
		}
	}
	wide := nodes[2].connect("wide").subscribe("*", "a/*", "a/**", `\*`)
	talker := nodes[0].connect("a.b >*")
	for _, name := range names {
		talker.publish(name, fmt.Sprintf("%q", name))
		for _, c := range listeners {
			c.wantMessage(name, talker.peer, "", fmt.Sprintf("%q", name))
		}
		if !strings.Contains(name, "/") || strings.HasPrefix(name, "a/") {
			wide.wantMessage(name, talker.peer, "", fmt.Sprintf("%q", name))
		}
	}
	for _, peer := range []string{"a.b >*", "*", ">", "=", "x y", `"`, strings.Repeat("~", 128)} {
		far := nodes[1].connect(peer).reachable()
		talker.do(`"type":"send","to":%q,"data":%q`, peer, peer)
		far.wantDirect(talker.peer, "", fmt.Sprintf("%q", peer))
	}
	for _, c := range append(listeners, wide) {
		c.wantNone("message", "direct")
	}
}

// testOrder has talkers on every node talk to channels in turn. Who hears all of
// the channels, by name or by patterns, hears each in order.
func testOrder(t *testing.T, nodes []*node) {
	channels := []string{"order/1", "order/2", "order/3", "order/4"}
	var talkers []*talker
	listeners := slices.Concat(onEach(nodes, "order"), onEach(nodes, "pattern"), onEach(nodes, "mixed"))
	for i := range nodes {
		listeners[i].watch(channels...)
		listeners[3+i].subscribe("order/*")
		listeners[6+i].subscribe("order/1", "*/2", "order/**")
	}
	for range 2 {
		for _, c := range onEach(nodes, fmt.Sprint("talker", len(talkers))) {
			talkers = append(talkers, c.watch(channels...).talks(true, channels...))
		}
	}
	for _, s := range talkers {
		s.more(200)
	}
	finishAll(t, talkers, listeners...)
	var total count
	for _, s := range talkers {
		s.account(&total, nil, listeners...)
	}
	wantTruth(t, listeners)
	t.Log(total)
}

func testDirects(t *testing.T, nodes []*node) {
	const send = `"type":"send","to":%q,"data":%d`
	alice := nodes[0].connectAs(one, "alice-d", map[string]any{"peerMetadata": map[string]any{"k": "v"}})
	bobs := []*client{nodes[1].connect("bob-d").reachable(), nodes[2].connect("bob-d").reachable(), nodes[2].connect("bob-d").reachable()}
	for i := range 20 {
		alice.do(send, "bob-d", i)
		for _, bob := range bobs {
			bob.wantDirect("alice-d", `{"k":"v"}`, fmt.Sprint(i))
		}
	}
	for _, bob := range bobs {
		bob.wantNone("message", "direct")
	}
	if got := alice.ask(send, "nobody", 1); got != "peer_not_found" {
		t.Errorf("send to nobody: got %q, want peer_not_found", got)
	}
	stranger := nodes[0].connectAs(two, "stranger", nil)
	if got := stranger.ask(send, "bob-d", 1); got != "peer_not_found" {
		t.Errorf("send to another app's peer: got %q, want peer_not_found", got)
	}
	for i, bob := range bobs {
		alice.do(send, "bob-d", i)
		bob.leave()
	}
	waitFor(t, patience, "bob-d is gone for all", func() bool { return alice.ask(send, "bob-d", 9) == "peer_not_found" })
	back := nodes[1].connect("bob-d") // a peer with no other socket is found at once
	alice.do(send, "bob-d", 10)
	back.wantDirect("alice-d", `{"k":"v"}`, "10")
	alice.do(send, "alice-d", 11)
	alice.wantDirect("alice-d", `{"k":"v"}`, "11")

	// A publish and a send of one peer come in the order in which it said them.
	back.watch("directs/room")
	for i := range 50 {
		alice.publish("directs/room", fmt.Sprint(2*i))
		alice.do(send, "bob-d", 2*i+1)
	}
	for i := range 100 {
		f := back.await("what alice-d says", func(f *frame) bool { return f.From == "alice-d" })
		if string(f.Data) != fmt.Sprint(i) {
			t.Fatalf("got %s %s, want %d", f.Type, f.Data, i)
		}
	}
}

func testREST(t *testing.T, nodes []*node) {
	for i, n := range nodes {
		n.connectAs(one, fmt.Sprintf("rest-%d", i%2), map[string]any{"peerMetadata": map[string]any{"n": i}}).watch("rest/room")
	}
	pattern := nodes[2].connect("rest-pattern").subscribe("rest/*")
	nodes[1].connect("rest-other").watch("rest/zoo")
	lone := nodes[0].connect("rest-lone").watch("rest/lone")
	for _, n := range nodes {
		n.wantREST(one, http.MethodPost, "/v1/channels/rest%2Froom/publish", map[string]any{"data": 1}, `{"channel":"rest/room","delivered":4}`)
		pattern.wantMessage("rest/room", "system", "", "1")
		n.wantREST(one, http.MethodPost, "/v1/channels/rest%2Fempty/publish", map[string]any{"data": 1}, `{"channel":"rest/empty","delivered":1}`)
		pattern.wantMessage("rest/empty", "system", "", "1")
		n.wantREST(one, http.MethodPost, "/v1/channels/nobody%2Fhere/publish", map[string]any{"data": 1}, `{"channel":"nobody/here","delivered":0}`)
		n.wantREST(one, http.MethodPost, "/v1/peers/rest-0/send", map[string]any{"data": 1}, `{"peerId":"rest-0","delivered":2}`)
		n.wantREST(one, http.MethodPost, "/v1/peers/rest-lone/send", map[string]any{"data": 1}, `{"peerId":"rest-lone","delivered":1}`)
		lone.wantDirect("system", "", "1")
		n.wantREST(one, http.MethodPost, "/v1/peers/nobody/send", map[string]any{"data": 1}, `{"peerId":"nobody","delivered":0}`)
		n.wantREST(one, http.MethodGet, "/v1/channels/rest%2Flone/peers", nil, `{"channel":"rest/lone","peers":[{"peerId":"rest-lone"}]}`)
		n.wantREST(one, http.MethodGet, "/v1/channels/rest%2Fzoo/peers", nil, `{"channel":"rest/zoo","peers":[{"peerId":"rest-other"}]}`)
		n.wantREST(one, http.MethodGet, "/v1/channels/rest%2Fempty/peers", nil, `{"channel":"rest/empty","peers":[]}`)
		n.wantREST(two, http.MethodGet, "/v1/channels/rest%2Flone/peers", nil, `{"channel":"rest/lone","peers":[]}`)
		n.wantREST(one, http.MethodGet, "/v1/channels?prefix=rest/", nil,
			`{"channels":[{"channel":"rest/lone","peers":1},{"channel":"rest/room","peers":2},{"channel":"rest/zoo","peers":1}]}`)
		wantPeers(t, n, "rest/room", "rest-0", "rest-1")
	}
	nodes[2].wantREST(two, http.MethodDelete, "/v1/peers/rest-0", nil, `{"peerId":"rest-0","closed":0}`)
	nodes[1].wantREST(one, http.MethodDelete, "/v1/peers/rest-0", nil, `{"peerId":"rest-0","closed":2}`)
	nodes[1].wantREST(one, http.MethodDelete, "/v1/peers/rest-0", nil, `{"peerId":"rest-0","closed":0}`)
	nodes[1].wantREST(one, http.MethodDelete, "/v1/peers/rest-lone", nil, `{"peerId":"rest-lone","closed":1}`)
	lone.wantClosed(4020)
	for _, n := range nodes {
		waitFor(t, patience, "rest-0 is in no roster", func() bool { return slices.Equal(peersOf(n, "rest/room"), []string{"rest-1"}) })
	}
}

// peersOf is a channel's roster as REST tells it.
func peersOf(n *node, channel string) []string {
	n.t.Helper()
	var got struct{ Peers []rosterPeer }
	n.rest(one, http.MethodGet, "/v1/channels/"+channel+"/peers", nil, &got)
	ids := []string{}
	for _, p := range got.Peers {
		ids = append(ids, p.PeerID)
	}
	slices.Sort(ids)
	return ids
}

func wantPeers(t *testing.T, n *node, channel string, want ...string) {
	t.Helper()
	if got := peersOf(n, channel); !slices.Equal(got, want) {
		t.Errorf("%s: peers of %s: got %q, want %q", n.name, channel, got, want)
	}
}

// testRoster follows a peer with sockets on two nodes, and a socket that moves.
func testRoster(t *testing.T, nodes []*node) {
	const room = "roster/room"
	watchers := onEach(nodes, "watcher")
	for _, w := range watchers {
		w.watch(room)
	}
	allSee(patience, room, watchers)
	blind := nodes[1].connectAs(one, "blind", map[string]any{"permissions": []string{"subscribe"}}).subscribe(room)
	first := nodes[0].connect("p").watch(room)
	second := nodes[1].connect("p").watch(room)
	third := nodes[1].connect("p").watch(room)
	allThere := append(roster(watchers), "blind", "p")
	late := nodes[2].connect("late").watch(room)
	for _, c := range []*client{late, first, second, third} {
		c.sees(patience, room, append(allThere, "late")...)
	}
	late.leave()
	first.leave()
	third.leave()
	pattern := nodes[2].connect("pattern-watcher").subscribe("roster/*")
	second.publish(room, `{"by":"second","number":1,"member":true}`)
	second.do(`"type":"unsubscribe","channel":%q`, room)
	allSeeToo := func(more ...string) {
		t.Helper()
		for _, w := range watchers {
			w.sees(patience, room, append(roster(watchers), more...)...)
		}
	}
	allSeeToo("blind")
	again := nodes[2].connect("p").watch(room)
	allSeeToo("blind", "p")
	again.leave()
	blind.leave()
	mark := nodes[0].connect("mark").watch(room)
	allSeeToo("mark")
	for _, w := range watchers {
		told := slices.DeleteFunc(w.told(room), func(s string) bool { return s[1] == 'w' })
		var ofP []string
		for _, s := range told {
			if s[1:] == "p" {
				ofP = append(ofP, s)
			}
		}
		if want := []string{"+p", "-p", "+p", "-p"}; !slices.Equal(ofP, want) {
			t.Errorf("%s is told of p %q, want %q", w.peer, ofP, want)
		}
		for _, s := range []string{"+blind", "-blind", "+late", "-late", "+mark"} {
			if !slices.Contains(told, s) {
				t.Errorf("%s is told %q, want %q in it", w.peer, told, s)
			}
		}
	}
	if err := pattern.until(patience, func() bool { return len(pattern.heard["second"]) == 1 }); err != nil {
		t.Errorf("a pattern's subscriber hears second: %v", err)
	}
	for _, n := range nodes {
		wantPeers(t, n, room, append([]string{"mark"}, roster(watchers)...)...)
	}
	mark.leave()
	allSee(patience, room, watchers)
	wantTruth(t, watchers, []*client{first, second, third, late, mark})
	blind.wantNone("presence")
	pattern.wantNone("presence")
}

const (
	crowdSize   = 24
	crowdPeers  = 12
	crowdVisits = 12
)

// testCrowd has peers come, say something and go, on all nodes at once.
func testCrowd(t *testing.T, nodes []*node) {
	const room = "crowd/room"
	watchers := onEach(nodes, "watcher")
	for _, w := range watchers {
		w.watch(room)
	}
	var visitors sync.WaitGroup
	var mu sync.Mutex
	var seen []*client
	for i := range crowdSize {
		visitors.Go(func() {
			for k := range crowdVisits {
				c, err := nodes[(i+k)%len(nodes)].tryConnect(one, fmt.Sprint("p", i%crowdPeers), nil)
				if err == nil {
					err = visit(c, room, i*crowdVisits+k)
				}
				if err != nil {
					t.Errorf("visitor %d: %v", i, err)
					return
				}
				mu.Lock()
				seen = append(seen, c)
				mu.Unlock()
			}
		})
	}
	visitors.Wait()
	allSee(patience, room, watchers)
	wantTruth(t, watchers, seen)
	joins := 0
	for _, s := range watchers[0].told(room) {
		if s[0] == '+' {
			joins++
		}
	}
	t.Logf("%d visits, of which the first watcher was told %d joins", len(seen), joins)
}

// visit has a client subscribe, say something, and go in one of three ways.
func visit(c *client, room string, number int) error {
	if err := c.tryWatch(room); err != nil {
		return err
	}
	code, err := c.try(`"type":"publish","channel":%q,"data":{"by":"visit","number":%d,"member":true,"leaving":true}`, room, number+1)
	if err == nil && code != "" {
		err = fmt.Errorf("publish: %s", code)
	}
	switch number % 3 {
	case 0:
		c.leave()
	case 1:
		_, err = c.try(`"type":"unsubscribe","channel":%q`, room)
		c.leave()
	default:
		_ = c.conn.Close()
	}
	return err
}

// testUsage has an app's connections and messages count everywhere.
func testUsage(t *testing.T, nodes []*node) {
	var there []*client
	for i := range smallLimit {
		there = append(there, nodes[i%len(nodes)].connectAs(small, fmt.Sprint("p", i), nil))
	}
	agree := func(connections, messages int64) {
		t.Helper()
		for _, n := range nodes {
			var got usage
			waitFor(t, patience, fmt.Sprintf("%s tells %d connections and %d messages", n.name, connections, messages), func() bool {
				got = n.usage(small)
				return got.ConcurrentNow == connections && got.MessagesUsed == messages
			})
			if got.PeakConcurrent != smallLimit {
				t.Errorf("%s: peak: got %d, want %d", n.name, got.PeakConcurrent, smallLimit)
			}
		}
	}
	agree(smallLimit, 0)
	for _, n := range nodes {
		if c, err := n.tryConnect(small, "one too many", nil); err == nil || !strings.Contains(err.Error(), "4010") {
			t.Errorf("%s: connect beyond the limit: got %v, %v, want it closed with 4010", n.name, c, err)
		}
	}
	for i, c := range there {
		for range 10 + i {
			c.publish("usage", "1")
		}
	}
	there[0].leave()
	agree(smallLimit-1, 10*smallLimit+smallLimit*(smallLimit-1)/2)
	nodes[2].connectAs(small, "in its place", nil)
	agree(smallLimit, 10*smallLimit+smallLimit*(smallLimit-1)/2)
}
