package sim

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"signalbox/bench/target"
	"signalbox/engine"
	"signalbox/engine/auth"
	"signalbox/engine/cluster"
	"signalbox/engine/quota"
	"signalbox/engine/session"
)

const (
	appID = "app_sim"
	// noPings is an interval of which no run lives to see the half.
	noPings = 24 * time.Hour
)

// world is a hub with its loops and sessions.
type world struct {
	// Immutable after newWorld.
	ctx   context.Context
	hub   *session.Hub
	keys  *auth.Set
	key   *auth.Key
	loops []*loop

	conns [][]conn // by loop; session i is at [i mod loops][i div loops]
	count int      // sessions opened
	wg    sync.WaitGroup
}

// worldConfig is what a world is made of.
type worldConfig struct {
	loops    int
	sessions int           // at most, for which room is made
	ping     time.Duration // interval; 0: no pings
	pin      bool          // each loop to a core, if there are enough
}

// newWorld starts the loops of a world without sessions. It ends with close.
func newWorld(ctx context.Context, cfg worldConfig) (*world, error) {
	text, id, _, _ := auth.Template(appID)
	keys, err := auth.Parse("apps", text)
	if err != nil {
		return nil, err
	}
	ledger, err := quota.Open("", nil)
	if err != nil {
		return nil, err
	}
	cores, err := target.Cores()
	if err != nil {
		return nil, err
	}
	limits := engine.DefaultConfig().Limits
	limits.MessageRate = 0
	if limits.PingInterval = cfg.ping; cfg.ping == 0 {
		limits.PingInterval = noPings
	}
	w := &world{ctx: ctx, keys: keys, key: keys.Key(id)}
	w.hub = session.NewHub(session.Config{
		Loops: cfg.loops, Limits: limits, Keys: keys, Ledger: ledger, Bus: cluster.Local{}, Logger: slog.New(slog.DiscardHandler),
	})
	for i := range cfg.loops {
		bell, err := newBell()
		if err != nil {
			w.close()
			return nil, err
		}
		core := -1
		if cfg.pin && cfg.loops < len(cores) {
			core = cores[len(cores)-1-i]
		}
		l := newLoop(i, w.hub.Loop(i), core, bell)
		l.upper.Bind(l)
		slab := make([]conn, (cfg.sessions+cfg.loops-1)/cfg.loops)
		for k := range slab {
			slab[k].loop = l
		}
		w.loops, w.conns = append(w.loops, l), append(w.conns, slab)
		w.wg.Go(l.run)
	}
	return w, w.each(func(*loop) {})
}

// close ends the loops and lets go of the sessions.
func (w *world) close() {
	for _, l := range w.loops {
		l.stop()
	}
	w.wg.Wait()
	w.conns = nil
}

// each runs f on every loop, as an event, and waits.
func (w *world) each(f func(*loop)) error {
	t := newLatch(len(w.loops))
	for _, l := range w.loops {
		l.do(func() {
			f(l)
			t.done(1)
		})
	}
	return w.wait(t, nil)
}

// on runs f on one loop, as an event, and waits.
func (w *world) on(l *loop, f func()) error {
	t := newLatch(1)
	l.do(func() {
		f()
		t.done(1)
	})
	return w.wait(t, nil)
}
