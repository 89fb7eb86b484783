package session

import (
	"container/heap"
	"time"
)

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

type timerQueue []timer

func (q timerQueue) Len() int { return len(q) }
func (q timerQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].nth < q[j].nth
}
func (q timerQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *timerQueue) Push(x any)   { *q = append(*q, x.(timer)) }
func (q *timerQueue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = timer{}
	*q = (*q)[:last]
	return t
}

// at runs task on the loop when its clock reads at ms.
func (l *Loop) at(at int64, task func(*Loop)) {
	t := &l.timers
	t.count++
	heap.Push(&t.queue, timer{at, t.count, task})
	l.arm()
}

// runTimers runs what is due.
func (l *Loop) runTimers() {
	t := &l.timers
	for len(t.queue) > 0 && t.queue[0].at <= l.now {
		heap.Pop(&t.queue).(timer).task(l)
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
