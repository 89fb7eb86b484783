package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"
)

const (
	app      = "app_demo"
	patience = time.Minute // until a test gives up on an event
	maxData  = 65536

	fencePeer = "nobody" // whose kick is no event
)

// quick are times that tests need not wait for.
var quick = times{
	tick: 10 * time.Millisecond, beat: 50 * time.Millisecond, linger: 30 * time.Millisecond,
	round: patience, ping: patience, dial: patience, // however busy the machine is
	quiet: 100 * time.Millisecond, join: 300 * time.Millisecond,
}

// natsServer runs a server of NATS; port -1 takes any, which nobody else has before the
// test ends.
func natsServer(t *testing.T, port int) *server.Server {
	t.Helper()
	return natsServerOf(t, server.Options{Port: port})
}

// natsServerOf runs a server of NATS with these options, and what tests need.
func natsServerOf(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	if o.Port < 0 {
		o.Port = reservePort(t)
	}
	o.Host, o.NoSigs, o.NoLog, o.NoSystemAccount = "127.0.0.1", true, true, true
	o.WriteDeadline, o.AuthTimeout = patience, patience.Seconds()
	s, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS does not start")
	}
	t.Cleanup(func() { stopNATS(s) })
	return s
}

// reservePort returns a port for servers of this test alone, also between one and the next:
// until it ends a socket is bound to it that does not listen, beside which they may.
func reservePort(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return addr.(*unix.SockaddrInet4).Port
}

func stopNATS(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func portOf(s *server.Server) int { return s.Addr().(*net.TCPAddr).Port }

// node is a bus with a Node that writes down what it is handed.
type node struct {
	*NATS
	t *testing.T
	r *recorder
}

func config(url, name string) Config {
	return Config{URLs: url, Name: name, MaxMessageSize: maxData, Version: "test", Logger: slog.New(slog.DiscardHandler), times: quick}
}

// join has a node join the cluster of the server.
func join(t *testing.T, s *server.Server, name string) *node {
	t.Helper()
	return start(t, config(s.ClientURL(), name))
}

func start(t *testing.T, c Config) *node {
	t.Helper()
	b, err := Join(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{NATS: b, t: t, r: &recorder{bus: b, eventC: make(chan string, 1<<16), shares: make(map[string]Share)}}
	t.Cleanup(n.Close)
	b.Start(n.r)
	return n
}

// joinAll has several nodes join, and returns when all know all and have told each other
// what they tell when they meet.
func joinAll(t *testing.T, s *server.Server, names ...string) []*node {
	t.Helper()
	return joinAllOf(t, config(s.ClientURL(), ""), names...)
}

// joinAllOf is joinAll of nodes with this configuration.
func joinAllOf(t *testing.T, c Config, names ...string) []*node {
	t.Helper()
	nodes := make([]*node, len(names))
	for i, name := range names {
		c.Name = name
		nodes[i] = start(t, c)
	}
	for _, n := range nodes {
		n.knows(len(names) - 1)
	}
	for _, n := range nodes {
		n.until("it has exchanged all shares", func(Stats) bool {
			nodes[(slices.Index(nodes, n)+1)%len(nodes)].fence()
			return n.r.atPeace.Load()
		})
	}
	return nodes
}

// losesPatience has the node wait no longer for answers to its messages to peers, and for
// the ends of its rounds.
func (n *node) losesPatience() {
	n.rounds.mu.Lock()
	defer n.rounds.mu.Unlock()
	for _, ask := range n.rounds.asks {
		if ask.timer != nil {
			ask.timer.Reset(0)
		}
	}
	for _, open := range n.rounds.open {
		open.timer.Reset(0)
	}
}

// knows waits until the node knows so many others.
func (n *node) knows(others int) {
	n.t.Helper()
	n.until("it knows the others", func(s Stats) bool { return len(s.Nodes) == others })
}

// until waits for what no event tells.
func (n *node) until(what string, ok func(Stats) bool) {
	n.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	enough := time.After(patience)
	for !ok(n.Stats()) {
		select {
		case <-tick.C:
		case <-enough:
			n.t.Fatalf("%s: not within %v: %s: %+v", n.name, patience, what, n.Stats())
		}
	}
}

// stranger says what it likes as a node that answers nothing.
type stranger struct {
	t    *testing.T
	conn *nats.Conn
	said uint64
}

const strangeID NodeID = 42

func newStranger(t *testing.T, s *server.Server) *stranger {
	t.Helper()
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return &stranger{t: t, conn: conn}
}

// say says records to all nodes.
func (s *stranger) say(records []byte) {
	s.t.Helper()
	s.said++
	if err := s.conn.Publish(subjectAll, payload(strangeID, s.said, records...)); err != nil {
		s.t.Fatal(err)
	}
}

// next returns the next event.
func (n *node) next() string {
	n.t.Helper()
	select {
	case e := <-n.r.eventC:
		return e
	case <-time.After(patience):
		n.t.Fatalf("%s: no event: %+v", n.name, n.Stats())
		return ""
	}
}

// wants takes the next event, which must be this one.
func (n *node) wants(want string) {
	n.t.Helper()
	if got := n.next(); got != want {
		n.t.Fatalf("%s: got event %q, want %q", n.name, got, want)
	}
}

// after passes over events until this one.
func (n *node) after(want string) {
	n.t.Helper()
	for n.next() != want {
	}
}

// clear passes over the events there are.
func (n *node) clear() {
	for {
		select {
		case <-n.r.eventC:
		default:
			return
		}
	}
}

// fence returns when all that the node has said so far has been handed over by
// all others.
func (n *node) fence() {
	n.t.Helper()
	doneC := make(chan struct{})
	if err := n.Kick(app, fencePeer, func(int) { close(doneC) }); err != nil {
		n.t.Fatal(err)
	}
	n.wait(doneC, "all to answer")
}

func (n *node) wait(c <-chan struct{}, what string) {
	n.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		n.t.Fatalf("%s: waited for %s", n.name, what)
	}
}

// entersChannel enters a channel and waits until it has.
func (n *node) entersChannel(channel string, members ...Member) {
	n.t.Helper()
	doneC := make(chan struct{})
	s := Share{App: app, Channel: channel, Version: 1, Members: members}
	n.r.mu.Lock()
	n.r.shares[channel] = s
	n.r.mu.Unlock()
	n.EnterChannel(s, func(bool) { close(doneC) })
	n.wait(doneC, "having entered")
}

func (n *node) entersPattern(pattern string) {
	n.t.Helper()
	doneC := make(chan struct{})
	n.EnterPattern(app, pattern, func(bool) { close(doneC) })
	n.wait(doneC, "having entered")
}

// publishes publishes text as a JSON string.
func (n *node) publishes(channel, from, text string) error {
	return n.Publish(message(channel, from, text), nil)
}

func message(channel, from, text string) Publication {
	return framed(Publication{App: app, Channel: channel, From: from, Data: []byte(`"` + text + `"`)})
}

func directTo(to, from, text string) Direct {
	return Direct{App: app, To: to, From: from, Data: []byte(`"` + text + `"`)}
}

// sums returns a callback and what waits for its number.
func (n *node) sums() (counted func(int), sum func() int) {
	c := make(chan int, 2)
	return func(sockets int) { c <- sockets }, func() int {
		n.t.Helper()
		select {
		case sockets := <-c:
			return sockets
		case <-time.After(patience):
			n.t.Fatalf("%s: nothing was counted", n.name)
			return 0
		}
	}
}

// recorder is a Node that writes down what it is handed, and answers as it is told
// to.
type recorder struct {
	bus    Bus
	eventC chan string
	finds  atomic.Bool // found is an event: most tests care as little as the beats do when it comes

	atPeace atomic.Bool // it was estranged from nobody at the last fence

	mu sync.Mutex
	// Guarded by mu.
	sockets  int           // that each message, direct and kick counts
	holdC    chan struct{} // if not nil, they are counted once it is closed
	members  []Member
	occupied []Occupied
	shares   map[string]Share // by channel
	tellC    chan struct{}    // if not nil, who is found is told all shares once it is closed
}

// counting has the recorder count so many sockets from now on.
func (r *recorder) counting(sockets int, holdC chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sockets, r.holdC = sockets, holdC
}

func (r *recorder) event(format string, args ...any) { r.eventC <- fmt.Sprintf(format, args...) }

func (r *recorder) count(counted func(int)) {
	if counted == nil {
		return
	}
	r.mu.Lock()
	sockets, holdC := r.sockets, r.holdC
	r.mu.Unlock()
	if holdC == nil {
		counted(sockets)
		return
	}
	go func() {
		<-holdC
		counted(sockets)
	}()
}

func (r *recorder) Publish(p Publication, counted func(int)) {
	r.event("message %s %s %s%s", p.Channel, p.From, p.Data, p.FromMetadata)
	r.count(counted)
}

func (r *recorder) Send(d Direct, counted func(int)) {
	r.event("direct %s %s %s%s", d.To, d.From, d.Data, d.FromMetadata)
	r.count(counted)
}

func (r *recorder) Kick(_, peer string, closed func(int)) {
	if peer == fencePeer {
		r.atPeace.Store(atPeace(r.bus.(*NATS)))
	} else {
		r.event("kick %s", peer)
	}
	r.count(closed)
}

// atPeace reports whether the node has exchanged all shares with those that it knows.
// Reader only.
func atPeace(b *NATS) bool {
	for _, o := range b.members.origins {
		if o.beat.number == 0 || o.back || o.next != nil || o.estranged.Load() > 0 || len(o.kept) > 0 {
			return false
		}
	}
	return true
}

func (r *recorder) Peers(_, channel string, found func([]Member)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found(r.members)
}

func (r *recorder) Channels(_, prefix, after string, limit int, found func([]Occupied)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found(r.occupied)
}

func (r *recorder) Share(from NodeID, s Share, asked bool) {
	r.event("share %s %d %s", s.Channel, s.Version, names(s.Members))
	r.mu.Lock()
	own, ok := r.shares[s.Channel]
	r.mu.Unlock()
	if asked && ok {
		r.bus.Answer(from, own)
	}
}

func names(members []Member) string {
	var b strings.Builder
	for _, m := range members {
		b.WriteString("+" + m.Peer + m.Meta)
	}
	return b.String()
}

func (r *recorder) Step(_ NodeID, s Step) {
	sign := "+"
	if s.Leaves {
		sign = "-"
	}
	r.event("step %s %d %s%s%s", s.Channel, s.Version, sign, s.Member.Peer, s.Member.Meta)
}

func (r *recorder) Exit(_ NodeID, _, channel string) { r.event("exit %s", channel) }
func (r *recorder) Settle()                          { r.event("settle") }
func (r *recorder) Gone(NodeID)                      { r.event("gone") }

func (r *recorder) Found(_ NodeID, told func()) {
	if r.finds.Load() {
		r.event("found")
	}
	r.mu.Lock()
	tellC := r.tellC
	r.mu.Unlock()
	if tellC == nil {
		told()
		return
	}
	go func() {
		<-tellC
		told()
	}()
}

func (r *recorder) Resync(told func()) {
	r.event("resync")
	told()
}
