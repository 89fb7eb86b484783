package session

import (
	"os"
	"strconv"
	"testing"
	"testing/synctest"
)

// seeds returns the seeds to run: some, or the one in SESSION_SEED.
func seeds(t *testing.T, n int) []uint64 {
	if text := os.Getenv("SESSION_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return []uint64{seed}
	}
	if text := os.Getenv("SESSION_SEEDS"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	list := make([]uint64, n)
	for i := range list {
		list[i] = uint64(i)
	}
	return list
}

// worlds are the kinds of worlds, with how many seeds and steps of each.
var worlds = []struct {
	name         string
	kind         kind
	seeds, steps int
}{
	{"one loop", kind{loops: 1}, 6, 3000},
	{"two loops", kind{loops: 2}, 8, 3000},
	{"three loops", kind{loops: 3}, 8, 3000},
	{"five loops", kind{loops: 5}, 4, 3000},
	{"peers of one socket", kind{loops: 3, lonely: true}, 6, 3000},
	{"long messages", kind{loops: 2, pad: 60 << 10}, 3, 1500},
	{"a crowd that one turn cannot serve", kind{loops: 1, crowd: 700, crowdPeers: 3}, 6, 600},
	{"a crowd on two loops", kind{loops: 2, crowd: 1200, crowdPeers: 3}, 6, 600},
	{"tight budgets", kind{loops: 3, tight: true}, 8, 3000},
	{"tight budgets and a crowd", kind{loops: 2, tight: true, crowd: 40, crowdPeers: 7}, 4, 800},
	{"tight budgets and long snapshots", kind{loops: 2, tight: true, crowd: 300, crowdPeers: 300, crowdMeta: 10}, 3, 500},
	{"a crowd with patterns", kind{loops: 2, crowd: 1200, crowdPeers: 3, wild: true}, 4, 600},
	{"tight budgets and patterns", kind{loops: 2, tight: true, crowd: 60, crowdPeers: 7, wild: true}, 8, 1500},
	{"two nodes", kind{loops: 1, nodes: 2}, 8, 3000},
	{"three nodes of two loops", kind{loops: 2, nodes: 3}, 8, 3000},
	{"three nodes with tight budgets", kind{loops: 2, nodes: 3, tight: true}, 6, 3000},
	{"three nodes and a crowd", kind{loops: 2, nodes: 3, crowd: 60, crowdPeers: 20, crowdMeta: 10, wild: true}, 4, 1000},
	{"nodes that lose one another", kind{loops: 2, nodes: 3, cuts: true}, 8, 3000},
	{"snapshots in parts", kind{loops: 2, crowd: 60, crowdPeers: 60, crowdMeta: 3900}, 3, 600},
}

// TestRandomWorld drives hubs of several loops in random orders and holds
// every frame against the model of the contract.
func TestRandomWorld(t *testing.T) {
	for _, tc := range worlds {
		t.Run(tc.name, func(t *testing.T) {
			for _, seed := range seeds(t, tc.seeds) {
				synctest.Test(t, func(t *testing.T) { newWorld(t, seed, tc.kind).live(tc.steps) })
				if t.Failed() {
					t.Fatal("seed ", seed)
				}
			}
		})
	}
}

// live runs the world on this goroutine, and at the end has everybody leave.
func (w *world) live(steps int) {
	defer w.stop()
	for _, l := range w.loops {
		l.Start()
	}
	w.gather()
	for i := 0; i < steps && w.faults == 0; i++ {
		if w.step(); i%1000 == 999 {
			w.settle()
		}
	}
	if w.faults == 0 {
		w.settle()
		w.disperse()
	}
	w.tell()
}

// stop ends the loops' alarms.
func (w *world) stop() {
	for _, l := range w.loops {
		if l.timers.alarm != nil {
			l.timers.alarm.Stop()
		}
	}
}

// disperse has everybody leave and looks for what is left.
func (w *world) disperse() {
	for _, c := range w.clients {
		if !c.gone {
			c.leave(w.random)
		}
	}
	for _, c := range w.crowd {
		c.vanish()
	}
	w.crowd = nil
	w.settle()
	w.settle() // until the text of rosters is no longer kept
	w.checkEmpty()
}
