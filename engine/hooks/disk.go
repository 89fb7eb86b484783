package hooks

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/goccy/go-json"
	"go.etcd.io/bbolt"

	"signalbox/engine/datafile"
)

const fileName = "hooks.db"

var queuesName, batchesName = []byte("queues"), []byte("batches")

// key names a batch in the file: its queue and its number, eight bytes each, the
// highest first.
type key [16]byte

func newKey(queue, seq uint64) (k key) {
	binary.BigEndian.PutUint64(k[:8], queue)
	binary.BigEndian.PutUint64(k[8:], seq)
	return k
}

// row is a queue in the file. The URL is there as its hash: it may hold a secret.
type row struct {
	ID    uint64            `json:"-"`
	App   string            `json:"app"`
	Place int               `json:"place"`
	URL   [sha256.Size]byte `json:"url"`

	Dropped int64 `json:"dropped,omitempty"` // events lost that no batch tells of yet
}

// put is a batch to be written.
type put struct {
	queue uint64
	batch *batch
}

// change is what one transaction writes, in this order: rows and batches come,
// then batches and queues go.
type change struct {
	rows    []row
	puts    []put
	removes []key
	drops   []uint64
}

func (c *change) empty() bool {
	return len(c.rows)+len(c.puts)+len(c.removes)+len(c.drops) == 0
}

// cut cuts the change after size bytes or so. Either part leaves the file whole, even if
// the other never comes: batches have their queue's row with them or before them, and a queue goes
// with the last of its batches or after it. What goes makes room, so it comes first.
func (c *change) cut(size int64) (first, rest change) {
	removes := min(len(c.removes), int(size/batchCost))
	size -= int64(removes) * batchCost
	puts := 0
	for puts < len(c.puts) && size > 0 {
		size -= c.puts[puts].batch.size
		puts++
	}
	first = change{rows: c.rows, puts: slices.Clip(c.puts[:puts]), removes: slices.Clip(c.removes[:removes])}
	if removes < len(c.removes) {
		rest.removes, rest.drops = c.removes[removes:], c.drops
	} else {
		first.drops = c.drops
	}
	if puts < len(c.puts) {
		rest.puts = c.puts[puts:]
	}
	return first, rest
}

// and returns the change with a later one behind it. Of a queue's rows it has the last
// alone: a change may have to wait for as long as the disk fails.
func (c *change) and(later change) change {
	last := map[uint64]row{}
	for _, r := range append(c.rows, later.rows...) {
		last[r.ID] = r
	}
	return change{
		rows:    slices.Collect(maps.Values(last)),
		puts:    append(c.puts, later.puts...),
		removes: append(c.removes, later.removes...),
		drops:   append(c.drops, later.drops...),
	}
}

// disk is the file of queues.
type disk struct{ file *datafile.File }

// openDisk opens or makes the file in dir and takes its lock.
func openDisk(dir string) (*disk, error) {
	f, err := datafile.Open(dir, fileName)
	if err != nil {
		return nil, fmt.Errorf("hooks: %w", err)
	}
	return &disk{f}, nil
}

// load reads the queues and what is to be known of their batches.
func (d *disk) load() (list []*queue, err error) {
	err = d.file.Read(func(tx *bbolt.Tx) (err error) {
		list, err = loadQueues(tx)
		return err
	})
	return list, err
}

func loadQueues(tx *bbolt.Tx) (list []*queue, err error) {
	queues, batches := tx.Bucket(queuesName), tx.Bucket(batchesName)
	if queues == nil || batches == nil {
		return nil, nil
	}
	byID := map[uint64]*queue{}
	err = queues.ForEach(func(k, v []byte) error {
		var r row
		if len(k) != 8 || json.Unmarshal(v, &r) != nil {
			return errors.New("a queue cannot be read")
		}
		q := newQueue(binary.BigEndian.Uint64(k), r.App)
		q.place, q.url, q.dropped, q.noted = r.Place, r.URL, r.Dropped, r.Dropped
		byID[q.id], list = q, append(list, q)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, batches.ForEach(func(k, v []byte) error {
		if len(k) != len(key{}) || len(v) < headSize {
			return errors.New("a batch cannot be read")
		}
		q := byID[binary.BigEndian.Uint64(k)]
		if q == nil {
			return errors.New("a batch belongs to no queue")
		}
		q.push(&batch{
			seq:     binary.BigEndian.Uint64(k[8:]),
			events:  int(binary.BigEndian.Uint32(v)),
			dropped: int64(binary.BigEndian.Uint64(v[4:])),
			time:    int64(binary.BigEndian.Uint64(v[12:])),
			size:    int64(len(v) - headSize + batchCost),
			state:   saved,
		})
		return nil
	})
}

// headSize is the length of what stands before a batch's body in the file: the
// number of its events, four bytes, that of those lost before it, eight, and the
// time of the first, eight.
const headSize = 20

// appendBatch appends the batch as it stands in the file.
func appendBatch(dst []byte, b *batch, body []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(b.events))
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.dropped))
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.time))
	return append(dst, body...)
}

// body reads the body of a batch.
func (d *disk) body(k key) (body []byte, err error) {
	err = d.file.Read(func(tx *bbolt.Tx) error {
		v := tx.Bucket(batchesName).Get(k[:])
		if len(v) < headSize {
			return errors.New("a batch is missing")
		}
		body = append(body, v[headSize:]...)
		return nil
	})
	return body, err
}

// fill is how full pages are made: numbers rise, so pages are filled in order.
const fill = 0.9

// write writes all of the change or none of it.
func (d *disk) write(c change) error {
	return d.file.Write(func(tx *bbolt.Tx) error {
		queues, err := tx.CreateBucketIfNotExists(queuesName)
		if err != nil {
			return err
		}
		batches, err := tx.CreateBucketIfNotExists(batchesName)
		if err != nil {
			return err
		}
		batches.FillPercent = fill
		return c.write(queues, batches)
	})
}

func (c *change) write(queues, batches *bbolt.Bucket) error {
	for _, r := range c.rows {
		v, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if err := queues.Put(binary.BigEndian.AppendUint64(nil, r.ID), v); err != nil {
			return err
		}
	}
	for _, p := range c.puts {
		k := newKey(p.queue, p.batch.seq)
		if err := batches.Put(k[:], appendBatch(nil, p.batch, p.batch.body)); err != nil {
			return err
		}
	}
	for _, k := range c.removes {
		if err := batches.Delete(k[:]); err != nil {
			return err
		}
	}
	for _, id := range c.drops {
		if err := queues.Delete(binary.BigEndian.AppendUint64(nil, id)); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) close() error { return d.file.Close() }
