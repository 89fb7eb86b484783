package session

// patience holds a flush back for a moment while frames keep coming, so that
// publishes which many sockets send at about the same time share one write a
// subscriber. It costs the waiting nothing that matters: it waits only when the
// flush before, just now, carried several frames to many subscribers, and for
// microseconds where the writing takes milliseconds.
//
// It counts the loop's rounds instead of looking at a clock: a round takes a few
// microseconds when there is nothing else to do, and longer when there is.
type patience struct {
	frames int    // carried by the last wide flush
	last   int64  // when that was, ms of the loop's clock
	rounds int    // since the flush was first held back
	empty  int    // rounds since a frame last came
	seq    uint32 // the last frame then
	holds  bool   // the flush of this turn is held back
}

const (
	// wide is the number of subscribers from which waiting pays.
	wide = 64
	// A flush is held back until so many rounds have brought no frame, and for
	// so many in all.
	maxEmpty  = 12
	maxRounds = 200
	// recent is how long the last wide flush says something about the next, ms.
	recent = 20
)

// wait reports whether the flush of a part with so many subscribers should be
// held back for a round. seq is the number of the loop's last frame.
func (p *patience) wait(subscribers int, seq uint32, now int64) bool {
	if subscribers < wide || p.frames < 2 || now-p.last > recent {
		return false
	}
	p.rounds++
	p.empty++
	if p.seq != seq {
		p.seq, p.empty = seq, 0
	}
	if p.empty < maxEmpty && p.rounds < maxRounds {
		return true
	}
	p.rounds, p.empty = 0, 0
	return false
}

// flushed notes that so many frames went to so many subscribers.
func (p *patience) flushed(subscribers, frames int, now int64) {
	if subscribers >= wide {
		p.frames, p.last = frames, now
	}
}
