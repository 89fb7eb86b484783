package quota

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/goccy/go-json"
	"go.etcd.io/bbolt"

	"signalbox/engine/datafile"
)

// store keeps counts over restarts. Its methods may be called from any
// goroutine.
type store interface {
	id() string // of the contributor; empty before the first save
	// load returns a period's own counts, zero if there are none, and those of
	// other contributors.
	load(key string) (own Counts, shares map[string]Counts, err error)
	save(rows []row) error // all or none
	close() error
}

const fileName = "usage.db"

var (
	bucketName   = []byte("usage")
	sharesBucket = []byte("shares")
	selfBucket   = []byte("contributor")
	idKey        = []byte("id")
)

// boltStore is the store of a data directory. The file has three buckets:
// "usage" from "2006-01 <app id>" to the JSON of own counts, "shares" from
// "2006-01 <app id> <contributor>" to that of others', and "contributor" with the
// directory's own id. Months that are over stay in it.
type boltStore struct {
	file *datafile.File
	self atomic.Pointer[string] // nil before the first save
}

// openBolt opens or makes the file in dir, takes its lock and reads it through,
// so that damage shows at the start and not in the middle of a run.
func openBolt(dir string) (*boltStore, error) {
	f, err := datafile.Open(dir, fileName)
	if err != nil {
		return nil, fmt.Errorf("quota: %w", err)
	}
	s := &boltStore{file: f}
	if err := f.Read(s.verify); err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, fmt.Errorf("quota: %w", err)
	}
	return s, nil
}

// verify reads every record, and the directory's id.
func (s *boltStore) verify(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketName, sharesBucket} {
		b := tx.Bucket(name)
		if b == nil {
			continue
		}
		err := b.ForEach(func(_, value []byte) error {
			_, err := decodeCounts(value)
			return err
		})
		if err != nil {
			return err
		}
	}
	if b := tx.Bucket(selfBucket); b != nil {
		id := string(b.Get(idKey))
		if !validID(id) {
			return errors.New("bad contributor id")
		}
		s.self.Store(&id)
	}
	return nil
}

func decodeCounts(value []byte) (Counts, error) {
	var c Counts
	if err := json.Unmarshal(value, &c); err != nil {
		return Counts{}, err
	}
	if !c.valid() {
		return Counts{}, errors.New("negative count")
	}
	return c, nil
}

func (s *boltStore) id() string {
	if id := s.self.Load(); id != nil {
		return *id
	}
	return ""
}

func (s *boltStore) load(key string) (own Counts, shares map[string]Counts, err error) {
	err = s.file.Read(func(tx *bbolt.Tx) (err error) {
		if b := tx.Bucket(bucketName); b != nil {
			if value := b.Get([]byte(key)); value != nil {
				if own, err = decodeCounts(value); err != nil {
					return err
				}
			}
		}
		shares, err = loadShares(tx, key)
		return err
	})
	return own, shares, err
}

// loadShares reads the counts of other contributors to a period. Ids have one
// length, so that a blank in an app's id leads to no other app's.
func loadShares(tx *bbolt.Tx, key string) (map[string]Counts, error) {
	b := tx.Bucket(sharesBucket)
	if b == nil {
		return nil, nil
	}
	shares := make(map[string]Counts)
	prefix, cursor := []byte(key+" "), b.Cursor()
	for k, value := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, value = cursor.Next() {
		id := string(k[len(prefix):])
		if !validID(id) {
			continue
		}
		c, err := decodeCounts(value)
		if err != nil {
			return nil, err
		}
		shares[id] = c
	}
	return shares, nil
}

func (s *boltStore) save(rows []row) error {
	id := s.id()
	if id == "" {
		id = newID()
	}
	err := s.file.Write(func(tx *bbolt.Tx) error {
		if err := put(tx, selfBucket, string(idKey), []byte(id)); err != nil {
			return err
		}
		for _, r := range rows {
			value, err := json.Marshal(r.counts)
			if err != nil {
				return err
			}
			bucket, key := bucketName, r.period.key
			if r.by != "" {
				bucket, key = sharesBucket, key+" "+r.by
			}
			if err := put(tx, bucket, key, value); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.self.Store(&id)
	}
	return err
}

func put(tx *bbolt.Tx, bucket []byte, key string, value []byte) error {
	b, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return err
	}
	return b.Put([]byte(key), value)
}

func (s *boltStore) close() error { return s.file.Close() }
