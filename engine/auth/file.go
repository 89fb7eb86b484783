package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Warning is something about the apps file that works and should not stay so.
type Warning string

// String returns the warning's text.
func (w Warning) String() string { return string(w) }

// Load reads and parses the apps file at path. Errors and warnings are one line each and show nothing of what
// the file holds.
func Load(path string) (*Set, []Warning, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	text, info, err := readFile(f)
	if err != nil {
		return nil, nil, err
	}
	set, err := Parse(path, text)
	if err != nil {
		return nil, nil, err
	}
	var warnings []Warning
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		warnings = append(warnings, Warning(fmt.Sprintf(
			"%s holds secrets and others than its owner have access to it (mode %04o): chmod 600 it", path, mode)))
	}
	return set, warnings, nil
}

// readFile reads all of f, which must be a regular file of at most MaxFileSize bytes.
func readFile(f *os.File) ([]byte, fs.FileInfo, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: not a regular file", f.Name())
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, nil, err
	}
	return text, info, nil
}

// CreateFile writes a new file at path that its owner alone may read. It never overwrites: if something is
// there, the error is fs.ErrExist.
func CreateFile(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := writeAndClose(f, text); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncDir(filepath.Dir(path))
}

// editFile replaces the text of the apps file at path by what edit makes of it: readers see the old file or the
// new one, whole, and after a crash one of them is there. Mode and owner stay. Editors of one file wait for each
// other. An edit that changes nothing writes nothing.
func editFile(path string, edit func(text []byte) ([]byte, error)) error {
	path, err := filepath.EvalSymlinks(path) // replace the file, not a link to it
	if err != nil {
		return err
	}
	f, err := openLocked(path)
	if err != nil {
		return err
	}
	defer f.Close() // releases the lock
	old, info, err := readFile(f)
	if err != nil {
		return err
	}
	text, err := edit(old)
	if err != nil || bytes.Equal(text, old) {
		return err
	}
	return replaceFile(path, text, info)
}

// maxLockTries bounds how often an editor finds the file replaced by another between opening and locking it.
const maxLockTries = 100

// openLocked opens path and locks it against other editors. The lock is on the file's inode, which each edit
// replaces: one acquired after such a replacement is worth nothing and is sought again.
func openLocked(path string) (*os.File, error) {
	for range maxLockTries {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		current, err := lockCurrent(f, path)
		if current {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: others keep changing the file", path)
}

// lockCurrent locks f and reports whether path still leads to it.
func lockCurrent(f *os.File, path string) (bool, error) {
	if err := flock(f); err != nil {
		return false, fmt.Errorf("lock %s: %w", path, err)
	}
	locked, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(locked, now), nil
}

// flock waits for the exclusive lock on f, over interruptions by signals.
func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// replaceFile puts text in the place of the file at path, whose mode and owner are in info, by way of a
// temporary file beside it.
func replaceFile(path string, text []byte, info fs.FileInfo) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".apps-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	err = errors.Join(matchOwner(temporary, info), temporary.Chmod(info.Mode().Perm()))
	if err != nil {
		err = errors.Join(err, temporary.Close())
	} else {
		err = writeAndClose(temporary, text)
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// matchOwner gives f the owner and group in info, so that a file edited by root stays readable to the server.
func matchOwner(f *os.File, info fs.FileInfo) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	want, okWant := info.Sys().(*syscall.Stat_t)
	have, okHave := mine.Sys().(*syscall.Stat_t)
	if !okWant || !okHave || want.Uid == have.Uid && want.Gid == have.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}

// writeAndClose writes text to f and sees it onto the disk.
func writeAndClose(f *os.File, text []byte) error {
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// syncDir makes a rename or a new name in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
