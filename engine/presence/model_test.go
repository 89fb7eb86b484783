package presence

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// roster is the naive model of one: what each peer's newest socket says.
type roster map[string]string

func listed(l Lister) roster {
	r := roster{}
	l.Each(func(id, meta string) { r[id] = meta })
	return r
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
		return Change{Join, id, after}
	case had && !has:
		return Change{Kind: Leave, ID: id}
	case before != after:
		return Change{Update, id, after}
	}
	return Change{}
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
		w.replica = w.home.Roster()
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
	case n < 80:
		b := &believer{since: w.seq, peers: roster{}}
		for _, text := range Snapshot("c", w.replica, "") {
			b.hear(t, text)
		}
		if !maps.Equal(b.peers, listed(w.replica)) {
			t.Errorf("snapshot: got %v, want %v", b.peers, listed(w.replica))
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
	if want := between(was, is, id); got != want {
		t.Errorf("change: got %v, want %v", got, want)
	}
	if w.home.Len() != len(is) || !maps.Equal(listed(w.home), is) {
		t.Errorf("home: got %v, want %v", listed(w.home), is)
	}
	w.replica.Apply(got)
	if w.replica.Len() != len(is) || !maps.Equal(listed(w.replica), is) {
		t.Errorf("replica: got %v, want %v", listed(w.replica), is)
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

// tell brings a believer up to a point between what it knows and now.
func (w *rosters) tell(t *testing.T, b *believer) {
	to := b.since + uint32(w.random.IntN(int(w.seq-b.since)+1))
	if w.random.IntN(2) == 0 {
		to = w.seq
	}
	for _, text := range w.deltas.Frames("c", b.since, to) {
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
	join := func(id string) Change { return Change{Join, id, `{"a":1}`} }
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
		for _, text := range d.Frames("c", 0, uint32(len(tc.steps))) {
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
		snapshot := Snapshot(strings.Repeat("c", 256), h, "")
		b := &believer{peers: roster{}}
		for _, text := range snapshot {
			b.hear(t, text)
		}
		if len(snapshot) != tc.frames || !maps.Equal(b.peers, listed(h)) {
			t.Errorf("%s: got %d peers in %d frames, want %d in %d", tc.name, len(b.peers), len(snapshot), tc.peers, tc.frames)
		}
		b = &believer{peers: roster{}}
		for _, text := range d.Frames("c", 0, uint32(tc.peers)) {
			b.hear(t, text)
		}
		if !maps.Equal(b.peers, listed(h)) {
			t.Errorf("%s: deltas: got %d peers, want %d", tc.name, len(b.peers), tc.peers)
		}
		for i := range tc.peers {
			d.Add(Change{Kind: Leave, ID: fmt.Sprintf("%d %s", i, tc.id)}, uint32(tc.peers+i+1))
		}
		for _, text := range d.Frames("c", uint32(tc.peers), uint32(2*tc.peers)) {
			b.hear(t, text)
		}
		if len(b.peers) != 0 {
			t.Errorf("%s: %d peers left behind", tc.name, len(b.peers))
		}
	}
}

func TestSnapshotLeavesOutSelf(t *testing.T) {
	h := new(Home)
	h.Join("me", 1, "")
	const want = `{"type":"presence","channel":"c","joined":[],"left":[]}`
	if got := Snapshot("c", h, "me"); len(got) != 1 || string(got[0]) != want {
		t.Errorf("alone: got %q, want %s", got, want)
	}
}
