package load

import "time"

// Pacer says when the messages of a steady load are due. The times do not depend
// on how fast the server is: a message that leaves late counts from when it
// should have left, so that a stall is seen by all the messages it held up
// ("coordinated omission" is leaving them out).
type Pacer struct {
	start int64 // as client.Now
	rate  float64
}

// NewPacer paces rate messages a second from start on.
func NewPacer(start int64, rate float64) Pacer { return Pacer{start, rate} }

// paceTo paces rate messages a second from start on, or less than one message later,
// so that one is due at from: what counts from then on is at least that one.
func paceTo(start, from int64, rate float64) Pacer {
	p := NewPacer(start, rate)
	p.start += from - p.At(p.Due(from)-1)
	return p
}

// At is when the i-th message, from 0, is due.
func (p Pacer) At(i int) int64 {
	return p.start + int64(float64(i)*float64(time.Second)/p.rate)
}

// Due is the number of messages that are due by now.
func (p Pacer) Due(now int64) int {
	if now < p.start {
		return 0
	}
	n := int(float64(now-p.start)*p.rate/float64(time.Second)) + 1
	// The product is rounded: step to the exact border.
	for n > 0 && p.At(n-1) > now {
		n--
	}
	for p.At(n) <= now {
		n++
	}
	return n
}
