package presence

import "signalbox/protocol"

// Deltas are the visible Changes a loop has heard and not yet told its
// subscribers, oldest first.
type Deltas struct {
	steps []step
	// last maps a peer to its newest step, to find quickly whether a sender is
	// waiting to be announced.
	last map[string]int
	// whole caches the frames for a subscriber that knows none of the steps.
	whole [][]byte
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
	d.whole = nil
}

// Len returns the number of steps.
func (d *Deltas) Len() int { return len(d.steps) }

// Trim drops the steps up to and including seq, which everybody has been told.
func (d *Deltas) Trim(seq uint32) {
	i := 0
	for i < len(d.steps) && int32(d.steps[i].seq-seq) <= 0 {
		i++
	}
	rest := d.steps[i:]
	*d = Deltas{}
	for _, s := range rest {
		d.Add(s.Change, s.seq)
	}
}

// Involves reports whether the peer has a step here.
func (d *Deltas) Involves(id string) bool {
	_, ok := d.last[id]
	return ok
}

// InvolvesSince reports whether the peer has a step that a subscriber who knows
// everything up to since has not been told.
func (d *Deltas) InvolvesSince(id string, since uint32) bool {
	i, ok := d.last[id]
	return ok && int32(d.steps[i].seq-since) > 0
}

// Frames returns the presence messages (JSON text, at most MaxFrame bytes each)
// that tell a subscriber who knows everything up to since what has changed.
// They are borrowed until the next Add.
func (d *Deltas) Frames(channel string, since uint32) [][]byte {
	if len(d.steps) == 0 || int32(d.steps[0].seq-since) > 0 {
		if d.whole == nil {
			d.whole = encode(channel, d.steps)
		}
		return d.whole
	}
	i := 0
	for i < len(d.steps) && int32(d.steps[i].seq-since) <= 0 {
		i++
	}
	return encode(channel, d.steps[i:])
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
