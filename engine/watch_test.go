package engine

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWatcher looks after each step at a file that is written in ways editors
// and programs have.
func TestWatcher(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apps.yaml")
	write := func(text string) func() error {
		return func() error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	replace := func() error {
		if err := os.WriteFile(path+".new", []byte("whole"), 0o600); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	}
	steps := []struct {
		name string
		step func() error // nil: nothing happens
		want bool
	}{
		{"still not there", nil, false},
		{"truncated", write(""), false},
		{"half written", write("ha"), false},
		{"written", write("half"), false},
		{"at rest", nil, true},
		{"at rest still", nil, false},
		{"replaced by one of another size", replace, false},
		{"at rest again", nil, true},
		{"replaced by one of the same size", replace, false},
		{"at rest after that", nil, true},
		{"gone", func() error { return os.Remove(path) }, false},
		{"gone still", nil, false},
		{"back", write("again"), false},
		{"back and at rest", nil, true},
		{"another file", func() error { return os.WriteFile(path+".key", []byte("key"), 0o600) }, false},
		{"both, while that rests", write("both"), false},
		{"both at rest", nil, true},
	}
	w := watch(path, path+".key")
	for _, s := range steps {
		if s.step != nil {
			if err := s.step(); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.look(); got != s.want {
			t.Errorf("%s: got change %v, want %v", s.name, got, s.want)
		}
	}
}
