package sim

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// bell is what a loop waits for, and what wakes it costs what it costs a
// reactor: an eventfd.
type bell struct {
	rung atomic.Bool // the loop will not wait

	mu sync.Mutex
	// Guarded by mu.
	fd int // -1: gone
}

func newBell() (*bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	return &bell{fd: fd}, err
}

// one is what a ring adds to the eventfd.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// ring ends a wait, or spares the loop the next. Any goroutine.
func (b *bell) ring() {
	if b.rung.Swap(true) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fd >= 0 {
		_, _ = unix.Write(b.fd, one) // never blocks: the count is 1 at most
	}
}

// wait returns when the bell has been rung since the last wait.
func (b *bell) wait() {
	var count [8]byte
	for {
		// Only the goroutine that waits closes the eventfd.
		if _, err := unix.Read(b.fd, count[:]); err != unix.EINTR {
			b.rung.Store(false)
			return
		}
	}
}

// close is for the goroutine that waits. A ring may come later.
func (b *bell) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = unix.Close(b.fd)
	b.fd = -1
}
