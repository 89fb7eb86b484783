package engine

import (
	"context"
	"io/fs"
	"os"
	"time"
)

// watcher tells when one of some files has changed. It looks at the files instead
// of asking the kernel to tell: that works on every file system and through every
// link, and costs one system call for each an interval.
type watcher struct{ files []watched }

type watched struct {
	path string
	seen fs.FileInfo // at the last look; nil: no such file
	told fs.FileInfo // as of the last change told
}

// watchEvery leaves room within the second in which a revoked key takes effect.
const watchEvery = 200 * time.Millisecond

func watch(paths ...string) *watcher {
	w := &watcher{}
	for _, path := range paths {
		info, _ := os.Stat(path)
		w.files = append(w.files, watched{path: path, seen: info, told: info})
	}
	return w
}

// run calls changed after each change of the files, until ctx is done. A file
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

// look reports whether a file has changed, once all are at rest for an interval:
// a file that is half written may be a valid one without the other half's keys,
// and all their sockets would be closed; a certificate's key may follow it.
func (w *watcher) look() bool {
	atRest, changed := true, false
	for i := range w.files {
		f := &w.files[i]
		now, err := os.Stat(f.path)
		if err != nil {
			continue
		}
		atRest = atRest && sameFile(f.seen, now)
		changed = changed || !sameFile(f.told, now)
		f.seen = now
	}
	if !atRest || !changed {
		return false
	}
	for i := range w.files {
		w.files[i].told = w.files[i].seen
	}
	return true
}

// sameFile reports whether b is a with the same content, as far as can be seen.
func sameFile(a, b fs.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
