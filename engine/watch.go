package engine

import (
	"context"
	"io/fs"
	"os"
	"time"
)

// watcher tells when a file has changed. It looks at the file instead of asking
// the kernel to tell: that works on every file system and through every link,
// and costs one system call an interval.
type watcher struct {
	path string
	seen fs.FileInfo // at the last look; nil: no such file
	told fs.FileInfo // as of the last change told
}

// watchEvery leaves room within the second in which a revoked key takes effect.
const watchEvery = 200 * time.Millisecond

func watch(path string) *watcher {
	w := &watcher{path: path}
	w.seen, _ = os.Stat(path)
	w.told = w.seen
	return w
}

// run calls changed after each change of the file, until ctx is done. A file
// that is gone is no change; one that comes back is.
func (w *watcher) run(ctx context.Context, changed func()) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if w.look() {
				changed()
			}
		}
	}
}

// look reports whether the file has changed, once it is at rest for an
// interval: a file that is half written may be a valid one without the other
// half's keys, and all their sockets would be closed.
func (w *watcher) look() bool {
	now, err := os.Stat(w.path)
	if err != nil {
		return false
	}
	atRest := sameFile(w.seen, now)
	w.seen = now
	if !atRest || sameFile(w.told, now) {
		return false
	}
	w.told = now
	return true
}

// sameFile reports whether b is a with the same content, as far as can be seen.
func sameFile(a, b fs.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
