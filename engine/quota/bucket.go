package quota

// Bucket is a token bucket: room for a burst, refilled at a steady rate. The
// zero value is full. Loop-owned.
type Bucket struct {
	last int64 // unix milliseconds of the last Take
	debt int64 // thousandths of a token that are missing from a full bucket
}

// Take takes one token and reports true, or reports false when there is none.
// now is in unix milliseconds, rate in tokens a second, burst in tokens (at
// least one). A rate of 0 or less is no limit. A clock that goes back refills
// nothing and breaks nothing.
func (b *Bucket) Take(now int64, rate, burst int) bool {
	if rate <= 0 {
		return true
	}
	r := int64(rate)
	// rate tokens a second are rate thousandths a millisecond. Comparing by
	// division keeps a first use, when last is 0, from overflowing.
	if elapsed := now - b.last; elapsed > 0 {
		if elapsed > b.debt/r {
			b.debt = 0
		} else {
			b.debt -= elapsed * r
		}
	}
	b.last = now
	if missing := (b.debt + 999) / 1000; missing >= max(int64(burst), 1) {
		return false
	}
	b.debt += 1000
	return true
}
