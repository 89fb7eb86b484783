package presence

import (
	"fmt"
	"testing"
)

func BenchmarkJoinLeave(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := new(Home)
			for i := range n {
				h.Join(fmt.Sprintf("peer %d", i), 1, `{"name":"x"}`)
			}
			r := h.Cut().Replica()
			b.ReportAllocs()
			for b.Loop() {
				r.Apply(h.Join("another", 1, ""))
				r.Apply(h.Leave("another", 1))
			}
		})
	}
}

func BenchmarkFrames(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ids := make([]string, n)
			for i := range ids {
				ids[i] = fmt.Sprintf("peer %d", i)
			}
			b.ReportAllocs()
			for b.Loop() {
				var d Deltas
				for i, id := range ids {
					d.Add(Change{Kind: Join, ID: id}, uint32(i+1))
				}
				d.Frames("channel", 0, uint32(n))
			}
		})
	}
}
