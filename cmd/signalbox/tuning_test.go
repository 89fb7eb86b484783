package main

import (
	"math"
	"testing"
)

func TestMemorySize(t *testing.T) {
	t.Parallel()
	const total = 10 << 30
	for text, want := range map[string]int64{ // -1: an error
		"0": 0, "2147483648": 2 << 30, "512KiB": 512 << 10, "100MiB": 100 << 20, "2GiB": 2 << 30, "1.5GiB": 3 << 29, "1TiB": 1 << 40,
		"80%": total / 10 * 8, "100%": total, "0.5%": total / 200,
		"": -1, "lots": -1, "-1": -1, "2GB": -1, "2 GiB": -1, "0%": -1, "101%": -1, "%": -1, "NaN": -1, "NaN%": -1, "Inf": -1, "1e30": -1, "9e9TiB": -1,
	} {
		var m memorySize
		err := m.UnmarshalText([]byte(text))
		if (err != nil) != (want < 0) {
			t.Errorf("%q: got error %v", text, err)
		} else if got := m.of(total); err == nil && got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestCollector(t *testing.T) {
	t.Parallel()
	percent := func(n int) *int { return &n }
	for name, c := range map[string]struct {
		flags   memoryFlags
		total   int64
		env     string
		want    collector
		refused bool
	}{
		"defaults":                    {memoryFlags{}, 1000, "", collector{50, 800}, false},
		"memory unknown":              {memoryFlags{}, unlimited, "", collector{50, math.MaxInt64}, false},
		"flags":                       {memoryFlags{percent(60), &memorySize{bytes: 77}}, 1000, "", collector{60, 77}, false},
		"no limit":                    {memoryFlags{nil, &memorySize{}}, 1000, "", collector{50, math.MaxInt64}, false},
		"collect near the limit only": {memoryFlags{GOGC: percent(0)}, 1000, "", collector{-1, 800}, false},
		"nothing collects":            {memoryFlags{GOGC: percent(0)}, unlimited, "", collector{}, true},
		"GOMEMLIMIT":                  {memoryFlags{}, 1000, "GOMEMLIMIT", collector{50, unknown}, false},
		"GOMEMLIMIT, and the flag":    {memoryFlags{nil, &memorySize{percent: 10}}, 1000, "GOMEMLIMIT", collector{50, 100}, false},
		"GOGC":                        {memoryFlags{}, 1000, "GOGC", collector{0, 800}, false},
		"GOGC, and the flag":          {memoryFlags{GOGC: percent(30)}, 1000, "GOGC", collector{30, 800}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			getenv := func(variable string) string {
				if variable == c.env {
					return "1"
				}
				return ""
			}
			got, err := c.flags.collector(c.total, getenv)
			if (err != nil) != c.refused || err == nil && got != c.want {
				t.Errorf("got %+v, %v, want %+v, refused %v", got, err, c.want, c.refused)
			}
		})
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit, total, group, want int64
	}{
		"a limit":               {500, 1000, unlimited, 500},
		"no limit":              {unlimited, 1000, unlimited, 1000},
		"no limit, in a cgroup": {unlimited, 1000, 700, 700},
		"a limit above all":     {2000, 1000, 700, 700},
		"nothing known":         {unlimited, unknown, unlimited, unlimited},
		"a limit alone known":   {500, unknown, unlimited, 500},
	} {
		h := host{memTotal: c.total}
		h.group.memory = c.group
		if got := h.budget(c.limit); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

// TestServeSetsCollector starts servers with a flag, a variable and neither, and reads what they say.
func TestServeSetsCollector(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env         []string
		args        []string
		gogc, limit float64 // limit 0: any
	}{
		"defaults":  {nil, nil, 50, 0},
		"flags":     {nil, []string{"--gogc", "70", "--memory-limit", "300MiB"}, 70, 300 << 20},
		"variables": {[]string{"SIGNALBOX_GOGC=0", "SIGNALBOX_MEMORY_LIMIT=1GiB"}, nil, -1, 1 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"serve", "--dev", "--listen", "127.0.0.1:0", "--log-level", "debug"}, c.args...)
			said := start(t, t.TempDir(), c.env, args...).await("garbage collector set")
			limit := said["memoryLimit"].(float64)
			if said["gogc"] != c.gogc || c.limit != 0 && limit != c.limit || limit < 1<<20 {
				t.Errorf("got %v, want gogc %v and limit %v", said, c.gogc, c.limit)
			}
		})
	}
}
