package quota

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

const (
	rateWindow    = time.Minute
	rateShards    = 64
	shardCapacity = 4096
	evictSample   = 8 // entries looked at when a new address comes
)

// AddrRate limits the connects of each source address: a full minute's worth
// at once, then one for each part of the minute that has passed. IPv6
// addresses count by their /64, the least that one host is given. Any
// goroutine.
type AddrRate struct {
	// Immutable after NewAddrRate.
	cost int64 // nanoseconds of the window that one connect uses up; 0: no limit
	seed maphash.Seed

	shards [rateShards]rateShard
}

// rateShard holds, for each address, the time in unix nanoseconds at which its
// allowance will be full again (the generic cell rate algorithm). An address
// whose time has passed is as good as unknown.
type rateShard struct {
	// Guarded by mu.
	mu   sync.Mutex
	full map[netip.Addr]int64
}

// NewAddrRate returns a limiter of perMinute connects a minute for each
// address; 0 or less is no limit.
func NewAddrRate(perMinute int) *AddrRate {
	r := &AddrRate{seed: maphash.MakeSeed()}
	if perMinute > 0 {
		r.cost = max(int64(rateWindow)/int64(perMinute), 1)
	}
	for i := range r.shards {
		r.shards[i].full = make(map[netip.Addr]int64)
	}
	return r
}

// Allow counts a connect from addr at now and reports true, or reports false
// when addr is over its rate; a refused connect does not count.
func (r *AddrRate) Allow(addr netip.Addr, now time.Time) bool {
	if r.cost == 0 {
		return true
	}
	addr = source(addr)
	s := &r.shards[maphash.Comparable(r.seed, addr)%rateShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allow(addr, now.UnixNano(), r.cost)
}

// source returns the address that addr counts as.
func source(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// allow is Allow for one shard. The caller holds mu.
func (s *rateShard) allow(addr netip.Addr, now, cost int64) bool {
	full, known := s.full[addr]
	// Further ahead than a window means that the clock has gone back.
	if full < now || full > now+int64(rateWindow) {
		full = now
	}
	full += cost
	if full > now+int64(rateWindow) {
		return false
	}
	if !known {
		s.makeRoom(now)
	}
	s.full[addr] = full
	return true
}

// makeRoom looks at a few entries, drops those that are as good as unknown
// and, in a shard at its capacity, the one nearest to that: constant work, and
// the shard stays about as small as the addresses in use. The caller holds mu.
func (s *rateShard) makeRoom(now int64) {
	var first netip.Addr
	earliest, left := int64(0), evictSample
	for addr, full := range s.full {
		if full <= now {
			delete(s.full, addr)
		}
		if left == evictSample || full < earliest {
			first, earliest = addr, full
		}
		if left--; left == 0 {
			break
		}
	}
	if len(s.full) >= shardCapacity {
		delete(s.full, first)
	}
}
