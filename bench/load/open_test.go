package load

import (
	"sync/atomic"
	"testing"
	"time"

	"signalbox/bench/client"
)

// dialled notes when connections were due and ready.
type dialled struct{ due, ready []atomic.Int64 }

func (d *dialled) Ready(c *client.Conn) {
	d.due[c.Index].Store(c.DueAt)
	d.ready[c.Index].Store(c.ReadyAt)
}
func (*dialled) Text(*client.Conn, []byte)         {}
func (*dialled) Closed(*client.Conn, client.Cause) {}

// TestOpenCountsFromDue: a window that is full puts off dials, but not when they
// were due, so that who waits for a place is seen to wait.
func TestOpenCountsFromDue(t *testing.T) {
	const n, rate = 20, 1e6 // far more than go one after the other
	hub := newFloor(t)
	d := &dialled{make([]atomic.Int64, n), make([]atomic.Int64, n)}
	specs := make([]client.Spec, n)
	for i := range specs {
		script, err := hub.Dialect.Join("peer", "c")
		if err != nil {
			t.Fatal(err)
		}
		specs[i] = client.Spec{Index: i, Addr: hub.Addr, Script: script, Handler: d}
	}
	if err := newFleet(t, 1).Open(testContext(t), client.Ramp{Window: 1, Rate: rate}, specs).Err(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		due := d.due[i].Load() - d.due[0].Load()
		if want := int64(i) * int64(time.Second/rate); due != want {
			t.Errorf("connection %d was due %d ns after the first, want %d", i, due, want)
		}
		if i > 0 && d.ready[i].Load() <= d.ready[i-1].Load() {
			t.Errorf("connection %d did not wait for its place", i)
		}
	}
}
