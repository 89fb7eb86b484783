package presence

import (
	"sort"

	"signalbox/protocol"
)

// Deltas are the visible Changes a loop has heard and not yet told its
// subscribers, oldest first.
type Deltas struct {
	steps []step
	// last maps a peer to its newest step, to find quickly whether a sender is
	// waiting to be announced.
	last map[string]int
	// frames caches what encodes the steps from the first to the one before
	// the second of its bounds: most subscribers have the same to hear.
	frames [][]byte
	bounds [2]int
}

type step struct {
	Change
	seq uint32
}

// Add appends a Join or a Leave under the loop's number for it.
func (d *Deltas) Add(c Change, seq uint32) {
	if d.last == nil {
		d.last = make(map[string]int)
	}
	d.last[c.ID] = len(d.steps)
	d.steps = append(d.steps, step{c, seq})
}

// Len returns the number of steps, 0 of nil.
func (d *Deltas) Len() int {
	if d == nil {
		return 0
	}
	return len(d.steps)
}

// Trim drops the steps up to and including seq, which everybody has been told,
// and calls dropped with the peer of each.
func (d *Deltas) Trim(seq uint32, dropped func(id string)) {
	i := d.after(seq)
	for _, s := range d.steps[:i] {
		dropped(s.ID)
	}
	rest := d.steps[i:]
	*d = Deltas{}
	for _, s := range rest {
		d.Add(s.Change, s.seq)
	}
}

// InvolvesSince reports whether the peer has a step that a subscriber who knows
// everything up to since has not been told.
func (d *Deltas) InvolvesSince(id string, since uint32) bool {
	i, ok := d.last[id]
	return ok && int32(d.steps[i].seq-since) > 0
}

// Frames returns the frames of the presence messages (JSON text, at most MaxFrame
// bytes each) that tell a subscriber who knows everything up to since what has
// changed up to and including to, and how many steps that is. They are borrowed
// until the next change of d.
func (d *Deltas) Frames(channel string, since, to uint32) (frames [][]byte, steps int) {
	bounds := [2]int{d.after(since), d.after(to)}
	if bounds[0] >= bounds[1] {
		return nil, 0
	}
	if d.frames == nil || d.bounds != bounds {
		d.frames, d.bounds = encode(channel, d.steps[bounds[0]:bounds[1]]), bounds
	}
	return d.frames, bounds[1] - bounds[0]
}

// after returns the index of the first step after seq.
func (d *Deltas) after(seq uint32) int {
	return sort.Search(len(d.steps), func(i int) bool { return int32(d.steps[i].seq-seq) > 0 })
}

// encode folds the steps into what somebody who saw none of them has to hear.
//
// A peer's steps alternate between join and leave, so the first tells whether
// it was there before and the last whether it is there now. Who was not there
// and is not there now is passed over: the subscriber saw neither step. Who
// left and came back is told as both, in two messages, because clients apply a
// message's joins before its leaves.
func encode(channel string, steps []step) [][]byte {
	type fold struct {
		first Kind
		last  Change
	}
	folds := make(map[string]*fold, len(steps))
	var order []*fold
	for i := range steps {
		c := steps[i].Change
		f := folds[c.ID]
		if f == nil {
			f = &fold{first: c.Kind}
			folds[c.ID] = f
			order = append(order, f)
		}
		f.last = c
	}
	var joined, left, back []protocol.Peer
	for _, f := range order {
		p := protocol.Peer{ID: f.last.ID, Metadata: metadata(f.last.Meta)}
		switch {
		case f.first == Join && f.last.Kind == Join:
			joined = append(joined, p)
		case f.first == Leave:
			left = append(left, p)
			if f.last.Kind == Join {
				back = append(back, p)
			}
		}
	}
	var frames [][]byte
	frames = appendFrames(frames, channel, joined, left)
	return appendFrames(frames, channel, back, nil)
}

func metadata(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}
