package quota

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"
)

var rateStart = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// allowed returns how many of n connects from addr pass.
func allowed(r *AddrRate, addr string, at time.Duration, n int) int {
	passed := 0
	for range n {
		if r.Allow(netip.MustParseAddr(addr), rateStart.Add(at)) {
			passed++
		}
	}
	return passed
}

func TestAddrRate(t *testing.T) {
	type burst struct {
		addr string
		at   time.Duration
		n    int
		want int
	}
	tests := []struct {
		name      string
		perMinute int
		bursts    []burst
	}{
		{"off", 0, []burst{{"192.0.2.1", 0, 1000, 1000}}},
		{"a minute's worth at once", 60, []burst{{"192.0.2.1", 0, 100, 60}}},
		{"refills evenly", 60, []burst{{"192.0.2.1", 0, 60, 60}, {"192.0.2.1", 999 * time.Millisecond, 5, 0}, {"192.0.2.1", time.Second, 5, 1}}},
		{"full after a minute", 60, []burst{{"192.0.2.1", 0, 100, 60}, {"192.0.2.1", time.Minute, 100, 60}}},
		{"uneven part of a minute", 7, []burst{{"192.0.2.1", 0, 20, 7}}},
		{"others unaffected", 2, []burst{{"192.0.2.1", 0, 5, 2}, {"192.0.2.2", 0, 5, 2}}},
		{"mapped is the same address", 2, []burst{{"192.0.2.1", 0, 5, 2}, {"::ffff:192.0.2.1", 0, 5, 0}}},
		{"one /64 is one source", 2, []burst{{"2001:db8::1", 0, 5, 2}, {"2001:db8::ffff:2", 0, 5, 0}, {"2001:db8:0:1::1", 0, 5, 2}}},
		{"zone is no way out", 2, []burst{{"fe80::1%eth0", 0, 5, 2}, {"fe80::1%eth1", 0, 5, 0}}},
		{"clock goes back a little", 2, []burst{{"192.0.2.1", 0, 2, 2}, {"192.0.2.1", -time.Second, 1, 1}}},
		{"clock goes back a day", 2, []burst{{"192.0.2.1", 0, 2, 2}, {"192.0.2.1", -24 * time.Hour, 5, 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewAddrRate(tt.perMinute)
			for i, b := range tt.bursts {
				if got := allowed(r, b.addr, b.at, b.n); got != b.want {
					t.Errorf("burst %d: %d of %d passed, want %d", i, got, b.n, b.want)
				}
			}
		})
	}
}

func nth(i int) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 10<<24|uint32(i))
	return netip.AddrFrom4(a)
}

func (r *AddrRate) known() int {
	n := 0
	for i := range r.shards {
		n += len(r.shards[i].full)
	}
	return n
}

func TestAddrRateMemoryIsBounded(t *testing.T) {
	const capacity = rateShards * shardCapacity
	r := NewAddrRate(60)
	for i := range capacity + capacity/4 {
		if !r.Allow(nth(i), rateStart) {
			t.Fatalf("address %d refused at its first connect", i)
		}
	}
	if got := r.known(); got > capacity {
		t.Errorf("addresses known = %d, want at most %d", got, capacity)
	}
}

func TestAddrRateForgets(t *testing.T) {
	r := NewAddrRate(60)
	for i := range 50_000 {
		r.Allow(nth(i), rateStart.Add(time.Duration(i)*10*time.Millisecond))
	}
	// One connect takes a second to wear off: about 100 addresses are live.
	if got := r.known(); got > 2000 {
		t.Errorf("addresses known = %d, want about as many as are live", got)
	}
}

func TestAddrRateConcurrently(t *testing.T) {
	r := NewAddrRate(60)
	var mu sync.Mutex
	var wg sync.WaitGroup
	total := 0
	for range 8 {
		wg.Go(func() {
			n := allowed(r, "192.0.2.1", 0, 50)
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	wg.Wait()
	if total != 60 {
		t.Errorf("passed = %d, want 60", total)
	}
}
