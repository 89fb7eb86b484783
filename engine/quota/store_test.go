package quota

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"signalbox/engine/datafile"
)

func TestSecondOpener(t *testing.T) {
	dir, clock := t.TempDir(), clockAt(t, "2026-03-10T12:00:00Z")
	first := openLedger(t, dir, clock)
	_, err := Open(dir, clock.Now)
	if !errors.Is(err, datafile.ErrInUse) {
		t.Fatalf("second Open = %v, want ErrInUse", err)
	}
	if !strings.Contains(err.Error(), dir) {
		t.Errorf("error %q does not name the directory", err)
	}
	closeLedger(t, first)
	closeLedger(t, openLedger(t, dir, clock))
}

// usedFile returns a directory with a closed usage file of many records.
func usedFile(t *testing.T, clock *testClock) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	l := openLedger(t, dir, clock)
	for i := range 300 {
		messages(l.App(fmt.Sprintf("app_%d", i)), 1)
	}
	closeLedger(t, l)
	return dir, filepath.Join(dir, fileName)
}

func overwrite(t *testing.T, path string, offset int64, text []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(text, offset); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func putRaw(t *testing.T, path, value string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketName).Put([]byte(marchA), []byte(value))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDamagedFile(t *testing.T) {
	junk := []byte(strings.Repeat("\xa5\x5a\xff\x01junk", 512))
	tests := []struct {
		name   string
		damage func(t *testing.T, path string)
	}{
		{"no database at all", func(t *testing.T, path string) {
			if err := os.WriteFile(path, junk, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"a few bytes", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"both meta pages", func(t *testing.T, path string) {
			overwrite(t, path, 0, junk)
			overwrite(t, path, int64(os.Getpagesize()), junk)
		}},
		{"every other page", func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			for at := int64(2 * os.Getpagesize()); at < info.Size(); at += int64(len(junk)) {
				overwrite(t, path, at, junk)
			}
		}},
		{"cut short", func(t *testing.T, path string) {
			if err := os.Truncate(path, int64(2*os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
		}},
		{"record is no JSON", func(t *testing.T, path string) { putRaw(t, path, "nonsense") }},
		{"record of another type", func(t *testing.T, path string) { putRaw(t, path, `{"messages":"many"}`) }},
		{"negative count", func(t *testing.T, path string) { putRaw(t, path, `{"messages":-1}`) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clock := clockAt(t, "2026-03-10T12:00:00Z")
			dir, path := usedFile(t, clock)
			tt.damage(t, path)
			l, err := Open(dir, clock.Now)
			if !errors.Is(err, datafile.ErrDamaged) {
				if l != nil {
					closeLedger(t, l)
				}
				t.Fatalf("Open = %v, want ErrDamaged", err)
			}
			if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q is not one line that names the file", err)
			}
			// The failed Open keeps no lock: moving the file away is enough.
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			closeLedger(t, openLedger(t, dir, clock))
		})
	}
}

func TestDirectory(t *testing.T) {
	clock := clockAt(t, "2026-03-10T12:00:00Z")
	t.Run("made when missing", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "a", "b")
		closeLedger(t, openLedger(t, dir, clock))
		info, err := os.Stat(filepath.Join(dir, fileName))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("mode = %o, want 600", got)
		}
	})
	t.Run("is a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var pathErr *fs.PathError
		if _, err := Open(path, clock.Now); !errors.As(err, &pathErr) || errors.Is(err, datafile.ErrDamaged) {
			t.Errorf("Open = %v, want a path error", err)
		}
	})
}

// victimEnv, set to a data directory, makes the test binary a process that
// counts until it is killed.
const victimEnv = "QUOTA_TEST_VICTIM"

const victimCounts = 1000

// victimNow is within one month for both processes.
func victimNow() time.Time { return time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC) }

// countUntilKilled counts, waits until Run has stored it, however long the disk
// takes, says so and waits for the end.
func countUntilKilled(dir string) int {
	l, err := Open(dir, victimNow)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	messages(l.App("app_a"), victimCounts)
	go l.Run(context.Background())
	for range time.Tick(time.Millisecond) {
		if (*l.store.Load()).id() != "" { // set with what was first stored
			break
		}
	}
	fmt.Println("counted")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func TestKillLosesAtMostOneSecond(t *testing.T) {
	if flushInterval > time.Second/2 {
		t.Errorf("counts are stored once in %v", flushInterval)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+dir)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "counted\n" {
		t.Errorf("victim said %q, %v", line, err)
	}
	if _, err := Open(dir, victimNow); !errors.Is(err, datafile.ErrInUse) {
		t.Errorf("Open beside another process = %v, want ErrInUse", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed" is what was asked for

	l, err := Open(dir, victimNow)
	if err != nil {
		t.Fatal(err)
	}
	defer closeLedger(t, l)
	if got := l.App("app_a").Usage(victimNow()).MessagesUsed; got != victimCounts {
		t.Errorf("used = %d, want %d", got, victimCounts)
	}
}
