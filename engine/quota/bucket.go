package quota

import "time"

// Bucket is a token bucket: room for a burst, refilled at a steady rate. The
// zero value is full. Loop-owned.
type Bucket struct {
	full int64 // when it will be full again, in ns of the clock of Take
}

// Take takes one token and reports true, or reports false when there is none.
// now is in milliseconds, rate in tokens a second (beyond a billion it is one),
// burst in tokens (at least one). A rate of 0 or less is no limit. A clock that
// goes back refills nothing and breaks nothing.
func (b *Bucket) Take(now int64, rate, burst int) bool {
	if rate <= 0 {
		return true
	}
	now *= int64(time.Millisecond)
	cost := max(int64(time.Second)/int64(rate), 1) // ns that refill a token
	// What is missing is at most the burst, also after the clock went back.
	// Dividing keeps a huge burst from overflowing.
	missing := max(b.full-now, 0)
	if room := max(int64(burst), 1); (missing+cost-1)/cost >= room {
		b.full = now + min(missing, room*cost)
		return false
	}
	b.full = now + missing + cost
	return true
}
