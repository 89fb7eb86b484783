package presence

import "time"

// Window paces a channel's deltas: none when quiet, so that a lone join is told
// at once, and growing with the rate of changes, so that a storm of N joins
// costs a few messages a subscriber instead of N. Where telling takes longer than
// gathering, as in a large channel, it also grows with that. Every channel has one,
// so it is small: its clock wraps around after seven weeks, and deltas that come up
// just then may wait once for nothing.
type Window struct {
	last uint32 // when deltas were last told, in ms of the loop's clock
	wait int32  // ms to wait after that
}

const (
	// firstWait is the window after the first repetition, in ms.
	firstWait = 4
	// restShare is how many times as long as telling has taken the loop rests from
	// it, so that a storm goes on: what it is told of waits for what slows it down.
	restShare = 3
	// maxRest is the longest such rest, in limits of the window.
	maxRest = 2
)

// Due returns when deltas that have come up at now may be told, in ms of the
// loop's clock.
func (w *Window) Due(now int64) int64 { return now + max(int64(w.wait)-w.since(now), 0) }

// since returns how long before now deltas were last told, in ms.
func (w *Window) since(now int64) int64 { return int64(uint32(now) - w.last) }

// Told notes that so many steps were told from one time to another. The window
// grows up to the limit, or to the rest that telling calls for.
func (w *Window) Told(from, to int64, steps int, limit time.Duration) {
	quiet := w.since(from) >= 2*max(int64(w.wait), firstWait)
	w.last = uint32(to)
	most := limit.Milliseconds()
	rest := min(restShare*(to-from), maxRest*most)
	switch wait := int64(w.wait); {
	case quiet && steps <= 2:
		w.wait = 0
	case wait == 0:
		w.wait = int32(max(min(firstWait, most), rest))
	default:
		w.wait = int32(max(min(2*wait, most), rest))
	}
}
