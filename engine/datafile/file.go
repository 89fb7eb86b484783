package datafile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// Errors of Open and of a File. Both come wrapped with the directory or file
// they are about.
var (
	ErrInUse   = errors.New("data directory is in use by another process")
	ErrDamaged = errors.New("file in the data directory is damaged")
)

// File is a database file, locked for this process.
type File struct{ db *bbolt.DB }

// Open opens or makes the file of this name in dir, which it makes when missing,
// and takes its lock.
func Open(dir, name string) (*File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	path := filepath.Join(dir, name)
	var file *os.File
	options := &bbolt.Options{
		Timeout:      time.Nanosecond, // one try: bbolt waits for ever with 0
		FreelistType: bbolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	}
	f := &File{}
	err := guard(path, func() (err error) {
		f.db, err = bbolt.Open(path, 0o600, options)
		return err
	})
	if err == nil {
		return f, nil
	}
	if f.db == nil && file != nil {
		_ = file.Close() // bbolt panicked half-way: let go of the lock
	}
	return nil, openError(dir, path, err)
}

// openError tells the three ways apart in which a file fails to open.
func openError(dir, path string, err error) error {
	var errno syscall.Errno
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return fmt.Errorf("%w: %s", ErrInUse, dir)
	case errors.As(err, &pathErr), errors.As(err, &errno):
		return fmt.Errorf("data directory: %w", err)
	case errors.Is(err, ErrDamaged):
		return err
	}
	return damaged(path, err)
}

func damaged(path string, why any) error {
	return fmt.Errorf("%w: %s: %v; move it away to go on without what it holds", ErrDamaged, path, why)
}

// guard turns a panic of bbolt on a damaged page, and the fault of a mapped
// page that the file does not have, into ErrDamaged.
func guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged(path, r)
		}
	}()
	return f()
}

// Read has f read. What f returns is what is wrong with the file: it comes back
// as ErrDamaged.
func (d *File) Read(f func(*bbolt.Tx) error) error {
	path := d.db.Path()
	return guard(path, func() error {
		return d.db.View(func(tx *bbolt.Tx) error {
			if info, err := os.Stat(path); err != nil {
				return err
			} else if info.Size() < tx.Size() {
				return damaged(path, "it is cut short")
			}
			if err := f(tx); err != nil {
				return damaged(path, err)
			}
			return nil
		})
	})
}

// Write has f write: all of it, or nothing if f returns an error.
func (d *File) Write(f func(*bbolt.Tx) error) error {
	return guard(d.db.Path(), func() error { return d.db.Update(f) })
}

// Close closes the file and gives up its lock.
func (d *File) Close() error { return d.db.Close() }
