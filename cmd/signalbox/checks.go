package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// What one connection and the server itself cost. BENCHMARKS.md has the measurements; change both together.
const (
	userBytes   = 1352 // a connection, with its identity and one subscription
	kernelBytes = 4565 // its socket, idle

	// memoryShare is the part of the memory that idle connections may take; the rest is for messages on their
	// way, for garbage and for everybody else.
	memoryShare = 0.8
	serverBytes = 64 << 20 // the server without connections

	returnSeconds = 141e-6 // CPU a connection that comes back after a deploy, the start of the server included

	// filesReserved and filesPerLoop are the descriptors that the server keeps for other uses: most of them for
	// webhooks. Routes of an embedded NATS come on top, some hundreds.
	filesReserved = 320
	filesPerLoop  = 8
)

// state is what a check found.
type state string

const (
	stateOK      state = "ok"
	stateShort   state = "short"   // holds fewer connections than the target
	stateAdvice  state = "advice"  // holds them, and would serve them badly
	stateFault   state = "fault"   // stands in the way of a cluster
	stateUnknown state = "unknown" // could not be read
)

// check is one thing looked at.
type check struct {
	Name  string `json:"name"`
	Found string `json:"found"`
	State state  `json:"state"`
	// Holds is how many connections the limit allows; absent if it bounds none.
	Holds *int64 `json:"holds,omitempty"`
	Note  string `json:"note,omitempty"`

	Sysctl   string   `json:"sysctl,omitempty"`   // what to set, as name=value
	Unit     string   `json:"unit,omitempty"`     // what to set in the [Service] section of its unit
	Commands []string `json:"commands,omitempty"` // what else to run

	vital bool // without it there is no verdict
}

// diagnosis is what the doctor says of a host.
type diagnosis struct {
	Target  int64 `json:"target"`
	Verdict state `json:"verdict"` // ok, short or unknown
	// Holds is how many connections the known limits allow, and Binds the check that bounds them; absent if
	// nothing is known to.
	Holds  *int64  `json:"holds,omitempty"`
	Binds  string  `json:"binds,omitempty"`
	Checks []check `json:"checks"`
}

// diagnose says whether h holds target connections. It reads nothing.
func diagnose(h *host, target int64) *diagnosis {
	d := &diagnosis{Target: target, Verdict: stateOK}
	d.Checks = []check{
		h.openFilesCheck(target),
		h.nrOpenCheck(target),
		h.fileMaxCheck(target),
		h.memoryCheck(target),
		h.cgroupMemoryCheck(target),
		h.conntrackCheck(target),
		h.tcpMemCheck(target),
		h.buffersCheck("net.ipv4.tcp_rmem", h.rmem, 128<<10, 32<<20),
		h.buffersCheck("net.ipv4.tcp_wmem", h.wmem, 64<<10, 16<<20),
		h.queueCheck("net.core.somaxconn", h.somaxconn, target),
		h.queueCheck("net.ipv4.tcp_max_syn_backlog", h.synBacklog, target),
		h.portsCheck(target),
		h.cpuCheck(target),
		h.hugePagesCheck(),
		h.dropInCheck(),
	}
	for i := range d.Checks {
		d.add(&d.Checks[i])
	}
	return d
}

// add judges a limit and adds it to the verdict. What falls short outweighs what is not known.
func (d *diagnosis) add(c *check) {
	if c.Holds != nil && (d.Holds == nil || *c.Holds < *d.Holds) {
		d.Holds, d.Binds = c.Holds, c.Name
	}
	switch {
	case c.State == stateShort:
		d.Verdict = stateShort
	case c.State == stateUnknown && c.vital && d.Verdict == stateOK:
		d.Verdict = stateUnknown
	}
}

// limitCheck is a check of a limit that allows holds connections, which may be unknown or unlimited.
func limitCheck(name, found string, holds, target int64) check {
	c := check{Name: name, Found: found, State: stateOK}
	switch {
	case holds == unknown:
		c.State = stateUnknown
		c.Found = "unknown"
	case holds < target:
		c.State = stateShort
		c.Holds = &holds
	case holds != unlimited:
		c.Holds = &holds
	}
	return c
}

// filesFor returns the descriptors that n connections need.
func (h *host) filesFor(n int64) int64 { return n + filesReserved + filesPerLoop*max(h.cpus, 1) }

// within is how many connections remain of a limit of which some is taken; unlimited and unknown stay as they are.
func within(limit, taken int64) int64 {
	if limit == unknown || limit == unlimited {
		return limit
	}
	return max(limit-taken, 0)
}

func (h *host) openFilesCheck(target int64) check {
	found := fmt.Sprintf("soft %s, hard %s", amount(h.openSoft), amount(h.openHard))
	c := limitCheck("RLIMIT_NOFILE", found, within(h.openHard, h.filesFor(0)), target)
	c.vital = true
	if c.State == stateShort {
		need := roundUp(h.filesFor(target))
		c.Note = "a connection is an open file; the server raises the soft limit to the hard one by itself"
		c.Unit = fmt.Sprintf("LimitNOFILE=%d", need)
		c.Commands = []string{fmt.Sprintf("ulimit -n %d", need), fmt.Sprintf("docker run --ulimit nofile=%d:%[1]d …", need)}
	}
	return c
}

func (h *host) nrOpenCheck(target int64) check {
	c := limitCheck("fs.nr_open", amount(h.nrOpen), within(h.nrOpen, h.filesFor(0)), target)
	if c.State == stateShort {
		c.Note = "the ceiling of RLIMIT_NOFILE: raise it first"
		c.Sysctl = fmt.Sprintf("fs.nr_open=%d", roundUp(h.filesFor(target)))
	}
	return c
}

func (h *host) fileMaxCheck(target int64) check {
	others := max(h.filesUsed, 0)
	found := amount(h.fileMax)
	if h.filesUsed != unknown {
		found += ", in use " + amount(h.filesUsed)
	}
	c := limitCheck("fs.file-max", found, within(h.fileMax, others+h.filesFor(0)), target)
	if c.State == stateShort {
		c.Note = "open files of the whole system"
		c.Sysctl = fmt.Sprintf("fs.file-max=%d", roundUp(2*h.filesFor(target)+others))
	}
	return c
}

// connectionsIn returns how many idle connections fit into so many bytes.
func connectionsIn(bytes int64) int64 {
	if bytes == unknown || bytes == unlimited {
		return bytes
	}
	return max(int64(float64(bytes)*memoryShare)-serverBytes, 0) / (userBytes + kernelBytes)
}

// memoryFor is the inverse of connectionsIn, in whole GiB.
func memoryFor(connections int64) int64 {
	bytes := (float64(connections)*(userBytes+kernelBytes) + serverBytes) / memoryShare
	return int64(math.Ceil(bytes / (1 << 30)))
}

func (h *host) memoryCheck(target int64) check {
	found := fmt.Sprintf("%s available of %s", inGiB(h.memAvailable), inGiB(h.memTotal))
	c := limitCheck("memory", found, connectionsIn(h.memAvailable), target)
	c.vital = true
	if c.State == stateShort {
		c.Note = fmt.Sprintf("%s connections need %d GiB of available memory, %d bytes each and a fifth in reserve",
			amount(target), memoryFor(target), userBytes+kernelBytes)
	}
	return c
}

func (h *host) cgroupMemoryCheck(target int64) check {
	name := "cgroup memory"
	if h.group.version == 0 {
		return check{Name: name, Found: "no cgroup seen", State: stateOK}
	}
	found := fmt.Sprintf("%s (v%d)", inGiB(h.group.memory), h.group.version)
	c := limitCheck(name, found, connectionsIn(h.group.memory), target)
	if c.State == stateShort {
		gib := memoryFor(target)
		c.Note = "the limit of the control group that this command runs in; it counts the kernel's memory for sockets, too"
		c.Unit = fmt.Sprintf("MemoryMax=%dG", gib)
		c.Commands = []string{fmt.Sprintf("docker run --memory %dg …", gib)}
	}
	return c
}

func (h *host) conntrackCheck(target int64) check {
	const name = "net.netfilter.nf_conntrack_max"
	if h.conntrackMax == unknown {
		return check{Name: name, Found: "not loaded", State: stateOK}
	}
	others := max(h.conntrackUsed, 0)
	c := limitCheck(name, fmt.Sprintf("%s, in use %s", amount(h.conntrackMax), amount(h.conntrackUsed)),
		within(h.conntrackMax, others), target)
	if c.State == stateShort {
		c.Note = "a full table drops new connections; or exempt the server's port with a notrack rule"
		c.Sysctl = fmt.Sprintf("%s=%d", name, roundUp(target+target/4+others))
	}
	return c
}

// tcpMemCheck wants a page for data in flight to every connection at once, as a broadcast has. Idle connections need
// none, so it bounds nothing.
func (h *host) tcpMemCheck(target int64) check {
	low, pressure, high := h.tcpMem[0], h.tcpMem[1], h.tcpMem[2]
	c := check{Name: "net.ipv4.tcp_mem", Found: fmt.Sprintf("%s %s %s pages", amount(low), amount(pressure), amount(high)), State: stateOK}
	switch {
	case high == unknown:
		c.State, c.Found = stateUnknown, "unknown"
	case pressure < target:
		c.State = stateAdvice
		c.Note = fmt.Sprintf("with a page of data on its way to each of them, only %s connections go without TCP memory pressure", amount(pressure))
		want := roundUp(target)
		c.Sysctl = fmt.Sprintf("net.ipv4.tcp_mem=%d %d %d", max(low, want/2), want, max(high, want*3/2))
	}
	return c
}

// buffersCheck wants socket buffers that begin small and are bounded: a slow reader can fill them.
func (h *host) buffersCheck(name string, found [3]int64, standard, most int64) check {
	c := check{Name: name, Found: fmt.Sprintf("%s %s %s bytes", amount(found[0]), amount(found[1]), amount(found[2])), State: stateOK}
	switch {
	case found[2] == unknown:
		c.State, c.Found = stateUnknown, "unknown"
	case found[1] > standard || found[2] > most:
		c.State = stateAdvice
		c.Note = "so much kernel memory can a connection take that does not read, or whose data is not read"
		c.Sysctl = fmt.Sprintf("%s=%d %d %d", name, min(found[0], 4096), min(found[1], standard), min(found[2], most))
	}
	return c
}

// queueCheck wants a queue that a deploy, after which all clients come back at once, does not overflow.
func (h *host) queueCheck(name string, found, target int64) check {
	c := check{Name: name, Found: amount(found), State: stateOK}
	want := min(max(target/16, 4096), 65535)
	switch {
	case found == unknown:
		c.State = stateUnknown
	case found < want:
		c.State = stateAdvice
		c.Note = "connects that wait to be accepted; those beyond are dropped and tried again by the client a second later"
		c.Sysctl = fmt.Sprintf("%s=%d", name, want)
	}
	return c
}

// portsCheck is about a proxy or a load generator on this host: the server itself needs one port.
func (h *host) portsCheck(target int64) check {
	c := check{Name: "net.ipv4.ip_local_port_range", Found: fmt.Sprintf("%s to %s", amount(h.portLow), amount(h.portHigh)), State: stateOK}
	if h.portLow == unknown || h.portHigh == unknown {
		c.State, c.Found = stateUnknown, "unknown"
		return c
	}
	ports := h.portHigh - h.portLow + 1
	if ports >= target {
		return c
	}
	c.Note = fmt.Sprintf("a proxy on this host can open %s connections from one address to one: give it several of either (any of 127.0.0.0/8)", amount(ports))
	if ports < 60_000 {
		c.State = stateAdvice
		c.Sysctl = c.Name + "=1024 65535"
	}
	return c
}

func (h *host) cpuCheck(target int64) check {
	cpus := float64(h.cpus)
	if h.cpus == unknown {
		return check{Name: "CPUs", Found: "unknown", State: stateUnknown}
	}
	found := amount(h.cpus)
	if q := h.group.cpuQuota; q > 0 && q < cpus {
		cpus = q
		found += fmt.Sprintf(", of which a cgroup allows %s", strconv.FormatFloat(q, 'f', -1, 64))
	}
	c := check{Name: "CPUs", Found: found, State: stateOK}
	seconds := float64(target) * returnSeconds / cpus
	c.Note = fmt.Sprintf("about %.3g s until %s connections are back after a deploy", seconds, amount(target))
	if seconds > 60 {
		c.State = stateAdvice
		c.Note += ": more CPUs, or clients that come back more slowly"
	}
	return c
}

func (h *host) hugePagesCheck() check {
	c := check{Name: "transparent_hugepage", Found: h.hugePages, State: stateOK}
	switch h.hugePages {
	case "":
		c.Found = "not there"
	case "always":
		c.State = stateAdvice
		c.Note = "memory that the server has given back may be filled up again with huge pages"
		c.Commands = []string{"echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"}
	}
	return c
}

// roundUp returns n up to the next multiple of 65536, which reads as a setting.
func roundUp(n int64) int64 { return (n + 1<<16 - 1) >> 16 << 16 }

// amount writes a count with its thousands apart.
func amount(n int64) string {
	switch n {
	case unknown:
		return "unknown"
	case unlimited:
		return "unlimited"
	}
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// inGiB writes a size.
func inGiB(bytes int64) string {
	if bytes == unknown || bytes == unlimited {
		return amount(bytes)
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}
