package session

import (
	"sync"
	"sync/atomic"
)

// inbox is the one door into a loop from other goroutines: append under a short
// lock, swap, run.
type inbox struct {
	mu sync.Mutex
	// Guarded by mu.
	tasks []func(*Loop)

	// Any goroutine (atomic): tasks put so far. It changes under mu, so that
	// whoever has put a task, first or not, leaves it counted.
	posted atomic.Uint64

	// Loop-owned.
	batch []func(*Loop) // taken from tasks; those before next have been run
	next  int
	done  uint64 // tasks run so far
}

// put appends a task and reports whether it is the first that waits.
func (b *inbox) put(task func(*Loop)) bool {
	b.mu.Lock()
	b.tasks = append(b.tasks, task)
	first := len(b.tasks) == 1
	b.posted.Add(1)
	b.mu.Unlock()
	return first
}

// maxIdleInbox is the longest slice kept for reuse.
const maxIdleInbox = 4096

// take swaps the batch, which has been run, for the tasks that wait.
func (b *inbox) take() {
	spare := b.batch[:0]
	if cap(spare) > maxIdleInbox {
		spare = nil
	}
	b.mu.Lock()
	b.batch, b.tasks = b.tasks, spare
	b.mu.Unlock()
	b.next = 0
}

// run runs the tasks in the order they came, up to the one that was put as the
// until-th of all, as far as the loop's budget of tasks goes. It reports whether
// that was far enough.
func (b *inbox) run(l *Loop, until uint64) bool {
	for l.left = l.budget.tasks; b.done < until; l.left-- {
		if l.left <= 0 {
			return false
		}
		if b.next == len(b.batch) {
			b.take()
		}
		task := b.batch[b.next]
		b.batch[b.next] = nil
		b.next++
		b.done++
		task(l)
	}
	return true
}
