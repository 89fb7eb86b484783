package clustertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// intruder is a plain client of the broker that hears and says what it likes.
type intruder struct {
	t    testing.TB
	conn *nats.Conn
}

func intrude(t testing.TB, b *broker) *intruder {
	t.Helper()
	conn, err := nats.Connect(b.url(), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return &intruder{t, conn}
}

// listen subscribes to a subject.
func (i *intruder) listen(subject string) *nats.Subscription {
	i.t.Helper()
	sub, err := i.conn.SubscribeSync(subject)
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = i.conn.Flush()
	}
	if err != nil {
		i.t.Fatal(err)
	}
	return sub
}

func (i *intruder) next(sub *nats.Subscription) *nats.Msg {
	i.t.Helper()
	m, err := sub.NextMsg(patience)
	if err != nil {
		i.t.Fatal(err)
	}
	return m
}

// say publishes, with a reply subject of its own for each subject.
func (i *intruder) say(subject string, payload []byte) {
	i.t.Helper()
	if err := i.conn.PublishRequest(subject, "signalbox.reply.intruder", payload); err != nil {
		i.t.Fatal(err)
	}
}

// TestHostile publishes nonsense on every subject that the nodes use, while load goes
// on: nothing of it reaches a client, and nobody is disturbed.
func TestHostile(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	nodes := startNodes(t, b, 2)
	i := intrude(t, b)
	all := i.listen("signalbox.>")
	g := gather(t, "hostile", nodes...)
	var witnesses []*client
	for _, n := range nodes {
		for k := range 2 {
			witnesses = append(witnesses, n.connect(fmt.Sprint("witness", k)).watch("quiet").subscribe("quiet/*", "**"))
		}
	}
	g.more(100)
	heard := i.capture(all)
	for range 3 {
		subjects := append(slices.Sorted(maps.Keys(heard)), "signalbox.c.app_one.quiet", "signalbox.c.app_one.quiet.x", "signalbox.c.nobody.x",
			"signalbox.c.app_one", "signalbox.c", "signalbox.d.app_one.witness0", "signalbox.d.app_one.=", "signalbox.c.app_one.=zz",
			"signalbox.n.1", "signalbox.r.1.1", "signalbox.hello", "signalbox")
		for _, subject := range subjects {
			for _, payload := range nonsense(heard[subject]) {
				i.say(subject, payload)
			}
		}
		if err := i.conn.Flush(); err != nil {
			t.Fatal(err)
		}
		g.more(50)
	}
	g.meet(patience, nodes...)
	for _, n := range nodes {
		if !n.running() {
			t.Fatalf("%s has ended", n.name)
		}
		for k := range 2 {
			g.members[n][0].do(`"type":"send","to":"witness%d","data":"fence"`, k)
		}
	}
	for _, w := range witnesses {
		for range nodes {
			if f := w.await("a direct", func(f *frame) bool { return f.Type == "direct" }); string(f.Data) != `"fence"` {
				t.Errorf("%s got a direct from %s: %s", w.peer, f.From, f.Data)
			}
		}
		w.wantNone("message", "direct", "error")
		if told := w.told("quiet"); len(told) > 2 {
			t.Errorf("%s is told %s", w.peer, told)
		}
	}
	_, remote := g.finish()
	if remote.refused+remote.lost > 0 {
		t.Errorf("refused and lost: got %v", remote)
	}
	for _, c := range g.everyone {
		for by, numbers := range c.heard {
			if !strings.HasPrefix(by, "talker") {
				t.Errorf("%s heard %v of %q", c.peer, numbers, by)
			}
		}
		c.wantNone("direct", "error")
	}
}

// capture takes some of what has come: the first payloads of each subject.
func (i *intruder) capture(sub *nats.Subscription) map[string][][]byte {
	i.t.Helper()
	const messages, most = 1000, 4
	heard := make(map[string][][]byte)
	for range messages {
		m := i.next(sub)
		if len(heard[m.Subject]) < most {
			heard[m.Subject] = append(heard[m.Subject], m.Data)
		}
	}
	return heard
}

// headSize is what nonsense takes to be the head of a payload: the format, the node's
// id, and a byte of the number of the message.
const headSize = 1 + 8 + 1

// nonsense is payloads that no node would send, made from such as one would: none, too
// short, random, of a strange format, and with random records behind a valid head, of
// a node that is there and of one that is not.
func nonsense(valid [][]byte) [][]byte {
	garbage := func(size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		return b
	}
	out := [][]byte{nil, {0}, garbage(3), garbage(40), garbage(5000), []byte("{}"), []byte(`{"node":1,"format":{}}`), slices.Repeat([]byte{0xff}, 300)}
	for _, v := range valid {
		if len(v) < headSize {
			continue
		}
		strange := slices.Clone(v)
		strange[0] ^= 0x40
		out = append(out, strange, v[:headSize-1], v[:len(v)-1])
		for kind := range 32 {
			for _, id := range [][]byte{v[1:9], garbage(8)} {
				head := slices.Concat(v[:1], id, []byte{0, byte(kind)})
				out = append(out,
					slices.Concat(head, garbage(rand.IntN(60))),
					slices.Concat(head, slices.Repeat([]byte{0xff}, 9), []byte{0x7f}, garbage(20)),
					slices.Concat(head, []byte{3}, garbage(3), []byte{200}))
			}
		}
	}
	return out
}

// TestStrangeFormat has a node of another version of the format say hello: nodes that
// run go on without it and say so once, and one that starts does not.
func TestStrangeFormat(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	i := intrude(t, b)
	hellos := i.listen("signalbox.hello")
	runs := startNodes(t, b, 1)[0]
	var hello map[string]any
	numbers := json.NewDecoder(strings.NewReader(string(i.next(hellos).Data)))
	numbers.UseNumber()
	if err := numbers.Decode(&hello); err != nil {
		t.Fatal(err)
	}
	hello["node"], hello["format"], hello["version"] = "stranger", 99, "v99.0.0"
	switch id := hello["id"].(type) {
	case json.Number:
		hello["id"] = 12345
	case string:
		hello["id"] = strings.Repeat("7", len(id))
	default:
		t.Fatalf("id of a hello: got %v", id)
	}
	text, err := json.Marshal(hello)
	if err != nil {
		t.Fatal(err)
	}
	named := func(e entry) bool { line, _ := json.Marshal(e); return strings.Contains(string(line), "stranger") }
	for range 5 {
		i.say("signalbox.hello", text)
	}
	runs.await("that a stranger is there", named)
	c := runs.connect("undisturbed")
	c.do(`"type":"publish","channel":"c","data":1`)

	// From now on the stranger says hello without an end.
	starts := newNode(t, nil, "starts", "--nats", b.url())
	starts.launch()
	waitFor(t, patience, "a node does not start where one of another format is", func() bool {
		i.say("signalbox.hello", text)
		return !starts.running()
	})
	if got := starts.exit(); got != 1 {
		t.Errorf("exit status: got %d, want 1", got)
	}
	last := strings.TrimSpace(starts.tail())
	last = last[strings.LastIndexByte(last, '\n')+1:]
	if !strings.HasPrefix(last, "signalbox: error: ") || !strings.Contains(last, "99") || !strings.Contains(last, "stranger") {
		t.Errorf("the last line: got %q, want an error that names the node and its format", last)
	}
	c.do(`"type":"publish","channel":"c","data":1`)
	if got := len(runs.logged(named)); got != 1 {
		t.Errorf("the one that runs has logged the stranger %d times, want once", got)
	}
}

// TestSameName starts two nodes of one name: they are two nodes all the same.
func TestSameName(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	var nodes []*node
	for range 2 {
		n := newNode(t, nil, "twin", "--nats", b.url())
		n.launch()
		nodes = append(nodes, n)
	}
	var clients []*client
	for k, n := range nodes {
		n.ready()
		clients = append(clients, n.connect(fmt.Sprint("p", k)).watch("twins"))
	}
	allSee(patience, "twins", clients)
	clients[0].publish("twins", "1")
	clients[1].wantMessage("twins", "p0", "", "1")
	nodes[0].terminate()
	clients[1].sees(leaveWithin, "twins")
	wantTruth(t, clients)
}
