package datafile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// TestFaults: each fault of a file is told as what it is, in one line that names
// it, and leaves no lock behind.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, dir, path string) error
		want error
	}{
		{"in use", func(t *testing.T, dir, _ string) error {
			f, err := Open(dir, "a.db")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			_, err = Open(dir, "a.db")
			return err
		}, ErrInUse},
		{"no database", func(t *testing.T, dir, path string) error {
			if err := os.WriteFile(path, []byte(strings.Repeat("text", 10_000)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, "a.db")
			return err
		}, ErrDamaged},
		{"a reader is not content", func(t *testing.T, dir, _ string) error {
			f, err := Open(dir, "a.db")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			return f.Read(func(*bbolt.Tx) error { return errors.New("nonsense") })
		}, ErrDamaged},
		{"a reader panics", func(t *testing.T, dir, _ string) error {
			f, err := Open(dir, "a.db")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			return f.Read(func(*bbolt.Tx) error { panic("page 7") })
		}, ErrDamaged},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.db")
			err := tc.do(t, dir, path)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %v in one line that names %s", err, tc.want, dir)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			f, err := Open(dir, "a.db")
			if err != nil {
				t.Fatalf("with the file moved away: %v", err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
