package session

import (
	"sync"
	"sync/atomic"
)

// inbox is the one door into a loop from other goroutines: append under a short
// lock, swap, drain.
type inbox struct {
	mu sync.Mutex
	// Guarded by mu.
	tasks []func(*Loop)

	// Any goroutine (atomic): there are tasks. It changes under mu, so that
	// whoever has put a task, first or not, leaves it set.
	waiting atomic.Bool

	// Loop-owned: the slice drained last, to be filled next.
	spare []func(*Loop)
}

// put appends a task and reports whether the inbox was empty.
func (b *inbox) put(task func(*Loop)) bool {
	b.mu.Lock()
	b.tasks = append(b.tasks, task)
	first := len(b.tasks) == 1
	b.waiting.Store(true)
	b.mu.Unlock()
	return first
}

// take returns the tasks in the order they came and leaves the inbox empty.
func (b *inbox) take() []func(*Loop) {
	b.mu.Lock()
	tasks := b.tasks
	b.tasks = b.spare[:0]
	b.spare = nil
	b.waiting.Store(false)
	b.mu.Unlock()
	return tasks
}

// maxIdleInbox is the longest slice kept for reuse.
const maxIdleInbox = 4096

// drain runs the tasks waiting now.
func (b *inbox) drain(l *Loop) {
	tasks := b.take()
	for i, task := range tasks {
		tasks[i] = nil
		task(l)
	}
	if cap(tasks) <= maxIdleInbox {
		b.spare = tasks
	}
}
