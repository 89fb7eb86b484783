package session

import (
	"container/heap"
	"sync/atomic"
)

// slowReaders are a loop's sessions with bytes that wait in user space for their
// client to read. A session's weight is how many, as of its last write or the
// last look: never less than there are, because only the socket takes them.
type slowReaders struct {
	// Any goroutine (atomic).
	most atomic.Int64 // the greatest weight; 0: no session

	// Loop-owned.
	list slowHeap
	sum  int64 // of the weights
	told int64 // what of sum is in the hub's total
	next int   // where the last look has come to, from the end of list down
}

// slowHeap is a heap with the greatest weight first.
type slowHeap []*Session

func (h slowHeap) Len() int           { return len(h) }
func (h slowHeap) Less(i, j int) bool { return h[i].busy.weight > h[j].busy.weight }
func (h slowHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].busy.place, h[j].busy.place = i, j
}
func (h *slowHeap) Push(x any) {
	s := x.(*Session)
	s.busy.place = len(*h)
	*h = append(*h, s)
}
func (h *slowHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return s
}

// put gives the session, which has begun, its weight.
func (r *slowReaders) put(s *Session, weight int) {
	u := s.busy
	was := u.weight
	r.sum += int64(weight - was)
	switch {
	case weight == was:
	case was == 0:
		u.weight = weight
		heap.Push(&r.list, s)
	case weight == 0:
		heap.Remove(&r.list, u.place)
		u.weight = 0
	default:
		u.weight = weight
		heap.Fix(&r.list, u.place)
	}
	most := int64(0)
	if len(r.list) > 0 {
		most = int64(r.list[0].busy.weight)
	}
	if r.most.Load() != most {
		r.most.Store(most)
	}
}

const (
	// maxTellStep is how far a loop's sum may be from what the total has of it, in
	// bytes. With a small limit it is a share of that.
	maxTellStep = 64 << 10
	tellShare   = 16
	// weighBatch is how many slow readers a turn looks at.
	weighBatch = 4096
	// reliefBatch is how many slow readers a turn closes.
	reliefBatch = 64
	// reliefPause is the time from one relief to the next, in ms.
	reliefPause = 10
)

// tellStep is how far a loop's sum may be from what the total has of it, in bytes.
func (l Limits) tellStep(loops int) int64 {
	if l.MaxBacklogTotal == 0 {
		return maxTellStep
	}
	return max(min(maxTellStep, l.MaxBacklogTotal/int64(tellShare*loops)), 1)
}

// reckon notes how much waits for the session.
func (l *Loop) reckon(s *Session, weight int) {
	if weight == 0 && s.under().weight == 0 {
		return
	}
	s.begin()
	l.slow.put(s, weight)
	if d := l.slow.sum - l.slow.told; d >= l.hub.step || d <= -l.hub.step {
		l.tellSum()
	}
}

// tellSum brings the total up to date and acts on it.
func (l *Loop) tellSum() {
	l.hub.backlog.Add(l.slow.sum - l.slow.told)
	l.slow.told = l.slow.sum
	l.hub.relieve()
}

// weighSlow looks at slow readers, for those that have read since their last
// write.
func (l *Loop) weighSlow() {
	r := &l.slow
	for range min(weighBatch, len(r.list)) {
		if r.next = min(r.next, len(r.list)) - 1; r.next < 0 {
			r.next = len(r.list) - 1
		}
		s := r.list[r.next]
		s.weigh()
		s.settle()
		if len(r.list) == 0 {
			break
		}
	}
	l.tellSum()
}

// overloaded reports whether more waits for slow readers than may.
func (h *Hub) overloaded() bool {
	return h.limits.MaxBacklogTotal > 0 && h.backlog.Load() > h.limits.MaxBacklogTotal
}

// relieve closes the slowest readers if more waits for all of them than may,
// unless that is being done. Nobody is closed here and now, which may be in the
// midst of a fan-out. Any goroutine.
func (h *Hub) relieve() {
	if h.overloaded() && h.relieving.CompareAndSwap(false, true) {
		h.weighFrom(0)
	}
}

// weighFrom has one loop after another, from the i-th on, look at its slow
// readers, lest one is closed for what others have read meanwhile. Then the
// slowest are closed.
func (h *Hub) weighFrom(i int) {
	h.loops[i].Post(func(l *Loop) {
		if l.weighSlow(); i+1 < len(h.loops) {
			h.weighFrom(i + 1)
			return
		}
		l.passRelief()
	})
}

// slowest returns the loop with the slowest reader, nil if there is none.
func (h *Hub) slowest() (slowest *Loop) {
	most := int64(0)
	for _, l := range h.loops {
		if m := l.slow.most.Load(); m > most {
			slowest, most = l, m
		}
	}
	return slowest
}

// closeSlowest closes the loop's slowest readers as long as none of another loop
// is slower and the hub needs it.
func (l *Loop) closeSlowest() {
	for range reliefBatch {
		if !l.hub.overloaded() || l.hub.slowest() != l {
			break
		}
		s := l.slow.list[0]
		weight := s.busy.weight
		if s.weigh(); s.under().weight == weight {
			s.closeSlow()
		}
		s.settle()
		l.tellSum()
	}
	l.passRelief()
}

// passRelief goes on with the relief on the loop with the slowest reader, or ends
// it for a while.
func (l *Loop) passRelief() {
	if next := l.hub.slowest(); next != nil && l.hub.overloaded() {
		next.Post((*Loop).closeSlowest)
		return
	}
	l.at(l.now+reliefPause, func(l *Loop) {
		l.hub.relieving.Store(false)
		l.hub.relieve()
	})
}
