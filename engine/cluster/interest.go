package cluster

import (
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// interest is a subject that this node hears.
type interest struct {
	// Immutable.
	subject string
	// Guarded by outbox.mu.
	holders int
	due     time.Time // when it ends; zero while there is a holder
	// Writer-owned.
	sub   *nats.Subscription // nil while NATS is not asked for it, or has denied it
	ended bool
}

// hearing is the interests there are, in the order in which NATS was asked for them
// last. Writer-owned.
//
// NATS that allows only so many subscriptions tells that it has denied one, not which,
// and the client has all of them sent again in any order when it reconnects: then what
// all nodes have to hear could be what is denied. So the client must not ask for more
// than NATS has granted: for each denial the last subscription is taken back, and all
// are tried again, behind the others, with the next epoch.
type hearing struct {
	interests []*interest
	ended     int // of them
	epoch     uint64
}

func (h *hearing) add(in *interest) { h.interests = append(h.interests, in) }

// end drops an interest, with many others.
func (h *hearing) end(in *interest) {
	in.ended = true
	if h.ended++; h.ended > len(h.interests)/2 {
		h.interests = slices.DeleteFunc(h.interests, func(in *interest) bool { return in.ended })
		h.ended = 0
	}
}

// deny takes back the last n subscriptions.
func (h *hearing) deny(n int) (err error) {
	for _, in := range slices.Backward(h.interests) {
		if n == 0 {
			break
		}
		if in.sub != nil && !in.ended {
			err = errors.Join(err, in.sub.Unsubscribe())
			in.sub = nil
			n--
		}
	}
	return err
}

// missing moves what NATS is not asked for behind the others, and returns it.
func (h *hearing) missing() []*interest {
	var granted, missing []*interest
	for _, in := range h.interests {
		switch {
		case in.ended:
		case in.sub == nil:
			missing = append(missing, in)
		default:
			granted = append(granted, in)
		}
	}
	h.interests, h.ended = append(granted, missing...), 0
	return missing
}

// lingerer is an interest that ends when it is due, unless it was held since.
type lingerer struct {
	*interest
	due time.Time
}

// hold hears a subject from here on, for one holder more. If the subject has only
// one ever, once is true and it may be held again. mu is held.
func (o *outbox) hold(subject []byte, once bool) {
	if o.closed {
		return
	}
	in := o.interests[string(subject)]
	if in == nil {
		in = &interest{subject: string(subject)}
		o.interests[in.subject] = in
		o.command(opSubscribe, in)
	}
	in.due = time.Time{}
	if in.holders++; once {
		in.holders = 1
	}
}

// release lets go of a subject. Without a holder it is heard a little longer:
// whoever leaves often comes back at once. mu is held.
func (o *outbox) release(subject []byte, until time.Time) {
	in := o.interests[string(subject)]
	if in == nil || in.holders == 0 {
		return
	}
	if in.holders--; in.holders == 0 {
		in.due = until
		o.lingering = append(o.lingering, lingerer{in, until})
	}
}

// maxExpired is how many interests end under one lock, for which loops may wait.
const maxExpired = 1024

// expire ends what has been without a holder for long enough.
func (o *outbox) expire(now time.Time) {
	for o.expireSome(now) == maxExpired {
	}
}

func (o *outbox) expireSome(now time.Time) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for ; n < min(len(o.lingering), maxExpired) && !o.lingering[n].due.After(now); n++ {
		if l := o.lingering[n]; l.due.Equal(l.interest.due) {
			delete(o.interests, l.subject)
			o.command(opUnsubscribe, l.interest)
		}
	}
	if o.lingering = o.lingering[n:]; len(o.lingering) == 0 {
		o.lingering = nil
	}
	return n
}

// command has the writer begin or end a subscription, in order with what is
// said. mu is held.
func (o *outbox) command(what op, in *interest) {
	c := o.room(0)
	if what == opUnsubscribe { // nothing that is said later may come before it
		c.last = len(c.entries)
	}
	c.entries = append(c.entries, entry{op: what, interest: in})
	o.wake()
}
