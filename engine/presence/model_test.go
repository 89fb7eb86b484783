package presence

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// roster is the naive model of one: what each peer's newest socket says.
type roster map[string]string

func listed(c Cut) roster {
	r := roster{}
	c.Each(func(id, meta string) { r[id] = meta })
	return r
}

// texts returns the messages of a snapshot, made in pieces of random length, and
// holds their lengths against what was said of them.
func texts(t *testing.T, s *Snapshot, random *rand.Rand) (all [][]byte) {
	t.Helper()
	for size := s.Begin(); size > 0; size = s.Begin() {
		var text []byte
		for s.Left() > 0 {
			text = s.Append(text, 1+random.IntN(1<<random.IntN(20)))
		}
		if len(text) != size {
			t.Fatalf("a message of %d bytes was said to have %d", len(text), size)
		}
		all = append(all, text)
	}
	return all
}

// told is a snapshot on its way and what it is to tell.
type told struct {
	snapshot *Snapshot
	since    uint32
	text     []byte
	heard    *believer
	want     roster
}

// advance makes a piece of the snapshot and reports whether it was the last.
func (s *told) advance(t *testing.T, random *rand.Rand) bool {
	if s.snapshot.Left() == 0 {
		if s.text != nil {
			s.heard.hear(t, s.text)
			s.text = nil
		}
		if s.snapshot.Begin() == 0 {
			return true
		}
	}
	s.text = s.snapshot.Append(s.text, 1+random.IntN(1<<random.IntN(14)))
	return false
}

// socketsModel is the naive model of a Home: all sockets, oldest first.
type socketsModel []modelSocket

type modelSocket struct {
	peer string
	ref  uint64
	meta string
}

func (m socketsModel) roster() roster {
	r := roster{}
	for _, s := range m {
		r[s.peer] = s.meta
	}
	return r
}

func (m socketsModel) without(peer string, ref uint64) socketsModel {
	return slices.DeleteFunc(slices.Clone(m), func(s modelSocket) bool { return s.peer == peer && s.ref == ref })
}

// between is the Change that takes one roster to the next.
func between(was, is roster, id string) Change {
	before, had := was[id]
	after, has := is[id]
	switch {
	case !had && has:
		return Change{Kind: Join, ID: id, Meta: after}
	case had && !has:
		return Change{Kind: Leave, ID: id}
	case before != after:
		return Change{Kind: Update, ID: id, Meta: after}
	}
	return Change{}
}

// same reports whether two changes are, but for the place.
func same(a, b Change) bool {
	a.At, b.At = 0, 0
	return a == b
}

// believer is a subscriber that applies what it is told.
type believer struct {
	since uint32
	peers roster
}

type presenceFrame struct {
	Channel      string
	Joined, Left []struct {
		PeerID   string
		Metadata json.RawMessage
	}
}

// hear applies one frame as clients do: joined, then left.
func (b *believer) hear(t *testing.T, text []byte) {
	t.Helper()
	if len(text) >= 1_000_000 {
		t.Fatalf("a frame of %d bytes", len(text))
	}
	var f presenceFrame
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if f.Joined == nil || f.Left == nil {
		t.Fatalf("a list is missing: %s", text)
	}
	for _, p := range f.Joined {
		if _, ok := b.peers[p.PeerID]; ok {
			t.Fatalf("%s joined again: %s", p.PeerID, text)
		}
		b.peers[p.PeerID] = string(p.Metadata)
	}
	for _, p := range f.Left {
		for _, q := range f.Joined {
			if p.PeerID == q.PeerID {
				t.Fatalf("%s is in both lists", p.PeerID)
			}
		}
		if _, ok := b.peers[p.PeerID]; !ok {
			t.Fatalf("%s left and was not there: %s", p.PeerID, text)
		}
		if p.Metadata != nil {
			t.Fatalf("a leave with metadata: %s", text)
		}
		delete(b.peers, p.PeerID)
	}
}

// TestRandomRosters lets sockets come and go, and holds the home, a replica and
// subscribers that hear of it at different times against naive models.
func TestRandomRosters(t *testing.T) {
	for seed := range uint64(16) {
		random := rand.New(rand.NewPCG(seed, 3))
		// Sequence numbers begin where they are about to wrap around.
		w := &rosters{random: random, home: new(Home), seq: ^uint32(0) - uint32(random.IntN(200)), size: []int{3, 10, 20, 200}[seed%4]}
		w.replica = w.home.Cut().Replica()
		w.told = w.seq
		for range 2000 {
			w.step(t)
			if t.Failed() {
				t.Fatal("seed ", seed)
			}
		}
	}
}

// rosters is a home with everything that hears of it.
type rosters struct {
	random    *rand.Rand
	home      *Home
	model     socketsModel
	replica   *Roster
	snapshots []*told
	deltas    Deltas
	seq, told uint32
	believers []*believer
	size      int // peers
}

func (w *rosters) step(t *testing.T) {
	r := w.random
	id := fmt.Sprintf("peer %d", r.IntN(w.size))
	ref := uint64(r.IntN(4))
	switch n := r.IntN(100); {
	case n < 40:
		meta := ""
		if r.IntN(2) == 0 {
			meta = fmt.Sprintf(`{"n":%d}`, r.IntN(3))
		}
		next := append(w.model.without(id, ref), modelSocket{id, ref, meta})
		w.change(t, id, next, w.home.Join(id, ref, meta))
	case n < 75:
		w.change(t, id, w.model.without(id, ref), w.home.Leave(id, ref))
	case n < 77:
		self, want := fmt.Sprintf("peer %d", r.IntN(w.size)), w.model.roster()
		delete(want, self)
		from := w.home.Cut()
		if r.IntN(2) == 0 {
			from = w.replica.Cut()
		}
		w.snapshots = append(w.snapshots, &told{
			snapshot: from.Snapshot("c", self), since: w.seq, heard: &believer{peers: roster{}}, want: want,
		})
	case n < 79:
		w.replica = w.home.Cut().Replica()
	case n < 80:
		w.replica.Cool(0)
	case n < 86 && len(w.snapshots) > 0:
		i := r.IntN(len(w.snapshots))
		if s := w.snapshots[i]; s.advance(t, r) {
			if !maps.Equal(s.heard.peers, s.want) {
				t.Errorf("snapshot: got %v, want %v", s.heard.peers, s.want)
			}
			w.snapshots = slices.Delete(w.snapshots, i, i+1)
		}
	case n < 88:
		b := &believer{since: w.seq, peers: roster{}}
		for _, text := range texts(t, w.replica.Cut().Snapshot("c", ""), r) {
			b.hear(t, text)
		}
		if is := w.model.roster(); !maps.Equal(b.peers, is) {
			t.Errorf("snapshot: got %v, want %v", b.peers, is)
		}
		w.believers = append(w.believers, b)
	case n < 95 && len(w.believers) > 0:
		w.tell(t, w.believers[r.IntN(len(w.believers))])
	default:
		w.trim(t)
	}
}

// change holds a Change against the model and passes it on.
func (w *rosters) change(t *testing.T, id string, next socketsModel, got Change) {
	was := w.model.roster()
	w.model = next
	is := w.model.roster()
	if want := between(was, is, id); !same(got, want) {
		t.Errorf("change: got %v, want %v", got, want)
	}
	if w.home.Len() != len(is) || !maps.Equal(listed(w.home.Cut()), is) {
		t.Errorf("home: got %v, want %v", listed(w.home.Cut()), is)
	}
	w.replica.Apply(got)
	if w.replica.Len() != len(is) || !maps.Equal(listed(w.replica.Cut()), is) {
		t.Errorf("replica: got %v, want %v", listed(w.replica.Cut()), is)
	}
	if got.Kind == None {
		return
	}
	w.seq++
	if got.Kind == Update {
		return
	}
	w.deltas.Add(got, w.seq)
	for _, b := range w.believers {
		if !w.deltas.InvolvesSince(got.ID, b.since) {
			t.Errorf("%s has a step that %d does not know", got.ID, b.since)
		}
	}
}

// spoken returns the messages of d's frames.
func spoken(d *Deltas, since, to uint32) (texts [][]byte) {
	frames, _ := d.Frames("c", since, to)
	for _, b := range frames {
		header := 1
		for frame.HeaderLen(len(b)-header) != header {
			header++
		}
		texts = append(texts, b[header:])
	}
	return texts
}

// tell brings a believer up to a point between what it knows and now.
func (w *rosters) tell(t *testing.T, b *believer) {
	to := b.since + uint32(w.random.IntN(int(w.seq-b.since)+1))
	if w.random.IntN(2) == 0 {
		to = w.seq
	}
	for _, text := range spoken(&w.deltas, b.since, to) {
		b.hear(t, text)
	}
	if b.since = to; to != w.seq {
		return
	}
	is := w.model.roster()
	for id := range is {
		if _, ok := b.peers[id]; !ok {
			t.Errorf("%s is there and not believed to be", id)
		}
		if w.deltas.InvolvesSince(id, b.since) {
			t.Errorf("%s is said to have a step behind the last", id)
		}
	}
	if len(b.peers) != len(is) {
		t.Errorf("believed %d peers, there are %d", len(b.peers), len(is))
	}
}

// trim drops what every believer knows.
func (w *rosters) trim(t *testing.T) {
	to := w.seq
	for _, b := range w.believers {
		if int32(b.since-to) < 0 {
			to = b.since
		}
	}
	before, dropped := w.deltas.Len(), 0
	w.deltas.Trim(to, func(string) { dropped++ })
	if before-dropped != w.deltas.Len() {
		t.Errorf("trim of %d: %d dropped, %d left", before, dropped, w.deltas.Len())
	}
	if w.random.IntN(4) == 0 {
		w.believers = w.believers[:0]
	}
}

func TestFolding(t *testing.T) {
	join := func(id string) Change { return Change{Kind: Join, ID: id, Meta: `{"a":1}`} }
	leave := func(id string) Change { return Change{Kind: Leave, ID: id} }
	const (
		joined = `{"type":"presence","channel":"c","joined":[{"peerId":"p","metadata":{"a":1}}],"left":[]}`
		left   = `{"type":"presence","channel":"c","joined":[],"left":[{"peerId":"p"}]}`
	)
	for _, tc := range []struct {
		name  string
		steps []Change
		want  []string
	}{
		{"nothing", nil, nil},
		{"a join", []Change{join("p")}, []string{joined}},
		{"a leave", []Change{leave("p")}, []string{left}},
		{"there and gone, seen by nobody", []Change{join("p"), leave("p")}, nil},
		{"gone and back", []Change{leave("p"), join("p")}, []string{left, joined}},
		{"gone, back and gone", []Change{leave("p"), join("p"), leave("p")}, []string{left}},
		{"one comes, another goes", []Change{join("p"), leave("q")},
			[]string{`{"type":"presence","channel":"c","joined":[{"peerId":"p","metadata":{"a":1}}],"left":[{"peerId":"q"}]}`}},
	} {
		var d Deltas
		for i, c := range tc.steps {
			d.Add(c, uint32(i+1))
		}
		var got []string
		for _, text := range spoken(&d, 0, uint32(len(tc.steps))) {
			got = append(got, string(text))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestSplit lets rosters and deltas grow beyond what one frame may hold.
func TestSplit(t *testing.T) {
	for _, tc := range []struct {
		name   string
		peers  int
		id     string // padding of the ids
		meta   string
		frames int
	}{
		{"nobody", 0, "", "", 1},
		{"as many as fit", 900, "", `{"m":"` + strings.Repeat("m", 1000) + `"}`, 1},
		{"metadata", 2000, "", `{"m":"` + strings.Repeat("m", 1000) + `"}`, 3},
		{"ids that double when escaped", 5000, strings.Repeat(`"\`, 50), "", 2},
	} {
		h, d := new(Home), new(Deltas)
		for i := range tc.peers {
			c := h.Join(fmt.Sprintf("%d %s", i, tc.id), 1, tc.meta)
			d.Add(c, uint32(i+1))
		}
		snapshot := texts(t, h.Cut().Snapshot(strings.Repeat("c", 256), ""), rand.New(rand.NewPCG(1, 2)))
		b := &believer{peers: roster{}}
		for _, text := range snapshot {
			b.hear(t, text)
		}
		if len(snapshot) != tc.frames || !maps.Equal(b.peers, listed(h.Cut())) {
			t.Errorf("%s: got %d peers in %d frames, want %d in %d", tc.name, len(b.peers), len(snapshot), tc.peers, tc.frames)
		}
		b = &believer{peers: roster{}}
		for _, text := range spoken(d, 0, uint32(tc.peers)) {
			b.hear(t, text)
		}
		if !maps.Equal(b.peers, listed(h.Cut())) {
			t.Errorf("%s: deltas: got %d peers, want %d", tc.name, len(b.peers), tc.peers)
		}
		for i := range tc.peers {
			d.Add(Change{Kind: Leave, ID: fmt.Sprintf("%d %s", i, tc.id)}, uint32(tc.peers+i+1))
		}
		for _, text := range spoken(d, uint32(tc.peers), uint32(2*tc.peers)) {
			b.hear(t, text)
		}
		if len(b.peers) != 0 {
			t.Errorf("%s: %d peers left behind", tc.name, len(b.peers))
		}
	}
}

func TestSnapshotLeavesOutSelf(t *testing.T) {
	for _, n := range []int{1, 2, pageLen - 1, pageLen, pageLen + 1, 3 * pageLen, 300 * pageLen} {
		for _, i := range []int{0, n / 2, n - 1} {
			h := new(Home)
			for k := range n {
				h.Join(fmt.Sprintf("%d %s", k, strings.Repeat("x", 100)), 1, "")
			}
			self := h.at(i).peer
			want := listed(h.Cut())
			delete(want, self)
			b := &believer{peers: roster{}}
			got := texts(t, h.Cut().Snapshot("c", self), rand.New(rand.NewPCG(1, uint64(n))))
			for _, text := range got {
				b.hear(t, text)
			}
			if !maps.Equal(b.peers, want) || len(got) > 4 {
				t.Errorf("peer %d of %d: got %d others in %d messages", i, n, len(b.peers), len(got))
			}
		}
	}
}

// TestSnapshotOfOneFrame has a list that fills a frame to the last byte, and one
// that is a byte longer.
func TestSnapshotOfOneFrame(t *testing.T) {
	for _, over := range []int{0, 1} {
		h := new(Home)
		meta := func(n int) string { return `"` + strings.Repeat("m", n-2) + `"` }
		h.Join("me", 1, "")
		size := protocol.PresenceSize("c") - 1
		for i := 0; ; i++ {
			e := entry{fmt.Sprintf("%08d", i), socket{meta: meta(4000)}}
			if spare := MaxFrame - size - e.size(); spare < 0 {
				e.meta = meta(4000 + spare + over)
			}
			h.Join(e.peer, 1, e.meta)
			if size += e.size(); size >= MaxFrame {
				break
			}
		}
		got := texts(t, h.Cut().Snapshot("c", "me"), rand.New(rand.NewPCG(1, 1)))
		if len(got) != 1+over {
			t.Errorf("%d bytes over: got %d frames, the first of %d bytes", over, len(got), len(got[0]))
		}
	}
}

// TestCutIsCheap counts what a snapshot of a large roster has encoded: a page at
// a time, once for all.
func TestCutIsCheap(t *testing.T) {
	h := new(Home)
	for i := range 1000 * pageLen {
		h.Join(fmt.Sprint("peer ", i), 1, "")
	}
	encoded := func() (n int) {
		for _, p := range h.pages {
			if p.text.Load() != nil {
				n++
			}
		}
		return n
	}
	if got := testing.AllocsPerRun(10, func() { h.Cut() }); got != 0 {
		t.Errorf("a cut: got %v allocations, want none", got)
	}
	s := h.Cut().Snapshot("c", "peer 1")
	s.Begin()
	if n := encoded(); n != 0 {
		t.Errorf("begun: got %d pages encoded, want none", n)
	}
	s.Append(nil, 10_000)
	if n := encoded(); n < 1 || n > 10 {
		t.Errorf("after 10 000 bytes: got %d pages encoded", n)
	}
	before := encoded()
	other := h.Cut().Snapshot("c", "peer 2")
	other.Begin()
	if other.Append(nil, 5000); encoded() != before {
		t.Errorf("another's: got %d pages encoded, want %d as before", encoded(), before)
	}
	h.Leave("peer 3", 1)
	h.Join("peer 3", 1, "")
	if n := encoded(); n < before-1 {
		t.Errorf("after a leave: got %d pages encoded, want %d", n, before-1)
	}
}

// TestCoolInPieces has the text of a large roster dropped, with a snapshot in the
// midst of it.
func TestCoolInPieces(t *testing.T) {
	h := new(Home)
	const pages = 5*coolPages/2 + 1
	for i := range pages * pageLen {
		h.Join(strconv.Itoa(i), 1, "")
	}
	encoded := func() (n int) {
		for _, p := range h.pages {
			if p.text.Load() != nil {
				n++
			}
		}
		return n
	}
	tell := func(now int64) bool {
		s := h.Cut().Snapshot("c", "nobody")
		for s.Begin() > 0 {
			s.Append(nil, s.Left())
		}
		return h.Warm(now)
	}
	if !tell(1000) || tell(2000) {
		t.Error("a roster in use is not to be cooled once")
	}
	for _, tc := range []struct {
		name       string
		before     int64
		used, done bool
		left       int
	}{
		{"in use", 1999, true, false, pages},
		{"a piece", 2000, false, false, pages - coolPages},
		{"in use again", 2999, true, false, pages},
		{"first", 3000, false, false, pages - coolPages},
		{"second", 3001, false, false, pages - 2*coolPages},
		{"last", 3002, false, true, 0},
	} {
		if tc.name == "in use again" {
			tell(3000)
		}
		used, done := h.Cool(tc.before)
		if used != tc.used || done != tc.done || encoded() != tc.left {
			t.Errorf("%s: got used %v, done %v, %d pages with text; want %v, %v, %d", tc.name, used, done, encoded(), tc.used, tc.done, tc.left)
		}
	}
	if !tell(4000) {
		t.Error("a roster that is cold is not to be cooled")
	}
}
