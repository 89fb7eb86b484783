package registry

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// queue is the naive model of one subscriber: all it has before it, in order.
type queue struct {
	slot  uint32
	items []item
	limit int  // how many of the items the flush under way is for
	dead  bool // closed: nothing is written to it any more
}

// item is a frame, or the place of a Tell.
type item struct {
	forms [2][]byte // plain and with metadata; nil of a Tell
	to    uint32
	seq   uint32
}

// stage is a part and its model.
type stage struct {
	t      *testing.T
	random *rand.Rand
	space  *Space
	pool   Pool
	part   *Part
	queues []*queue // as part.Subs
	frames []framed // pending
	seq    uint32
	slots  uint32
}

// framed is a pending frame: how long it is in either stream, 0 if it is not there.
type framed struct {
	seq  uint32
	size [2]int
}

// cut returns the number of the first frame that is too many for a flush of so many
// bytes a stream; s.seq and one if none is.
func (s *stage) cut(most int) uint32 {
	for k := range s.frames {
		for i := range 2 {
			size, n := 0, 0
			for _, f := range s.frames[:k+1] {
				if size += f.size[i]; f.size[i] > 0 {
					n++
				}
			}
			if s.frames[k].size[i] > 0 && size > most && n > 1 {
				return s.frames[k].seq
			}
		}
	}
	return s.seq + 1
}

// TestRandomPart drives a part as a loop does, with flushes that yield in their
// midst, and holds what each subscriber is written against its queue.
func TestRandomPart(t *testing.T) {
	for seed := range uint64(60) {
		s := &stage{t: t, random: rand.New(rand.NewPCG(seed, 4)), space: NewSpace(2)}
		s.part = s.space.Join("c", 1)
		// Every number is about to wrap around.
		s.part.base = [2]uint32{^uint32(0) - 300, ^uint32(0) - 100}
		s.part.Seq, s.seq = ^uint32(0)-20, ^uint32(0)-40
		for range 1500 {
			s.step()
			s.checkCounts()
			if t.Failed() {
				t.Fatal("seed ", seed)
			}
		}
	}
}

func (s *stage) step() {
	p, r := s.part, s.random
	i := 0
	if n := len(p.Subs); n > 0 {
		i = r.IntN(n)
	}
	switch n := r.IntN(100); {
	case n < 12 || len(p.Subs) == 0:
		if len(p.Subs) < 12 {
			s.add()
		}
	case n < 20:
		s.remove(i)
	case n < 50:
		s.append(i)
	case n < 60:
		p.Seq++
		s.pool.Attach(p)
		s.tell()
	case n < 64:
		p.Seq++
		s.pool.Attach(p)
		p.TellLast()
	case n < 70:
		s.pull(i)
		p.SetMeta(i, r.IntN(2) == 0)
	case n < 75:
		s.pull(i)
	case n < 80:
		s.takeOne(i)
	case n < 84:
		if p.Subs[i].Flags ^= FlagAwait; p.Subs[i].Flags&FlagAwait == 0 {
			p.Subs[i].Since = p.Seq // it got its snapshot
		}
	case n < 86:
		s.queues[i].dead = true
	default:
		s.flush(r.IntN(8))
	}
}

func (s *stage) add() {
	s.slots++
	flags := uint8(s.random.IntN(4))
	if i := s.part.Add(s.slots, flags); i != len(s.queues) {
		s.t.Errorf("added at %d, want %d", i, len(s.queues))
	}
	s.queues = append(s.queues, &queue{slot: s.slots})
}

func (s *stage) remove(i int) {
	p := s.part
	last := len(p.Subs) - 1
	if p.Frozen() && i < p.Out.Cursor && last >= p.Out.Cursor {
		s.deliver(last)
	}
	want := s.queues[last].slot
	s.queues[i] = s.queues[last]
	s.queues = s.queues[:last]
	if got := p.Remove(i); got != want {
		s.t.Errorf("moved %d, want %d", got, want)
	}
}

// append publishes a frame, of the subscriber at i or of nobody here.
func (s *stage) append(i int) {
	p := s.part
	s.pool.Attach(p)
	sender := s.random.IntN(2) == 0
	if sender && p.Lacks(i) {
		s.pull(i)
	}
	s.seq++
	plain := bytes.Repeat([]byte{byte('a' + s.seq%26)}, 1+s.random.IntN(40))
	f := item{forms: [2][]byte{plain, plain}, seq: s.seq}
	if s.random.IntN(2) == 0 {
		f.forms[1] = append(slices.Clone(plain), "+meta"...)
		p.Append(plain, f.forms[1], s.seq)
	} else {
		p.Append(plain, nil, s.seq)
	}
	pending := framed{seq: s.seq}
	for _, sub := range p.Subs {
		pending.size[sub.stream()] = len(f.forms[sub.stream()])
	}
	s.frames = append(s.frames, pending)
	for k, q := range s.queues {
		if !sender || k != i {
			q.items = append(q.items, f)
		}
	}
	if sender {
		p.Skip(i)
	}
}

func (s *stage) tell() {
	s.seq++
	s.part.Tell(s.seq)
	s.queueTell()
}

func (s *stage) queueTell() {
	for _, q := range s.queues {
		q.items = append(q.items, item{to: s.part.Seq, seq: s.seq})
	}
}

// due reports whether the item is for the subscriber at i now.
func (s *stage) due(i int, it item) bool {
	sub := s.part.Subs[i]
	return it.forms[0] != nil || sub.Flags&(FlagPresence|FlagAwait) == FlagPresence && int32(it.to-sub.Since) > 0
}

// expect takes the first n items off the queue at i and returns what they come to:
// frames as they are, each Tell as a line.
func (s *stage) expect(i, n int) (text string) {
	q, sub := s.queues[i], s.part.Subs[i]
	for _, it := range q.items[:n] {
		if it.forms[0] != nil {
			text += string(it.forms[sub.Flags&FlagMeta])
		} else if sub.Flags&(FlagPresence|FlagAwait) == FlagPresence && int32(it.to-sub.Since) > 0 {
			sub.Since = it.to
			text += fmt.Sprintf("\n%d\n", it.to)
		}
	}
	q.items = q.items[n:]
	q.limit = max(q.limit-n, 0)
	return text
}

// told writes a Tell as expect does.
func (s *stage) told(i int, to uint32) string {
	s.part.Subs[i].Since = to
	return fmt.Sprintf("\n%d\n", to)
}

// pull writes everything to the subscriber at i.
func (s *stage) pull(i int) {
	p := s.part
	if p.Out == nil {
		return
	}
	want, got := s.expect(i, len(s.queues[i].items)), ""
	for t, ok := p.NextTell(i, false); ok; t, ok = p.NextTell(i, false) {
		got += string(p.TakeBefore(i, t)) + s.told(i, t.To)
	}
	got += string(p.TakeAll(i))
	s.compare("pull", i, got, want)
	if p.Lacks(i) {
		s.t.Errorf("the subscriber at %d lacks something after a pull", i)
	}
}

// takeOne writes the first thing that the subscriber at i has before it.
func (s *stage) takeOne(i int) {
	p, q := s.part, s.queues[i]
	if q.dead {
		return
	}
	for len(q.items) > 0 && !s.due(i, q.items[0]) {
		s.expect(i, 1)
	}
	seq, tell, ok := p.Next(i)
	if ok != (len(q.items) > 0) {
		s.t.Errorf("next of %d: got %v, want %v", i, ok, !ok)
	}
	if !ok || len(q.items) == 0 {
		return
	}
	first := q.items[0]
	// Of Tells with nothing between them the earlier may be left out.
	if tell != (first.forms[0] == nil) || !tell && seq != first.seq {
		s.t.Errorf("next of %d: got %d, tell %v, want %d", i, seq, tell, first.seq)
	}
	want := s.expect(i, 1)
	if tell {
		t, _ := p.NextTell(i, false)
		s.compare("tell", i, s.told(i, t.To), want)
	} else {
		s.compare("one", i, string(p.TakeOne(i)), want)
	}
}

// flush writes to so many subscribers at most and yields if that was not all.
func (s *stage) flush(budget int) {
	p := s.part
	if p.Out == nil {
		return
	}
	if !p.Frozen() {
		last := p.Out.tellLast
		s.seq++
		most := s.random.IntN(200)
		p.Freeze(s.seq, most)
		if last {
			s.queueTell()
		}
		cut := s.cut(most)
		s.frames = slices.DeleteFunc(s.frames, func(f framed) bool { return int32(f.seq-cut) < 0 })
		for _, q := range s.queues {
			q.limit = 0
			for q.limit < len(q.items) && int32(q.items[q.limit].seq-cut) < 0 {
				q.limit++
			}
		}
	}
	for o := p.Out; o.Cursor < len(p.Subs); o.Cursor++ {
		if budget == 0 {
			return
		}
		budget--
		s.deliver(o.Cursor)
	}
	p.Thaw()
	bytes := 0
	for _, f := range s.frames {
		bytes += f.size[0] + f.size[1]
	}
	if got := p.Bytes(); got != bytes {
		s.t.Errorf("%d bytes pending, want %d", got, bytes)
	}
	if !p.Pending() {
		s.pool.Detach(p)
	}
	for i, q := range s.queues {
		if q.dead {
			q.items = nil
		} else if q.limit > 0 {
			s.t.Errorf("the flush left %d items of %d", q.limit, i)
		}
	}
}

// deliver writes to the subscriber at i what the flush is for.
func (s *stage) deliver(i int) {
	p := s.part
	if s.queues[i].dead {
		return
	}
	want, got := s.expect(i, s.queues[i].limit), ""
	for t, ok := p.NextTell(i, true); ok; t, ok = p.NextTell(i, true) {
		got += string(p.TakeBefore(i, t)) + s.told(i, t.To)
	}
	got += string(p.Take(i))
	s.compare("flush", i, got, want)
}

func (s *stage) compare(what string, i int, got, want string) {
	if got != want && !s.queues[i].dead {
		s.t.Errorf("%s of %d: got %q, want %q", what, i, got, want)
	}
}

// checkCounts holds the part's counters against its subscribers.
func (s *stage) checkCounts() {
	p := s.part
	var meta, watch int
	for i, sub := range p.Subs {
		if sub.Slot != s.queues[i].slot {
			s.t.Errorf("slot %d at %d, want %d", sub.Slot, i, s.queues[i].slot)
		}
		if sub.Flags&FlagMeta != 0 {
			meta++
		}
		if sub.Flags&FlagPresence != 0 {
			watch++
		}
	}
	if int(p.meta) != meta || int(p.watch) != watch || p.AskMeta() != (meta > 0) || p.Watched() != (watch > 0) {
		s.t.Errorf("counts: got %d and %d, want %d and %d", p.meta, p.watch, meta, watch)
	}
	if p.Channel.Loops().Has(1) != (len(p.Subs) > 0) {
		s.t.Errorf("loops: %b with %d subscribers", p.Channel.Loops(), len(p.Subs))
	}
}

func TestFlushAllocatesNothing(t *testing.T) {
	s := NewSpace(1)
	p := s.Join("c", 0)
	for i := range uint32(1000) {
		p.Add(i, uint8(i)&(FlagMeta|FlagPresence))
	}
	var pool Pool
	frame := []byte("0123456789")
	got := testing.AllocsPerRun(100, func() {
		pool.Attach(p)
		for range 3 {
			p.Append(frame, nil, 1)
		}
		p.Freeze(2, 1<<20)
		for i := range p.Subs {
			if len(p.Take(i)) != 3*len(frame) {
				t.Fatal("short")
			}
		}
		p.Thaw()
		pool.Detach(p)
	})
	if got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}
