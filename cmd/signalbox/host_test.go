package main

import (
	"path/filepath"
	"testing"
)

// fixture is a tree with the proc and sys of some host.
func fixture(name string) string { return filepath.Join("testdata", "doctor", name) }

func TestReadHost(t *testing.T) {
	t.Parallel()
	stock := host{
		openSoft: 1024, openHard: 524288, nrOpen: 1048576, fileMax: unlimited, filesUsed: 2176,
		somaxconn: 4096, synBacklog: 1024, tcpMem: [3]int64{190500, 254001, 381000},
		rmem: [3]int64{4096, 131072, 6291456}, wmem: [3]int64{4096, 16384, 4194304}, portLow: 32768, portHigh: 60999,
		conntrackMax: unknown, conntrackUsed: unknown, memTotal: 16316412 << 10, memAvailable: 14680064 << 10,
		hugePages: "always", cpus: 4, group: cgroup{version: 2, memory: unlimited},
	}
	with := func(change func(h *host)) host {
		h := stock
		change(&h)
		return h
	}
	none := [3]int64{unknown, unknown, unknown}
	nothing := host{
		openSoft: unknown, openHard: unknown, nrOpen: unknown, fileMax: unknown, filesUsed: unknown,
		somaxconn: unknown, synBacklog: unknown, tcpMem: none, rmem: none, wmem: none, portLow: unknown, portHigh: unknown,
		conntrackMax: unknown, conntrackUsed: unknown, memTotal: unknown, memAvailable: unknown,
		cpus: unknown, group: cgroup{memory: unlimited},
	}
	garbled := nothing
	garbled.tcpMem = [3]int64{1, 2, unknown}
	garbled.hugePages = "" // nothing is chosen
	for name, want := range map[string]host{
		"stock": stock,
		"ready": with(func(h *host) {
			h.openSoft, h.openHard, h.nrOpen = 1048576, 2097152, 2097152
			h.somaxconn, h.synBacklog, h.tcpMem = 65535, 65535, [3]int64{524288, 1048576, 1572864}
			h.portLow, h.portHigh, h.conntrackMax, h.conntrackUsed, h.hugePages = 1024, 65535, 2097152, 312, "madvise"
		}),
		// The tightest group above the process counts.
		"cgroup2": with(func(h *host) { h.group = cgroup{version: 2, memory: 512 << 20, cpuQuota: 1.5} }),
		// In a container the mount is the group, and its path one of the host's.
		"cgroup1": with(func(h *host) {
			h.cpus, h.group = 5, cgroup{version: 1, memory: 1 << 30, cpuQuota: 0.5}
		}),
		"nothing": nothing,
		"garbled": garbled,
		"missing": nothing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := *readHost(fixture(name)); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestReadThisHost(t *testing.T) {
	t.Parallel()
	h := readHost("/")
	if h.openHard == unknown || h.nrOpen == unknown || h.memTotal == unknown || h.memAvailable == unknown || h.cpus < 1 {
		t.Errorf("got %+v, want what every Linux tells", h)
	}
}

func TestTotalMemory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ machine, group, want int64 }{
		"no group":        {8 << 30, unlimited, 8 << 30},
		"group below":     {8 << 30, 1 << 30, 1 << 30},
		"group above":     {8 << 30, 9 << 30, 8 << 30},
		"machine unknown": {unknown, 1 << 30, 1 << 30},
		"both unknown":    {unknown, unlimited, unlimited},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := host{memTotal: c.machine, group: cgroup{memory: c.group}}
			if got := h.totalMemory(); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
