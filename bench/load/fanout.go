package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"signalbox/bench/client"
	"signalbox/bench/target"
)

// FanOutConfig describes a channel under load.
type FanOutConfig struct {
	Channel     string
	Subscribers int
	Publishers  int
	InFlight    int // slots: the most publishes under way at a time
	Bytes       int // of a delivered message's payload
	Sources     Sources
	Ramp        client.Ramp
}

// FanOut is a channel with subscribers and publishers, under a closed loop: a
// slot holds one message, which is published again as soon as every subscriber
// has it. Its methods are for one goroutine, but for the counts.
type FanOut struct {
	// Immutable after open.
	fleet   *client.Fleet
	loops   []*fanLoop
	slots   []*slot
	closers int
	sharing int32 // loops with subscribers

	// Any goroutine (atomic).
	publishes atomic.Uint64
	running   atomic.Int32 // slots under way
	active    atomic.Int32 // slots that are to go on
	publisher atomic.Int32 // publishers that share them
	losses
	idleC chan struct{} // told when the last slot rests
}

// slot is one message at a time.
type slot struct {
	left    atomic.Int32 // loops that have not all of it yet
	message []byte       // masked
	publish []func()     // by publisher: sends the message, on the publisher's loop
}

// fanLoop is one client loop's part. It is loop-owned.
type fanLoop struct {
	fan         *FanOut
	subscribers int
	seen        []int // deliveries of the slot's message so far
}

// visitor handles a publisher's connection. What it receives, as a member of a
// hub, is not waited for.
type visitor struct {
	fan  *FanOut
	conn *client.Conn // loop-owned
}

// OpenFanOut connects subscribers and publishers. They stay until the fleet
// drops its connections.
func OpenFanOut(ctx context.Context, fleet *client.Fleet, t *target.Target, cfg FanOutConfig) (*FanOut, error) {
	f := &FanOut{fleet: fleet, closers: t.Dialect.Closers(), idleC: make(chan struct{}, 1)}
	for i := range fleet.Size() {
		l := &fanLoop{fan: f, seen: make([]int, cfg.InFlight)}
		l.subscribers = (cfg.Subscribers - i + fleet.Size() - 1) / fleet.Size()
		if l.subscribers > 0 {
			f.sharing++
		}
		f.loops = append(f.loops, l)
	}
	specs, err := f.memberSpecs(t, cfg)
	if err != nil {
		return nil, err
	}
	visitors := make([]*visitor, cfg.Publishers)
	for i := range visitors {
		visitors[i] = &visitor{fan: f}
		peer := publisherName(i)
		script, err := t.Dialect.Visit(peer, cfg.Channel)
		if err != nil {
			return nil, err
		}
		n := cfg.Subscribers + i
		specs = append(specs, client.Spec{Index: n, Loop: i % fleet.Size(), Addr: t.Addr,
			Source: cfg.Sources.At(n), Script: script, Handler: visitors[i]})
	}
	if err := fleet.Open(ctx, cfg.Ramp, specs).Err(); err != nil {
		return nil, err
	}
	f.makeSlots(t.Dialect, cfg, visitors)
	return f, nil
}

func (f *FanOut) memberSpecs(t *target.Target, cfg FanOutConfig) ([]client.Spec, error) {
	specs := make([]client.Spec, 0, cfg.Subscribers+cfg.Publishers)
	for i := range cfg.Subscribers {
		script, err := t.Dialect.Join(fmt.Sprintf("sub-%06d", i), cfg.Channel)
		if err != nil {
			return nil, err
		}
		specs = append(specs, client.Spec{Index: i, Loop: i % f.fleet.Size(), Addr: t.At(i),
			Source: cfg.Sources.At(i), Script: script, Handler: f.loops[i%f.fleet.Size()]})
	}
	return specs, nil
}

// publisherName is of one length, so that all messages are.
func publisherName(i int) string { return fmt.Sprintf("pub-%06d", i) }

func (f *FanOut) makeSlots(d target.Dialect, cfg FanOutConfig, visitors []*visitor) {
	size := max(client.MinData, cfg.Bytes-d.Overhead(cfg.Channel, publisherName(0)))
	for i := range cfg.InFlight {
		data := client.AppendData(nil, size, client.Stamp{Slot: uint32(i)})
		s := &slot{message: d.AppendPublish(nil, cfg.Channel, data)}
		for _, v := range visitors {
			s.publish = append(s.publish, func() { v.conn.Send(s.message) })
		}
		f.slots = append(f.slots, s)
	}
}

// Start puts inFlight messages under way, from publishers in turn.
func (f *FanOut) Start(inFlight, publishers int) {
	f.publisher.Store(int32(publishers))
	f.running.Store(int32(inFlight))
	f.active.Store(int32(inFlight))
	f.fleet.Each(func(l *client.Loop) { clear(f.loops[l.Index].seen) })
	for i := range inFlight {
		f.slots[i].left.Store(f.sharing)
		f.launch(i, nil)
	}
}

// launch publishes a slot's message; here is the loop that runs, if any.
func (f *FanOut) launch(i int, here *client.Loop) {
	p := i % int(f.publisher.Load())
	home := f.fleet.Loop(p % f.fleet.Size())
	if publish := f.slots[i].publish[p]; home == here {
		publish()
	} else {
		home.Post(publish)
	}
}

// Stop lets what is under way arrive and publishes no more. It does not wait for
// what cannot arrive, as connections have been lost.
func (f *FanOut) Stop(ctx context.Context) error {
	f.active.Store(0)
	t := time.NewTicker(arrivePoll)
	defer t.Stop()
	for f.Err() == nil {
		select {
		case <-f.idleC:
			return f.Err()
		case <-ctx.Done():
			return errors.Join(f.Err(), fmt.Errorf("%d messages have not arrived everywhere: %w", f.running.Load(), ctx.Err()))
		case <-t.C:
		}
	}
	return f.Err()
}

// Publishes is the number of messages that every subscriber has.
func (f *FanOut) Publishes() uint64 { return f.publishes.Load() }

// arrived tells that one loop's subscribers all have the slot's message.
func (f *FanOut) arrived(i int, here *client.Loop) {
	if f.slots[i].left.Add(-1) > 0 {
		return
	}
	f.publishes.Add(1)
	if i < int(f.active.Load()) {
		f.slots[i].left.Store(f.sharing)
		f.launch(i, here)
	} else if f.running.Add(-1) == 0 {
		f.idleC <- struct{}{}
	}
}

// Ready implements client.Handler.
func (l *fanLoop) Ready(*client.Conn) {}

// Text implements client.Handler: it counts a delivery.
func (l *fanLoop) Text(c *client.Conn, payload []byte) {
	i, ok := client.ReadSlot(payload, l.fan.closers)
	if !ok || int(i) >= len(l.seen) {
		return
	}
	if l.seen[i]++; l.seen[i] == l.subscribers {
		l.seen[i] = 0
		l.fan.arrived(int(i), c.Loop)
	}
}

// Closed implements client.Handler.
func (l *fanLoop) Closed(c *client.Conn, why client.Cause) { l.fan.ended(c, why) }

// Ready implements client.Handler.
func (v *visitor) Ready(c *client.Conn) { v.conn = c }

// Text implements client.Handler.
func (v *visitor) Text(*client.Conn, []byte) {}

// Closed implements client.Handler.
func (v *visitor) Closed(c *client.Conn, why client.Cause) { v.fan.ended(c, why) }
