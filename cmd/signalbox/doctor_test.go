package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// roomy is a host that holds a million connections.
func roomy() *host { return readHost(fixture("ready")) }

func (d *diagnosis) check(t *testing.T, name string) check {
	t.Helper()
	i := slices.IndexFunc(d.Checks, func(c check) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no check %q", name)
	}
	return d.Checks[i]
}

func TestDiagnose(t *testing.T) {
	t.Parallel()
	const million = 1_000_000
	for name, c := range map[string]struct {
		change  func(h *host)
		check   string
		state   state
		holds   int64 // unlimited: bounds nothing
		fix     string
		verdict state
	}{
		"files enough":          {func(h *host) { h.openHard = million + 352 }, "RLIMIT_NOFILE", stateOK, million, "", stateOK},
		"files one short":       {func(h *host) { h.openHard = million + 351 }, "RLIMIT_NOFILE", stateShort, million - 1, "LimitNOFILE=1048576", stateShort},
		"files fewer than own":  {func(h *host) { h.openHard = 64 }, "RLIMIT_NOFILE", stateShort, 0, "LimitNOFILE=1048576", stateShort},
		"files unlimited":       {func(h *host) { h.openHard = unlimited }, "RLIMIT_NOFILE", stateOK, unlimited, "", stateOK},
		"files unknown":         {func(h *host) { h.openHard = unknown }, "RLIMIT_NOFILE", stateUnknown, unlimited, "", stateUnknown},
		"files soft only":       {func(h *host) { h.openSoft = 64 }, "RLIMIT_NOFILE", stateOK, 2097152 - 352, "", stateOK},
		"low ceiling":           {func(h *host) { h.nrOpen = 65536 }, "fs.nr_open", stateShort, 65184, "fs.nr_open=1048576", stateShort},
		"ceiling unknown":       {func(h *host) { h.nrOpen = unknown }, "fs.nr_open", stateUnknown, unlimited, "", stateOK},
		"system's files":        {func(h *host) { h.fileMax, h.filesUsed = 500_352, 100_000 }, "fs.file-max", stateShort, 400_000, "fs.file-max=2162688", stateShort},
		"system's files full":   {func(h *host) { h.fileMax, h.filesUsed = 10, 100 }, "fs.file-max", stateShort, 0, "fs.file-max=2031616", stateShort},
		"memory":                {func(h *host) { h.memAvailable = 4 << 30 }, "memory", stateShort, 569_353, "7 GiB", stateShort},
		"memory for itself":     {func(h *host) { h.memAvailable = 32 << 20 }, "memory", stateShort, 0, "7 GiB", stateShort},
		"memory unknown":        {func(h *host) { h.memAvailable = unknown }, "memory", stateUnknown, unlimited, "", stateUnknown},
		"unknown, and short":    {func(h *host) { h.memAvailable, h.openHard = unknown, 1024 }, "memory", stateUnknown, unlimited, "", stateShort},
		"cgroup memory":         {func(h *host) { h.group.memory = 1 << 30 }, "cgroup memory", stateShort, 133_832, "MemoryMax=7G", stateShort},
		"no cgroup":             {func(h *host) { h.group = cgroup{memory: unlimited} }, "cgroup memory", stateOK, unlimited, "", stateOK},
		"conntrack":             {func(h *host) { h.conntrackMax, h.conntrackUsed = 262_144, 144 }, "net.netfilter.nf_conntrack_max", stateShort, 262_000, "nf_conntrack_max=1310720", stateShort},
		"conntrack not loaded":  {func(h *host) { h.conntrackMax = unknown }, "net.netfilter.nf_conntrack_max", stateOK, unlimited, "", stateOK},
		"little TCP memory":     {func(h *host) { h.tcpMem = [3]int64{190500, 254001, 381000} }, "net.ipv4.tcp_mem", stateAdvice, unlimited, "net.ipv4.tcp_mem=524288 1048576 1572864", stateOK},
		"more at the high end":  {func(h *host) { h.tcpMem = [3]int64{9e5, 9.5e5, 9e6} }, "net.ipv4.tcp_mem", stateAdvice, unlimited, "net.ipv4.tcp_mem=900000 1048576 9000000", stateOK},
		"TCP memory unknown":    {func(h *host) { h.tcpMem[2] = unknown }, "net.ipv4.tcp_mem", stateUnknown, unlimited, "", stateOK},
		"large receive buffers": {func(h *host) { h.rmem = [3]int64{8192, 1 << 20, 64 << 20} }, "net.ipv4.tcp_rmem", stateAdvice, unlimited, "net.ipv4.tcp_rmem=4096 131072 33554432", stateOK},
		"large send buffers":    {func(h *host) { h.wmem = [3]int64{4096, 16384, 64 << 20} }, "net.ipv4.tcp_wmem", stateAdvice, unlimited, "net.ipv4.tcp_wmem=4096 16384 16777216", stateOK},
		"short accept queue":    {func(h *host) { h.somaxconn = 128 }, "net.core.somaxconn", stateAdvice, unlimited, "net.core.somaxconn=62500", stateOK},
		"short SYN queue":       {func(h *host) { h.synBacklog = 512 }, "net.ipv4.tcp_max_syn_backlog", stateAdvice, unlimited, "net.ipv4.tcp_max_syn_backlog=62500", stateOK},
		"few ports":             {func(h *host) { h.portLow = 32768 }, "net.ipv4.ip_local_port_range", stateAdvice, unlimited, "1024 65535", stateOK},
		"ports unknown":         {func(h *host) { h.portHigh = unknown }, "net.ipv4.ip_local_port_range", stateUnknown, unlimited, "", stateOK},
		"half a CPU":            {func(h *host) { h.group.cpuQuota = 0.5 }, "CPUs", stateAdvice, unlimited, "282 s", stateOK},
		"one CPU":               {func(h *host) { h.cpus = 1 }, "CPUs", stateAdvice, unlimited, "141 s", stateOK},
		"two CPUs":              {func(h *host) { h.cpus = 2 }, "CPUs", stateAdvice, unlimited, "70.5 s", stateOK},
		"three CPUs":            {func(h *host) { h.cpus = 3 }, "CPUs", stateOK, unlimited, "47 s", stateOK},
		"CPUs unknown":          {func(h *host) { h.cpus = unknown }, "CPUs", stateUnknown, unlimited, "", stateOK},
		"huge pages":            {func(h *host) { h.hugePages = "always" }, "transparent_hugepage", stateAdvice, unlimited, "echo madvise", stateOK},
		"no huge pages":         {func(h *host) { h.hugePages = "" }, "transparent_hugepage", stateOK, unlimited, "", stateOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := roomy()
			c.change(h)
			d := diagnose(h, million)
			got := d.check(t, c.check)
			holds := int64(unlimited)
			if got.Holds != nil {
				holds = *got.Holds
			}
			if got.State != c.state || holds != c.holds || d.Verdict != c.verdict {
				t.Errorf("got %s for %d, verdict %s; want %s for %d, verdict %s", got.State, holds, d.Verdict, c.state, c.holds, c.verdict)
			}
			if said := strings.Join(append(got.Commands, got.Sysctl, got.Unit, got.Note), "\n"); !strings.Contains(said, c.fix) {
				t.Errorf("got %q, want it to hold %q", said, c.fix)
			}
			if d.Verdict == stateShort && (d.Holds == nil || *d.Holds >= million) {
				t.Errorf("short, and holds %v", d.Holds)
			}
		})
	}
}

// TestAdviceHelps follows the advice for files and memory and wants the next verdict to be good.
func TestAdviceHelps(t *testing.T) {
	t.Parallel()
	for _, target := range []int64{1, 1000, 100_000, 1_000_000, 5_000_000, 1 << 30} {
		h := readHost(fixture("nothing"))
		h.openHard = roundUp(h.filesFor(target))
		h.nrOpen = h.openHard
		h.memAvailable = memoryFor(target) << 30
		if d := diagnose(h, target); d.Verdict != stateOK {
			t.Errorf("target %d: got %s, %s holds %d", target, d.Verdict, d.Binds, *d.Holds)
		}
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fixture string
		args    []string
		status  int
		want    []string
	}{
		"ready": {"ready", nil, 0, []string{
			"This host holds 1 000 000 connections: about 2 021 091, where memory binds.",
		}},
		"stock": {"stock", nil, 1, []string{
			"This host holds about 523 936 connections, not 1 000 000; RLIMIT_NOFILE is what binds.",
			"short   RLIMIT_NOFILE", "soft 1 024, hard 524 288",
			"  sysctl -w 'net.ipv4.tcp_mem=524288 1048576 1572864'\n",
			"/etc/sysctl.d/90-signalbox.conf", "  net.ipv4.tcp_mem = 524288 1048576 1572864\n",
			"  [Service]\n  LimitNOFILE=1048576\n",
			"  ulimit -n 1048576\n", "  docker run --ulimit nofile=1048576:1048576 …\n",
			"  echo madvise > /sys/kernel/mm/transparent_hugepage/enabled\n",
		}},
		"stock, smaller target": {"stock", []string{"--target", "500000"}, 0, []string{"This host holds 500 000 connections: about 523 936"}},
		"container":             {"cgroup2", []string{"--target", "100000"}, 1, []string{"about 61 245 connections, not 100 000; cgroup memory", "MemoryMax=1G"}},
		"cannot tell":           {"nothing", nil, 2, []string{"cannot be told"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"doctor", "--root", fixture(c.fixture)}, c.args...)
			got := invocation{dir: "."}.run(t, args...)
			if got.status != c.status || got.stderr != "" {
				t.Errorf("got status %d and stderr %q, want %d and none", got.status, got.stderr, c.status)
			}
			for _, want := range c.want {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("no %q in\n%s", want, got.stdout)
				}
			}
			asJSON := invocation{dir: "."}.run(t, append(args, "--json")...)
			var d diagnosis
			if err := json.Unmarshal([]byte(asJSON.stdout), &d); err != nil {
				t.Fatalf("--json: %v in %s", err, asJSON.stdout)
			}
			verdicts := map[state]int{stateOK: 0, stateShort: 1, stateUnknown: 2}
			if asJSON.status != c.status || verdicts[d.Verdict] != c.status || len(d.Checks) < 10 {
				t.Errorf("--json: got status %d and %+v", asJSON.status, d)
			}
		})
	}
	invocation{}.fails(t, []string{"doctor", "--target", "0"}, "--target must be 1 to")
}

func TestAmount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1 000", 123456: "123 456", 1234567: "1 234 567", unknown: "unknown", unlimited: "unlimited",
	} {
		if got := amount(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
