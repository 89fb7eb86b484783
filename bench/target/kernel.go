package target

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// KernelMemory is what the kernel holds, for all processes, in bytes.
type KernelMemory struct {
	Slab int64 // its objects: sockets, files, entries of epoll
	TCP  int64 // buffers of TCP sockets
}

// Kernel reads what the kernel holds.
func Kernel() (m KernelMemory, err error) {
	if m.Slab, err = slab(); err != nil {
		return m, err
	}
	sockstat, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return m, err
	}
	m.TCP, err = tcpMemory(sockstat)
	return m, err
}

// slab is the size of all objects in use, if we may know (root may), and else
// of the pages set aside for them, which lag behind.
func slab() (int64, error) {
	if slabinfo, err := os.ReadFile("/proc/slabinfo"); err == nil {
		return activeObjects(slabinfo)
	}
	meminfo, err := os.ReadFile("/proc/meminfo")
	return kiloField(meminfo, "Slab:"), err
}

// activeObjects sums up lines of "name active_objs num_objs objsize …"
// (slabinfo(5)); lines of another kind are headings.
func activeObjects(slabinfo []byte) (sum int64, err error) {
	for line := range bytes.Lines(slabinfo) {
		fields := strings.Fields(string(line))
		if len(fields) < 4 || fields[0] == "slabinfo" || fields[0] == "#" {
			continue
		}
		active, err1 := strconv.ParseInt(fields[1], 10, 64)
		size, err2 := strconv.ParseInt(fields[3], 10, 64)
		if err1 != nil || err2 != nil {
			return 0, fmt.Errorf("target: a line of slabinfo: %q", line)
		}
		sum += active * size
	}
	return sum, nil
}

// tcpMemory reads the pages in the line "TCP: inuse 8 … mem 348".
func tcpMemory(sockstat []byte) (int64, error) {
	for line := range bytes.Lines(sockstat) {
		fields := strings.Fields(string(line))
		if len(fields) < 3 || fields[0] != "TCP:" || fields[len(fields)-2] != "mem" {
			continue
		}
		pages, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
		return pages * int64(os.Getpagesize()), err
	}
	return 0, fmt.Errorf("target: no TCP memory in sockstat")
}
