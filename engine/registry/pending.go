package registry

import (
	"sort"
	"time"
)

// Pending is the frames a Part has not written yet: one stream for the
// subscribers that get plain frames, one for those that asked for the
// sender's metadata. Each frame is stored once and every subscriber is written
// its range of the stream, so that a turn with many publishes costs one write
// a subscriber.
type Pending struct {
	streams [2]stream
	// Cursor is the index of the next subscriber to be written while a flush
	// is under way; those before it have everything up to the flush's limit.
	Cursor int
	// Lines is for the owner: where it has listed the part. So is Full: whether
	// it has those who publish wait. So is Over: the bytes that it counts beyond a
	// flush.
	Lines  uint8
	Full   bool
	Over   int
	frozen bool
	// limit is the stream offset up to which the flush under way writes.
	limit [2]uint32
	// tells are the places in the streams where deltas are due, in order;
	// the flush under way tells the first due of them.
	tells []Tell
	due   int
	// tellLast has the next flush tell the deltas behind all frames.
	tellLast bool
	// Since is when the oldest of the frames that wait for a flush was
	// published, and Flushing that of the flush under way, by the owner's
	// clock; 0: none.
	Since, Flushing time.Duration
	// Began is for the owner: when it began the flush under way, in ms.
	Began int64
}

// Tell is a place in a part's streams at which roster changes are due: behind
// the frames that came before them, before those that must not overtake them.
type Tell struct {
	To  uint32    // the last change that is due
	at  [2]uint32 // stream offsets
	seq uint32    // the loop's number, among those of frames
}

type stream struct {
	buf   []byte
	marks []mark
}

// mark ends a frame in a stream.
type mark struct {
	end uint32 // stream offset behind the frame
	seq uint32 // the loop's number for the frame, to keep order between channels
}

// maxIdleBuffer is the largest stream buffer that is kept for reuse, in bytes.
const maxIdleBuffer = 64 << 10

// reset empties p for reuse.
func (p *Pending) reset() {
	for i := range p.streams {
		s := &p.streams[i]
		s.buf, s.marks = s.buf[:0], s.marks[:0]
		if cap(s.buf) > maxIdleBuffer {
			s.buf, s.marks = nil, nil
		}
	}
	*p = Pending{streams: p.streams, tells: p.tells[:0]}
}

// end returns the stream offset behind the last pending byte.
func (p *Part) end(stream int) uint32 {
	if p.Out == nil {
		return p.base[stream]
	}
	return p.base[stream] + uint32(len(p.Out.streams[stream].buf))
}

// Append adds one frame in the two forms its subscribers may get. meta may be
// nil if the sender has no metadata.
func (p *Part) Append(plain, meta []byte, seq uint32) {
	if meta == nil {
		meta = plain
	}
	if int(p.meta) < len(p.Subs) {
		p.append(0, plain, seq)
	}
	if p.meta > 0 {
		p.append(1, meta, seq)
	}
}

// Bytes returns how many bytes of frames are pending.
func (p *Part) Bytes() int {
	if p.Out == nil {
		return 0
	}
	return len(p.Out.streams[0].buf) + len(p.Out.streams[1].buf)
}

func (p *Part) append(i int, frame []byte, seq uint32) {
	s := &p.Out.streams[i]
	s.buf = append(s.buf, frame...)
	s.marks = append(s.marks, mark{p.end(i), seq})
}

// Freeze begins a flush: of what is pending now the first most bytes or so are
// written, a frame at least; what is left, and what is appended from now on, waits
// for the next. seq is the loop's number for a Tell that is due behind it all.
func (p *Part) Freeze(seq uint32, most int) {
	o := p.Out
	if o.tellLast {
		o.tellLast = false
		p.Tell(seq)
	}
	o.frozen = true
	o.Flushing, o.Since = o.Since, 0
	o.limit = [2]uint32{p.end(0), p.end(1)}
	o.due = len(o.tells)
	if cut, ok := p.cut(most); ok {
		for i := range o.streams {
			o.limit[i] = p.base[i]
			if k := o.streams[i].before(cut); k > 0 {
				o.limit[i] = o.streams[i].marks[k-1].end
			}
		}
		o.due = sort.Search(len(o.tells), func(k int) bool { return int32(o.tells[k].seq-cut) >= 0 })
		o.Since = o.Flushing
	}
}

// cut returns the number of the first frame that is one too many for a flush of so
// many bytes a stream, if there is one.
func (p *Part) cut(most int) (seq uint32, ok bool) {
	for i := range p.Out.streams {
		marks := p.Out.streams[i].marks
		k := sort.Search(len(marks), func(k int) bool { return int(marks[k].end-p.base[i]) > most })
		if k = max(k, 1); k < len(marks) && (!ok || int32(marks[k].seq-seq) < 0) {
			seq, ok = marks[k].seq, true
		}
	}
	return seq, ok
}

// before returns how many of the stream's frames have a lower number.
func (s *stream) before(seq uint32) int {
	return sort.Search(len(s.marks), func(k int) bool { return int32(s.marks[k].seq-seq) >= 0 })
}

// Frozen reports whether a flush is under way.
func (p *Part) Frozen() bool { return p.Out != nil && p.Out.frozen }

// TellLast makes the changes heard until the next flush due behind its frames.
func (p *Part) TellLast() { p.Out.tellLast = true }

// Tell makes the changes heard so far due behind the frames pending now. seq is
// the loop's number for it, as for a frame.
func (p *Part) Tell(seq uint32) {
	o := p.Out
	if n := len(o.tells); n > 0 && o.tells[n-1].To == p.Seq {
		return
	}
	o.tells = append(o.tells, Tell{To: p.Seq, at: [2]uint32{p.end(0), p.end(1)}, seq: seq})
}

// NextTell returns the first Tell that the subscriber at i has before it, within
// the limit of the flush under way if flushing.
func (p *Part) NextTell(i int, flushing bool) (Tell, bool) {
	s := &p.Subs[i]
	if p.Out == nil || s.Flags&(FlagPresence|FlagAwait) != FlagPresence {
		return Tell{}, false
	}
	tells := p.Out.tells
	if flushing {
		tells = tells[:p.Out.due]
	}
	k := sort.Search(len(tells), func(k int) bool { return int32(tells[k].To-s.Since) > 0 })
	if k == len(tells) {
		return Tell{}, false
	}
	return tells[k], true
}

// Frames returns how many frames are pending for one subscriber at the most, those of
// the flush under way and behind it.
func (p *Part) Frames() int { return max(len(p.Out.streams[0].marks), len(p.Out.streams[1].marks)) }

// TakeBefore is Take up to a Tell.
func (p *Part) TakeBefore(i int, t Tell) []byte {
	s := &p.Subs[i]
	return p.take(s, t.at[s.stream()])
}

// Take returns what the subscriber at i lacks up to the flush's limit, and
// counts it as written. The bytes are borrowed until the next change of p.
func (p *Part) Take(i int) []byte {
	s := &p.Subs[i]
	return p.take(s, p.Out.limit[s.stream()])
}

// TakeAll is Take up to the last frame appended.
func (p *Part) TakeAll(i int) []byte {
	s := &p.Subs[i]
	return p.take(s, p.end(s.stream()))
}

func (p *Part) take(s *Subscriber, to uint32) []byte {
	i := s.stream()
	from := s.From - p.base[i]
	if int32(from) < 0 {
		from = 0
	}
	s.From = p.base[i] + from
	if int32(to-s.From) <= 0 {
		return nil
	}
	s.From = to
	return p.Out.streams[i].buf[from : to-p.base[i]]
}

// Skip counts the last frame appended as written to the subscriber at i, which
// lacked no other.
func (p *Part) Skip(i int) {
	s := &p.Subs[i]
	s.From = p.end(s.stream())
}

// Lacks reports whether the subscriber at i has frames pending.
func (p *Part) Lacks(i int) bool {
	if p.Out == nil {
		return false
	}
	s := &p.Subs[i]
	return int32(p.end(s.stream())-s.From) > 0
}

// Next returns the number of the first frame or Tell that the subscriber at i
// has before it, which of the two it is, and false if there is neither.
func (p *Part) Next(i int) (seq uint32, tell, ok bool) {
	t, tell := p.NextTell(i, false)
	if p.Lacks(i) {
		s := &p.Subs[i]
		k := s.stream()
		if tell && int32(t.at[k]-s.From) <= 0 {
			return t.seq, true, true
		}
		return p.firstMark(s).seq, false, true
	}
	return t.seq, tell, tell
}

// firstMark returns the mark of the first frame that a subscriber with frames
// pending lacks.
func (p *Part) firstMark(s *Subscriber) mark {
	marks := p.Out.streams[s.stream()].marks
	return marks[sort.Search(len(marks), func(i int) bool { return int32(marks[i].end-s.From) > 0 })]
}

// TakeOne is TakeAll for the first frame only; there must be one.
func (p *Part) TakeOne(i int) []byte {
	s := &p.Subs[i]
	return p.take(s, p.firstMark(s).end)
}

// Pending reports whether anything waits for the next flush.
func (p *Part) Pending() bool {
	o := p.Out
	return o != nil && (o.tellLast || len(o.tells) > 0 || p.Bytes() > 0)
}

// Thaw ends a flush that has reached every subscriber. told is the last change
// that all of them have been told, if any.
func (p *Part) Thaw() (told uint32, any bool) {
	o := p.Out
	if o.due > 0 {
		told, any = o.tells[o.due-1].To, true
	}
	for i := range o.streams {
		s := &o.streams[i]
		n := o.limit[i] - p.base[i]
		s.buf = append(s.buf[:0], s.buf[n:]...)
		k := 0
		for k < len(s.marks) && int32(s.marks[k].end-o.limit[i]) <= 0 {
			k++
		}
		s.marks = append(s.marks[:0], s.marks[k:]...)
		p.base[i] = o.limit[i]
	}
	o.tells = append(o.tells[:0], o.tells[o.due:]...)
	o.due = 0
	o.Cursor, o.frozen = 0, false
	return told, any
}

// Pool keeps Pendings for reuse within one loop. Loop-owned.
type Pool struct{ free []*Pending }

// maxIdlePendings bounds what a burst over many channels leaves behind.
const maxIdlePendings = 64

// Attach gives the part a Pending if it has none, and reports whether it did.
func (f *Pool) Attach(p *Part) bool {
	if p.Out != nil {
		return false
	}
	if n := len(f.free); n > 0 {
		p.Out, f.free = f.free[n-1], f.free[:n-1]
	} else {
		p.Out = new(Pending)
	}
	return true
}

// Detach takes the part's empty Pending back.
func (f *Pool) Detach(p *Part) {
	p.Out.reset()
	if len(f.free) < maxIdlePendings {
		f.free = append(f.free, p.Out)
	}
	p.Out = nil
}
