package session

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"signalbox/engine/registry"
)

// journal hears an app's events and holds each against those before it.
type journal struct {
	mu sync.Mutex
	// Guarded by mu.
	online  map[string]bool
	rosters map[string]map[string]bool // channel → peers
	steps   map[place]int              // joins and leaves, which take turns
	faults  []string
}

// place is a peer in a channel.
type place struct{ channel, peer string }

func newJournal() *journal {
	return &journal{online: map[string]bool{}, rosters: map[string]map[string]bool{}, steps: map[place]int{}}
}

// heard notes what an event tells; it is wrong unless ok.
func (j *journal) heard(ok bool, format string, args ...any) {
	if !ok {
		j.faults = append(j.faults, fmt.Sprintf(format, args...))
	}
}

func (j *journal) Online(peer string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.heard(!j.online[peer], "%s is online again", peer)
	j.online[peer] = true
}

func (j *journal) Offline(peer string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.heard(j.online[peer], "%s is offline again", peer)
	delete(j.online, peer)
}

func (j *journal) Joined(channel, peer, _ string, peers int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.rosters[channel] == nil {
		j.rosters[channel] = map[string]bool{}
	}
	j.heard(!j.rosters[channel][peer], "%s joined %s again", peer, channel)
	j.rosters[channel][peer] = true
	j.steps[place{channel, peer}]++
	j.heard(len(j.rosters[channel]) == peers, "%s joined %s: told of %d peers, there are %d", peer, channel, peers, len(j.rosters[channel]))
}

func (j *journal) Left(channel, peer string, peers int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.heard(j.rosters[channel][peer], "%s left %s again", peer, channel)
	delete(j.rosters[channel], peer)
	j.steps[place{channel, peer}]++
	j.heard(len(j.rosters[channel]) == peers, "%s left %s: told of %d peers, there are %d", peer, channel, peers, len(j.rosters[channel]))
}

// checkJournal holds the events that a world at rest has told against its
// model.
func (w *world) checkJournal() {
	j := w.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, text := range j.faults {
		w.fault("event: %s", text)
	}
	online := map[string]bool{}
	for _, c := range w.clients {
		if !c.gone {
			online[c.peer] = true
		}
	}
	for i, c := range w.crowd {
		if !c.over {
			online[w.crowdPeer(i)] = true
		}
	}
	if !maps.Equal(j.online, online) {
		w.fault("told online: %v, want %v", j.online, online)
	}
	for _, name := range w.names {
		if want := w.roster(name); !maps.Equal(j.rosters[name], want) {
			w.fault("told to be in %s: %v, want %v", name, j.rosters[name], want)
		}
	}
	if !w.kind.lonely {
		return
	}
	for _, c := range w.clients {
		for name, h := range c.histories {
			if !c.audited && !slices.Contains(w.globs, name) && !slices.Contains(h.steps(c.gone), j.steps[place{name, c.peer}]) {
				w.fault("%s: told %d steps in %s, want one of %d", c.name, j.steps[place{name, c.peer}], name, h.steps(c.gone))
			}
		}
		c.audited = c.gone
	}
}

// steps returns how many joins and leaves may have come about: of a client that
// is gone, what it asked for last may not have been heard, but it is out.
func (h *history) steps(gone bool) (counts []int) {
	n := 0
	for i, in := range h.states {
		if i > 0 && in != h.states[i-1] {
			n++
		}
		if gone && i >= h.settled {
			counts = append(counts, n+n%2)
		}
	}
	if !gone {
		counts = []int{n}
	}
	return counts
}

var _ registry.Events = (*journal)(nil)
