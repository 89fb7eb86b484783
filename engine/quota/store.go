package quota

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/goccy/go-json"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// Errors of Open. Both come wrapped with the directory or file they are about.
var (
	ErrInUse   = errors.New("quota: data directory is in use by another process")
	ErrDamaged = errors.New("quota: usage file is damaged")
)

// store keeps records over restarts. Its methods may be called from any
// goroutine.
type store interface {
	load(key string) (record, error) // the zero record when there is none
	save(rows []row) error           // all or none
	close() error
}

const fileName = "usage.db"

var bucketName = []byte("usage")

// boltStore is the store of a data directory. The file has one bucket,
// "usage", from "2006-01 <app id>" to the JSON of a record; months that are
// over stay in it.
type boltStore struct{ db *bbolt.DB }

// openBolt opens or makes the file in dir, takes its lock and reads it through.
func openBolt(dir string) (*boltStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("quota: data directory: %w", err)
	}
	path := filepath.Join(dir, fileName)
	var file *os.File
	options := &bbolt.Options{
		Timeout: time.Nanosecond, // one try: bbolt waits for ever with 0
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	}
	var db *bbolt.DB
	err := guard(path, func() (err error) {
		if db, err = bbolt.Open(path, 0o600, options); err == nil {
			err = verify(db, path)
		}
		return err
	})
	if err == nil {
		return &boltStore{db: db}, nil
	}
	if db != nil {
		_ = db.Close() // the first error is the one to tell
	} else if file != nil {
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
		return fmt.Errorf("quota: open usage file: %w", err)
	case errors.Is(err, ErrDamaged):
		return err
	}
	return damaged(path, err)
}

func damaged(path string, why any) error {
	return fmt.Errorf("%w: %s: %v; move it away to start counting afresh", ErrDamaged, path, why)
}

// verify reads every record, so that damage shows at the start and not in the
// middle of a run.
func verify(db *bbolt.DB, path string) error {
	return db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return damaged(path, "it is cut short")
		}
		b := tx.Bucket(bucketName)
		if b == nil {
			return nil
		}
		return b.ForEach(func(_, value []byte) error {
			if _, err := decodeRecord(value); err != nil {
				return damaged(path, err)
			}
			return nil
		})
	})
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

func decodeRecord(value []byte) (record, error) {
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return record{}, err
	}
	if !r.valid() {
		return record{}, errors.New("negative count")
	}
	return r, nil
}

func (s *boltStore) load(key string) (r record, err error) {
	err = guard(s.db.Path(), func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketName)
			if b == nil {
				return nil
			}
			value := b.Get([]byte(key))
			if value == nil {
				return nil
			}
			r, err = decodeRecord(value)
			return err
		})
	})
	return r, err
}

func (s *boltStore) save(rows []row) error {
	return guard(s.db.Path(), func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(bucketName)
			if err != nil {
				return err
			}
			for _, r := range rows {
				value, err := json.Marshal(r.record)
				if err != nil {
					return err
				}
				if err := b.Put([]byte(r.period.key), value); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func (s *boltStore) close() error { return s.db.Close() }
