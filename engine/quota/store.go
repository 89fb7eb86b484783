package quota

import (
	"errors"
	"fmt"

	"github.com/goccy/go-json"
	"go.etcd.io/bbolt"

	"signalbox/engine/datafile"
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
type boltStore struct{ file *datafile.File }

// openBolt opens or makes the file in dir, takes its lock and reads it through,
// so that damage shows at the start and not in the middle of a run.
func openBolt(dir string) (*boltStore, error) {
	f, err := datafile.Open(dir, fileName)
	if err != nil {
		return nil, fmt.Errorf("quota: %w", err)
	}
	if err := f.Read(verify); err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, fmt.Errorf("quota: %w", err)
	}
	return &boltStore{f}, nil
}

// verify reads every record.
func verify(tx *bbolt.Tx) error {
	b := tx.Bucket(bucketName)
	if b == nil {
		return nil
	}
	return b.ForEach(func(_, value []byte) error {
		_, err := decodeRecord(value)
		return err
	})
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
	err = s.file.Read(func(tx *bbolt.Tx) (err error) {
		b := tx.Bucket(bucketName)
		if b == nil {
			return nil
		}
		if value := b.Get([]byte(key)); value != nil {
			r, err = decodeRecord(value)
		}
		return err
	})
	return r, err
}

func (s *boltStore) save(rows []row) error {
	return s.file.Write(func(tx *bbolt.Tx) error {
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
}

func (s *boltStore) close() error { return s.file.Close() }
