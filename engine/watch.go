package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher tells when a file has changed. It watches the directory, because most
// programs replace a file rather than write into it, and links on the way to it
// may change, too.
type watcher struct {
	files *fsnotify.Watcher
	path  string
}

// watchSettle is how long a file must be left alone before it is read: editors
// write in several steps.
const watchSettle = 50 * time.Millisecond

func watch(path string) (*watcher, error) {
	files, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", path, err)
	}
	if err := files.Add(filepath.Dir(path)); err != nil {
		_ = files.Close()
		return nil, fmt.Errorf("cannot watch %s: %w", path, err)
	}
	return &watcher{files, filepath.Clean(path)}, nil
}

// run calls changed after each change of the file, until ctx is done.
func (w *watcher) run(ctx context.Context, changed func()) {
	settled := time.NewTimer(watchSettle)
	settled.Stop()
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.files.Events:
			if !ok {
				return
			}
			if w.concerns(e) {
				settled.Reset(watchSettle)
			}
		case <-w.files.Errors: // an overflow: something may have been missed
			settled.Reset(watchSettle)
		case <-settled.C:
			changed()
		}
	}
}

// concerns reports whether an event may mean that the file reads otherwise now.
// Kubernetes and others swap a link beside the file, named ..data.
func (w *watcher) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod || e.Op == fsnotify.Remove {
		return false
	}
	return filepath.Clean(e.Name) == w.path || filepath.Base(e.Name) == "..data"
}

func (w *watcher) close() { _ = w.files.Close() }
