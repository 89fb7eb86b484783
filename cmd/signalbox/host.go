package main

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

const (
	unknown   = -1            // a value that could not be read
	unlimited = math.MaxInt64 // a limit that is none
)

// host is what the kernel says of the machine and of the process's place in it. Memory is in bytes. A value is
// unknown where the file is missing or reads otherwise than expected.
type host struct {
	openSoft, openHard int64 // RLIMIT_NOFILE
	nrOpen             int64 // the most that RLIMIT_NOFILE can be
	fileMax, filesUsed int64 // of the whole system

	somaxconn, synBacklog int64
	tcpMem, rmem, wmem    [3]int64 // tcp_mem in pages: low, pressure, high; the others in bytes: least, default, most
	portLow, portHigh     int64

	conntrackMax, conntrackUsed int64 // unknown: not loaded

	memTotal, memAvailable int64
	hugePages              string // always, madvise, never or empty
	cpus                   int64  // that the process may run on

	group  cgroup
	dropIn dropIn
}

// hostFiles reads /proc and /sys below a root.
type hostFiles struct {
	root fs.FS
}

// readHost reads the files below root, which is / but for tests and containers that mount a host's root.
func readHost(root string) *host {
	f := hostFiles{os.DirFS(root)}
	h := new(host)
	h.openSoft, h.openHard = f.openFiles()
	h.nrOpen = f.number("proc/sys/fs/nr_open")
	h.fileMax = f.number("proc/sys/fs/file-max")
	h.filesUsed = f.numbers("proc/sys/fs/file-nr")[0]
	h.somaxconn = f.number("proc/sys/net/core/somaxconn")
	h.synBacklog = f.number("proc/sys/net/ipv4/tcp_max_syn_backlog")
	h.tcpMem = f.numbers("proc/sys/net/ipv4/tcp_mem")
	h.rmem = f.numbers("proc/sys/net/ipv4/tcp_rmem")
	h.wmem = f.numbers("proc/sys/net/ipv4/tcp_wmem")
	ports := f.numbers("proc/sys/net/ipv4/ip_local_port_range")
	h.portLow, h.portHigh = ports[0], ports[1]
	h.conntrackMax = f.number("proc/sys/net/netfilter/nf_conntrack_max")
	h.conntrackUsed = f.number("proc/sys/net/netfilter/nf_conntrack_count")
	h.memTotal, h.memAvailable = f.memory()
	h.hugePages = f.hugePages()
	h.cpus = f.cpus()
	h.group = f.cgroup()
	h.dropIn = f.dropIn()
	return h
}

// text returns a file without the space around it, and "" if it cannot be read.
func (f hostFiles) text(name string) string {
	data, err := fs.ReadFile(f.root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// exists tells a missing file from an unreadable one, which is there.
func (f hostFiles) exists(name string) bool {
	_, err := fs.Stat(f.root, name)
	return !errors.Is(err, fs.ErrNotExist)
}

// number returns what a file of one number says.
func (f hostFiles) number(name string) int64 { return parseLimit(f.text(name)) }

// numbers returns the first three numbers of a file; those that are not there are unknown.
func (f hostFiles) numbers(name string) [3]int64 {
	list := [3]int64{unknown, unknown, unknown}
	for i, word := range strings.Fields(f.text(name)) {
		if i < len(list) {
			list[i] = parseLimit(word)
		}
	}
	return list
}

// parseLimit reads a count that is not negative, or one of the kernel's words for no limit.
func parseLimit(word string) int64 {
	if word == "max" || word == "unlimited" {
		return unlimited
	}
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		return unknown
	}
	return int64(min(n, unlimited))
}

// openFiles returns RLIMIT_NOFILE of this process.
func (f hostFiles) openFiles() (soft, hard int64) {
	for line := range strings.Lines(f.text("proc/self/limits")) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if words := strings.Fields(rest); len(words) >= 2 {
				return parseLimit(words[0]), parseLimit(words[1])
			}
		}
	}
	return unknown, unknown
}

// memory returns the machine's memory and what of it can be had without swapping.
func (f hostFiles) memory() (total, available int64) {
	total, available = unknown, unknown
	for line := range strings.Lines(f.text("proc/meminfo")) {
		name, rest, _ := strings.Cut(line, ":")
		n := parseLimit(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
		switch {
		case n == unknown || n > unlimited>>10:
		case name == "MemTotal":
			total = n << 10
		case name == "MemAvailable":
			available = n << 10
		}
	}
	return total, available
}

// hugePages returns the chosen one of a line such as "always [madvise] never".
func (f hostFiles) hugePages() string {
	_, rest, _ := strings.Cut(f.text("sys/kernel/mm/transparent_hugepage/enabled"), "[")
	chosen, _, _ := strings.Cut(rest, "]")
	return chosen
}

// cpus counts a list such as "0-3,8".
func (f hostFiles) cpus() int64 {
	var list string
	for line := range strings.Lines(f.text("proc/self/status")) {
		if rest, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			list = strings.TrimSpace(rest)
		}
	}
	var n int64
	for part := range strings.SplitSeq(list, ",") {
		first, last, ranged := strings.Cut(part, "-")
		low := parseLimit(first)
		high := low
		if ranged {
			high = parseLimit(last)
		}
		if low < 0 || high < low || high > 1<<20 {
			return unknown
		}
		n += high - low + 1
	}
	return n
}

// cgroup is what the control group of the process, or one above it, allows.
type cgroup struct {
	version  int     // 0: none seen
	memory   int64   // bytes; unlimited if no group says otherwise
	cpuQuota float64 // CPUs; 0: no quota
}

// cgroup reads the limits of the process's control group and of all above it, the tightest of which counts. With
// version 1 each controller has a hierarchy of its own; with both mounted, version 1 has the controllers.
func (f hostFiles) cgroup() cgroup {
	g := cgroup{memory: unlimited}
	for line := range strings.Lines(f.text("proc/self/cgroup")) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		controllers, group := fields[1], fields[2]
		if controllers == "" {
			f.unified(&g, group)
			continue
		}
		for controller := range strings.SplitSeq(controllers, ",") {
			f.controller(&g, controller, path.Join("sys/fs/cgroup", controllers), group)
			f.controller(&g, controller, path.Join("sys/fs/cgroup", controller), group)
		}
	}
	return g
}

// unified reads version 2.
func (f hostFiles) unified(g *cgroup, group string) {
	const mount = "sys/fs/cgroup"
	if !f.exists(mount + "/cgroup.controllers") {
		return
	}
	g.version = 2
	for dir := range upwards(mount, group) {
		if n := f.number(dir + "/memory.max"); n != unknown {
			g.memory = min(g.memory, n)
		}
		quota := f.numbers(dir + "/cpu.max") // "max 100000"
		g.limitCPU(quota[0], quota[1])
	}
}

// controller reads one hierarchy of version 1.
func (f hostFiles) controller(g *cgroup, controller, mount, group string) {
	if controller != "memory" && controller != "cpu" || !f.exists(mount) {
		return
	}
	g.version = 1
	for dir := range upwards(mount, group) {
		if controller == "memory" {
			if n := f.number(dir + "/memory.limit_in_bytes"); n != unknown && n < 1<<62 { // no limit: 2^63 less a page
				g.memory = min(g.memory, n)
			}
			continue
		}
		// A quota of -1 is none, and unknown here.
		g.limitCPU(f.number(dir+"/cpu.cfs_quota_us"), f.number(dir+"/cpu.cfs_period_us"))
	}
}

// limitCPU takes note of a quota in microseconds a period.
func (g *cgroup) limitCPU(quota, period int64) {
	if quota <= 0 || quota == unlimited || period <= 0 {
		return
	}
	if cpus := float64(quota) / float64(period); g.cpuQuota == 0 || cpus < g.cpuQuota {
		g.cpuQuota = cpus
	}
}

// upwards yields the directory of group below mount and all above it, mount last. In a container the group's own
// path may be one that only the host has; then mount is the group.
func upwards(mount, group string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for group = path.Clean("/" + group); group != "/"; group = path.Dir(group) {
			if !yield(mount + group) {
				return
			}
		}
		yield(mount)
	}
}
