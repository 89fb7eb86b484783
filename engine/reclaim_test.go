package engine

import (
	"log/slog"
	"testing"
	"time"
)

// process is a process whose vitals and time the test sets.
type process struct {
	vitals
	time        time.Time
	collections int
	takes       time.Duration // a collection
}

func (p *process) collect() {
	p.time = p.time.Add(p.takes)
	p.collections++
	p.cpu += p.takes
	p.objects, p.free = p.live, 0
}

// work has the process do something before the next look.
type work struct {
	allocates uint64
	cpu       time.Duration
	garbage   uint64 // that is there afterwards
	free      uint64
	looks     int // for how many looks it does nothing then
	want      int // collections so far
}

func TestReclaimer(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name  string
		live  uint64
		takes time.Duration
		off   bool
		works []work
	}{
		{"rest after a burst", 16 * mib, 0, false, []work{{allocates: 50 * mib, garbage: 4 * mib, looks: 2, want: 1}}},
		{"not before it is known for rest", 16 * mib, 0, false, []work{{allocates: 50 * mib, garbage: 4 * mib, looks: 1, want: 0}}},
		{"once a rest", 16 * mib, 0, false, []work{
			{allocates: 50 * mib, garbage: 4 * mib, looks: 5, want: 1}, {garbage: 4 * mib, looks: 50, want: 1},
		}},
		{"again after the next burst", 16 * mib, 0, false, []work{
			{allocates: 50 * mib, garbage: 4 * mib, looks: 2, want: 1}, {allocates: 50 * mib, garbage: 4 * mib, looks: 2, want: 2},
		}},
		{"free pages count", 16 * mib, 0, false, []work{{allocates: 50 * mib, free: 4 * mib, looks: 2, want: 1}}},
		{"little to be had", 16 * mib, 0, false, []work{{allocates: 50 * mib, garbage: mib / 2, free: mib / 4, looks: 9, want: 0}}},
		{"little against what is alive", 1024 * mib, 0, false, []work{{allocates: 50 * mib, garbage: 60 * mib, looks: 9, want: 0}}},
		{"a trickle is rest", 1024 * mib, 0, false, []work{
			{allocates: 50 * mib, garbage: 99 * mib}, {allocates: 4 * mib, garbage: 99 * mib, looks: 1, want: 1},
		}},
		{"work that allocates nothing is no rest", 16 * mib, 0, false, []work{
			{garbage: 4 * mib, cpu: time.Hour}, {garbage: 4 * mib, cpu: time.Hour}, {garbage: 4 * mib, cpu: time.Hour},
		}},
		{"collector turned off", 16 * mib, 0, true, []work{{allocates: 50 * mib, garbage: 4 * mib, looks: 9, want: 0}}},
		{"a hundredth of the time", 16 * mib, time.Second, false, []work{
			{allocates: 50 * mib, garbage: 4 * mib, looks: 2, want: 1},
			{allocates: 50 * mib, garbage: 4 * mib, looks: 45, want: 1}, {garbage: 4 * mib, looks: 9, want: 2},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &process{takes: tt.takes}
			p.live, p.objects, p.off = tt.live, tt.live, tt.off
			r := newReclaimer(slog.New(slog.DiscardHandler))
			r.look, r.collect, r.now = func() vitals { return p.vitals }, p.collect, func() time.Time { return p.time }
			r.note()
			for i, w := range tt.works {
				p.allocated += w.allocates
				p.cpu += w.cpu
				p.objects, p.free = p.live+w.garbage, w.free
				for range 1 + w.looks {
					p.time = p.time.Add(lookEvery)
					r.tick()
				}
				if p.collections != w.want {
					t.Errorf("after work %d: got %d collections, want %d", i, p.collections, w.want)
				}
			}
		})
	}
}

// TestReadVitals looks at this process, which is alive and has done something.
func TestReadVitals(t *testing.T) {
	if v := readVitals(); v.cpu <= 0 || v.allocated == 0 || v.objects == 0 || v.allocated < v.objects/2 || v.off {
		t.Errorf("got %+v", v)
	}
	before := readVitals().allocated
	garbage = make([]byte, 1<<20)
	if d := readVitals().allocated - before; d < 1<<20 {
		t.Errorf("1 MiB allocated, %d bytes noticed", d)
	}
}

var garbage []byte // escapes
