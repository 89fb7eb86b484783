package sim

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"signalbox/bench/result"
)

// The parts of a simulation, in the order in which they run.
const (
	Sessions = "sessions"
	FanOut   = "fanout"
	Roster   = "roster"
	Scale    = "scale"
)

// Sections are all parts.
var Sections = []string{Sessions, FanOut, Roster, Scale}

// Config is what to simulate.
type Config struct {
	Sections    []string
	Sessions    []int // rising numbers of sessions to look at
	Loops       []int // of scale; the others use the largest
	Subscribers int   // of scale
	InFlight    []int // publishes
	WriteCosts  []time.Duration
	Bytes       int // of a message, as JSON
	For         time.Duration
	Rounds      int           // of scale
	Ping        time.Duration // interval, 0: no pings
	Pin         bool          // each loop to a core of its own, if there are more cores
	Profile     bool          // tell which places allocate what a session holds
	// Stall returns the longest time, since its last call, for which the machine
	// kept a thread from running that was to; nil: not known.
	Stall func() (time.Duration, error)
}

// run is a simulation under way.
type run struct {
	Config
	ctx      context.Context
	record   *result.Record
	progress func(what string, done, total int)
}

// Run simulates and adds what it finds to record. progress hears how far it is.
// When ctx is done, Run returns its error, and record has what there is so far.
func Run(ctx context.Context, cfg Config, record *result.Record, progress func(what string, done, total int)) error {
	r := &run{Config: cfg, ctx: ctx, record: record, progress: progress}
	if cfg.Profile {
		runtime.MemProfileRate = profileRate
	}
	parts := []struct {
		sections []string
		run      func() error
	}{
		{[]string{Sessions}, r.sessions},
		{[]string{FanOut, Roster}, r.shared},
		{[]string{Scale}, r.scale},
	}
	for _, p := range parts {
		if slices.ContainsFunc(p.sections, r.has) {
			if err := p.run(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) has(section string) bool { return slices.Contains(r.Sections, section) }

// add adds a row of a section.
func (r *run) add(section string, row result.Row) {
	labelled := result.Row{}.Label("section", section)
	labelled.Labels = append(labelled.Labels, row.Labels...)
	labelled.Figures = row.Figures
	r.record.Add(labelled)
}

// extra is the room of a world for sessions beside those that are measured.
const extra = 64

// world makes the world of a section, of the largest size.
func (r *run) world(sessions int) (*world, error) {
	return newWorld(r.ctx, worldConfig{loops: slices.Max(r.Loops), sessions: sessions + extra, ping: r.Ping, pin: r.Pin})
}

// grow opens sessions until there are n.
func (r *run) grow(w *world, n int, roles func(int) role) error {
	from := w.count
	return w.open(n, roles, func(done int) { r.progress("open sessions", from+done, n) })
}

// Names of sessions and channels: as long as those of the idle scenario.
func peerName(i int) string { return fmt.Sprintf("own-%06d", i) }

// idleTime is how long a world is watched that has nothing to do but sweep.
const idleTime = time.Second

const mib = 1 << 20

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
