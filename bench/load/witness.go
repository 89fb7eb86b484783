package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/target"
)

// WitnessConfig describes peers that see another one come and go.
type WitnessConfig struct {
	Channel   string
	Witnesses int
	Sources   Sources
	Ramp      client.Ramp
}

// Witnesses are peers in a channel that another one, the comer, joins and leaves.
// Their methods are for one goroutine.
type Witnesses struct {
	// Immutable after open.
	size  int
	home  *client.Loop // the comer's
	comer *comer

	// Any goroutine (atomic).
	left atomic.Int64 // who has not been told yet
	losses
}

// comer comes and goes, some time after all have been told of the last. It is
// loop-owned.
type comer struct {
	all    *Witnesses
	conn   *client.Conn
	frames [2][]byte // leave, join
	what   int       // that is under way: which of these
	begun  int64     // when that was, as client.Now
	every  time.Duration
	until  int64
	times  [2]Histogram // of leaves, joins: until the last was told
	doneC  chan struct{}
}

// comerName is in no other peer's.
const comerName = "comer"

var comerMember = []byte(`"peerId":"` + comerName + `"`)

// OpenWitnesses connects the comer and those who see it.
func OpenWitnesses(ctx context.Context, fleet *client.Fleet, t *target.Target, cfg WitnessConfig) (*Witnesses, error) {
	d := t.Signalbox()
	if d == nil {
		return nil, errors.New("load: only this project's server has presence")
	}
	w := &Witnesses{size: cfg.Witnesses, home: fleet.Loop(0)}
	w.comer = &comer{all: w, doneC: make(chan struct{}, 1), frames: [2][]byte{
		target.AppendUnsubscribe(nil, cfg.Channel), target.AppendSubscribe(nil, cfg.Channel, "join")}}
	script, err := d.Peer(target.Claims{Peer: comerName, Permissions: []string{"subscribe"}})
	if err != nil {
		return nil, err
	}
	specs := []client.Spec{{Addr: t.Addr, Source: cfg.Sources.At(0), Script: script, Handler: w.comer}}
	for i := range cfg.Witnesses {
		script, err := d.Subscriber(target.Claims{Peer: fmt.Sprintf("witness-%d", i), Permissions: []string{"subscribe", "presence"}}, cfg.Channel)
		if err != nil {
			return nil, err
		}
		specs = append(specs, client.Spec{Index: 1 + i, Loop: i % fleet.Size(), Addr: t.At(i), Source: cfg.Sources.At(1 + i), Script: script, Handler: w})
	}
	return w, fleet.Open(ctx, cfg.Ramp, specs).Err()
}

// tellLimit is how long the last may wait to be told.
const tellLimit = time.Minute

// Run has the comer join and leave in turn for d, each time some time after all
// have been told of the last. It returns how long that telling took.
func (w *Witnesses) Run(ctx context.Context, every, d time.Duration) (joins, leaves Histogram, err error) {
	until := client.Now() + int64(d)
	w.home.Post(func() {
		w.comer.every, w.comer.until = every, until
		w.comer.change()
	})
	limit := time.NewTimer(d + tellLimit)
	defer limit.Stop()
	select {
	case <-w.comer.doneC:
	case <-ctx.Done():
		err = ctx.Err()
	case <-limit.C:
		err = fmt.Errorf("%d of %d have not been told", w.left.Load(), w.size)
	}
	doneC := make(chan struct{})
	w.home.Post(func() {
		leaves, joins = w.comer.times[0], w.comer.times[1]
		w.comer.until, w.comer.times = 0, [2]Histogram{}
		close(doneC)
	})
	<-doneC
	return joins, leaves, errors.Join(err, w.Err())
}

// change joins or leaves, whatever was not the last.
func (c *comer) change() {
	c.what = 1 - c.what
	c.begun = client.Now()
	c.all.left.Store(int64(c.all.size))
	c.conn.Send(c.frames[c.what])
}

// told notes when the last was told, and sets the time of the next change. The
// comer leaves in the end.
func (c *comer) told(at int64) {
	c.times[c.what].Record(at - c.begun)
	if now := client.Now(); now < c.until || c.what == 1 {
		c.all.home.At(now+int64(c.every), c.change)
	} else {
		c.doneC <- struct{}{}
	}
}

// Ready implements client.Handler.
func (c *comer) Ready(conn *client.Conn) { c.conn = conn }

// Text implements client.Handler.
func (c *comer) Text(*client.Conn, []byte) {}

// Closed implements client.Handler.
func (c *comer) Closed(conn *client.Conn, why client.Cause) { c.all.Closed(conn, why) }

// Ready implements client.Handler.
func (w *Witnesses) Ready(*client.Conn) {}

// Text implements client.Handler: it looks for the comer.
func (w *Witnesses) Text(c *client.Conn, payload []byte) {
	if client.KindOf(payload) != client.Presence || !bytes.Contains(payload, comerMember) || w.left.Add(-1) != 0 {
		return
	}
	at := c.Loop.ReadAt()
	w.home.Post(func() { w.comer.told(at) })
}

// Closed implements client.Handler.
func (w *Witnesses) Closed(c *client.Conn, why client.Cause) { w.ended(c, why) }
