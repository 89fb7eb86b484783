package presence

import "time"

// Window paces a channel's deltas: none when quiet, so that a lone join is told
// at once, and growing with the rate of changes, so that a storm of N joins
// costs a few messages a subscriber instead of N. Every channel has one, so it
// is small: its clock wraps around after seven weeks, and deltas that come up
// just then may wait once for nothing.
type Window struct {
	last uint32 // when deltas were last told, in ms of the loop's clock
	wait int32  // ms to wait after that
}

// firstWait is the window after the first repetition, in ms.
const firstWait = 4

// Due returns when deltas that have come up at now may be told, in ms of the
// loop's clock; not later than limit after the last ones were.
func (w *Window) Due(now int64, limit time.Duration) int64 {
	wait := min(int64(w.wait), limit.Milliseconds())
	return now + max(wait-w.since(now), 0)
}

// since returns how long ago deltas were last told, in ms.
func (w *Window) since(now int64) int64 { return int64(uint32(now) - w.last) }

// Told notes that so many steps were told at now.
func (w *Window) Told(now int64, steps int, limit time.Duration) {
	quiet := w.since(now) >= 2*max(int64(w.wait), firstWait)
	w.last = uint32(now)
	switch {
	case quiet && steps <= 2:
		w.wait = 0
	case w.wait == 0:
		w.wait = firstWait
	default:
		w.wait = int32(min(int64(w.wait)*2, limit.Milliseconds()))
	}
}
