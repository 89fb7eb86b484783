package session

import "time"

// timers runs a loop's tasks when they are due, in the order of their times.
// One runtime timer wakes the loop for the earliest. Loop-owned.
type timers struct {
	queue timerQueue
	count uint64
	alarm *time.Timer
	armed int64 // what the alarm is set to, in ms of the hub's clock; 0: not set
}

type timer struct {
	at   int64 // ms of the hub's clock
	nth  uint64
	task func(*Loop)
}

// timerQueue is a binary heap. It is not container/heap's, which would allocate
// for every timer.
type timerQueue []timer

func (q timerQueue) less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].nth < q[j].nth
}

func (q *timerQueue) push(t timer) {
	*q = append(*q, t)
	h := *q
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.less(i, parent) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

// pop takes the first timer out.
func (q *timerQueue) pop() timer {
	h := *q
	last := len(h) - 1
	first := h[0]
	h[0], h[last] = h[last], timer{}
	h = h[:last]
	*q = h
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			return first
		}
		if child+1 < last && h.less(child+1, child) {
			child++
		}
		if !h.less(child, i) {
			return first
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

// due reports whether a task is.
func (t *timers) due(now int64) bool { return len(t.queue) > 0 && t.queue[0].at <= now }

// at runs task on the loop when its clock reads at ms.
func (l *Loop) at(at int64, task func(*Loop)) {
	t := &l.timers
	t.count++
	t.queue.push(timer{at, t.count, task})
	l.arm()
}

// runTimers runs what is due, as far as the budget of tasks goes.
func (l *Loop) runTimers() {
	t := &l.timers
	for l.left = l.budget.tasks; t.due(l.now); l.left-- {
		if l.left <= 0 {
			return
		}
		t.queue.pop().task(l)
	}
	l.arm()
}

// arm sets the alarm to the earliest timer.
func (l *Loop) arm() {
	t := &l.timers
	if len(t.queue) == 0 {
		return
	}
	next := t.queue[0].at
	if t.armed > l.now && t.armed <= next {
		return
	}
	t.armed = next
	d := max(time.Until(l.hub.start.Add(time.Duration(next)*time.Millisecond)), 0)
	if t.alarm == nil {
		t.alarm = time.AfterFunc(d, l.waker.Wake)
	} else {
		t.alarm.Reset(d)
	}
}
