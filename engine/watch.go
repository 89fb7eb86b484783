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
	seen fs.FileInfo // nil: no such file
}

// watchEvery leaves room within the second in which a revoked key takes effect.
const watchEvery = 200 * time.Millisecond

func watch(path string) *watcher {
	w := &watcher{path: path}
	w.seen, _ = os.Stat(path)
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

// look reports whether the file is another than at the last look.
func (w *watcher) look() bool {
	now, err := os.Stat(w.path)
	if err != nil {
		return false
	}
	was := w.seen
	w.seen = now
	return was == nil || !os.SameFile(was, now) || !was.ModTime().Equal(now.ModTime()) || was.Size() != now.Size()
}
