package cluster

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"signalbox/engine/quota"
)

const (
	// retellAfter is how often all that was told of usage is told again, should
	// some of it have been lost without a sign.
	retellAfter = time.Minute
	// askAfter is the time between two questions for all that a node knows.
	askAfter = time.Second

	maxUsageRows = 512 // in a record
	minShareSize = 34  // bytes of a share: an id, a name of one character, five numbers
	minSockets   = 3   // bytes of an app's sockets: a name of one character, a number
)

// errUsage refuses counts: of an app that is not known here, or that cannot be.
var errUsage = errors.New("cluster: usage that cannot be")

// usage exchanges what the apps use with the other nodes. What changes is told to
// all; what a node may not know is told to all again when there is a reason. What
// nodes know of others that may be no more is asked of one node at a time.
// Reader-owned.
type usage struct {
	// Immutable.
	ledger *quota.Ledger // nil: nothing is exchanged
	out    *outbox

	apps    int       // that were known with the last tick
	retell  bool      // what was told is to be told again
	toldAt  time.Time // when it was, last
	asks    nodeQueue // to be asked for all they know
	askedAt time.Time
	wanted  nodeQueue // have asked for all that is known here
}

// tick says what is due.
func (u *usage) tick(now time.Time, origins map[NodeID]*origin) {
	if u.ledger == nil || len(origins) == 0 {
		return
	}
	if apps := u.ledger.Apps(); apps != u.apps {
		u.apps = apps // what others have said of them before was refused
		u.resync(origins)
	}
	shares, sockets := u.ledger.Changes()
	u.say(subjectAll, shares, sockets)
	if now.Sub(u.toldAt) >= retellAfter {
		u.retell = true
		u.askOne(origins)
	}
	if u.retell {
		u.retell, u.toldAt = false, now
		shares, sockets = u.ledger.Told(false)
		u.say(subjectAll, shares, sockets)
	}
	if o := u.wanted.take(origins); o != nil {
		shares, sockets = u.ledger.Told(true)
		u.say(o.subject, shares, sockets)
	}
	if now.Sub(u.askedAt) < askAfter {
		return
	}
	if o := u.asks.take(origins); o != nil {
		u.askedAt = now
		u.out.say(o.subject, appendUsageAsk(nil, true))
	}
}

// nodeQueue holds nodes whose turn will come, each once.
type nodeQueue []NodeID

func (q *nodeQueue) add(id NodeID) {
	if len(*q) < maxNodes && !slices.Contains(*q, id) {
		*q = append(*q, id)
	}
}

// take takes the first one that is still there, nil if there is none.
func (q *nodeQueue) take(origins map[NodeID]*origin) *origin {
	for len(*q) > 0 {
		id := (*q)[0]
		*q = slices.Delete(*q, 0, 1)
		if o := origins[id]; o != nil {
			return o
		}
	}
	return nil
}

// found notes that a node may not know what was told, and may know other things.
func (u *usage) found(id NodeID) {
	u.retell = true
	u.asks.add(id)
}

// gone ends a node's open connections.
func (u *usage) gone(id NodeID) {
	if u.ledger != nil {
		u.ledger.Forget(uint64(id))
	}
}

// resync tells and asks all anew.
func (u *usage) resync(origins map[NodeID]*origin) {
	if u.ledger == nil {
		return
	}
	u.retell = true
	u.out.say(subjectAll, appendUsageAsk(nil, false))
	u.askOne(origins)
}

// askOne has any of the nodes asked for all it knows.
func (u *usage) askOne(origins map[NodeID]*origin) {
	for id := range origins {
		u.asks.add(id)
		return
	}
}

// heard takes what another node says of usage.
func (u *usage) heard(o *origin, kind byte, c *cursor) error {
	if kind == kindUsageAsk {
		everybody := c.byte() != 0
		if c.bad {
			return nil
		}
		if everybody {
			u.wanted.add(o.id)
		} else {
			u.retell = true
		}
		return nil
	}
	shares, sockets := c.usage()
	if c.bad || u.ledger == nil {
		return nil
	}
	if u.ledger.Merge(shares)+u.ledger.SetElsewhere(uint64(o.id), sockets) > 0 {
		return errUsage
	}
	return nil
}

// last tells all what has changed, before the goodbye. Any goroutine.
func (u *usage) last() {
	if u.ledger != nil {
		shares, sockets := u.ledger.Changes()
		u.say(subjectAll, shares, sockets)
	}
}

// say says counts in as many records as it takes.
func (u *usage) say(subject string, shares []quota.Share, sockets []quota.Sockets) {
	for len(shares)+len(sockets) > 0 {
		n := min(len(shares), maxUsageRows)
		m := min(len(sockets), maxUsageRows-n)
		u.out.say(subject, appendUsage(nil, shares[:n], sockets[:m]))
		shares, sockets = shares[n:], sockets[m:]
	}
}

// appendUsageAsk appends a question for what was told of usage: by the node asked,
// or, with everybody, by all it has ever heard of.
func appendUsageAsk(dst []byte, everybody bool) []byte {
	flag := byte(0)
	if everybody {
		flag = 1
	}
	return append(dst, kindUsageAsk, flag)
}

// appendUsage appends counts.
func appendUsage(dst []byte, shares []quota.Share, sockets []quota.Sockets) []byte {
	dst = binary.AppendUvarint(append(dst, kindUsage), uint64(len(shares)))
	for i := range shares {
		s := &shares[i]
		dst = appendText(appendText(dst, s.By), s.App)
		for _, n := range [...]int64{s.Start, s.Messages, s.OverageMessages, s.OverageConnections, s.PeakConcurrent} {
			dst = binary.AppendUvarint(dst, uint64(n))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(sockets)))
	for _, s := range sockets {
		dst = binary.AppendUvarint(appendText(dst, s.App), uint64(max(s.Open, 0)))
	}
	return dst
}

// usage reads what appendUsage wrote. The texts are views.
func (c *cursor) usage() (shares []quota.Share, sockets []quota.Sockets) {
	if n := c.count(minShareSize); n > 0 {
		shares = make([]quota.Share, 0, n)
		for range n {
			shares = append(shares, quota.Share{By: c.view(), App: c.view(), Start: int64(c.number()), Counts: quota.Counts{
				Messages: int64(c.number()), OverageMessages: int64(c.number()),
				OverageConnections: int64(c.number()), PeakConcurrent: int64(c.number()),
			}})
		}
	}
	if n := c.count(minSockets); n > 0 {
		sockets = make([]quota.Sockets, 0, n)
		for range n {
			sockets = append(sockets, quota.Sockets{App: c.view(), Open: int64(c.number())})
		}
	}
	return shares, sockets
}
