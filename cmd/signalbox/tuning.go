package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryFlags set Go's garbage collector. GOGC and GOMEMLIMIT, where they are set and the flags are not, stay in
// force.
type memoryFlags struct {
	GOGC        *int        `name:"gogc" group:"tuning" placeholder:"PERCENT" help:"Garbage that may gather before it is collected, in percent of what is alive: less saves memory, more saves CPU; 0: collect only near --memory-limit (default: 50)."`
	MemoryLimit *memorySize `name:"memory-limit" group:"tuning" placeholder:"BYTES" help:"Memory near which the collector works harder: bytes, a number with KiB, MiB or GiB, a percentage of the machine's or the cgroup's memory, or 0 for none (default: 80%)."`
}

const (
	// defaultGOGC is half of Go's own: a server of many idle connections is nearly all live heap and allocates
	// little, so that the garbage it may keep costs more than the collections it saves. Measured with 15 000
	// connections, soon after they came, user-space bytes for each were 1 370 at 50, 1 590 at 100 and 1 730 at 200; CPU a delivery
	// showed no difference from 50 to 400 beyond the noise of a busy machine.
	defaultGOGC        = 50
	defaultMemoryShare = 80 // percent
)

// memorySize is an amount of memory: bytes, or a percentage of what there is.
type memorySize struct {
	bytes   int64
	percent float64 // 0: bytes counts
}

var memoryUnits = []struct {
	suffix string
	bytes  float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"", 1}}

// UnmarshalText reads "0", "2147483648", "2GiB", "1.5GiB" or "80%".
func (m *memorySize) UnmarshalText(text []byte) error {
	word := string(text)
	if number, ok := strings.CutSuffix(word, "%"); ok {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return fmt.Errorf("%q is not above 0%% and up to 100%%", word)
		}
		*m = memorySize{percent: percent}
		return nil
	}
	for _, unit := range memoryUnits {
		number, ok := strings.CutSuffix(word, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || !(n >= 0 && n*unit.bytes < 1<<62) {
			break
		}
		*m = memorySize{bytes: int64(n * unit.bytes)}
		return nil
	}
	return fmt.Errorf("%q is no amount of memory such as 2147483648, 2GiB or 80%%", word)
}

// of returns the size in bytes where total are to be had; 0: no limit, also if a share of the unknown is asked for.
func (m memorySize) of(total int64) int64 {
	if m.percent == 0 {
		return m.bytes
	}
	if total == unknown || total == unlimited {
		return 0
	}
	return int64(float64(total) * m.percent / 100)
}

// Validate is called by kong once the flags are parsed.
func (f *memoryFlags) Validate() error {
	if f.GOGC == nil {
		return nil
	}
	if err := atLeast("gogc", *f.GOGC, 0); err != nil {
		return err
	}
	if *f.GOGC == 0 && f.MemoryLimit != nil && *f.MemoryLimit == (memorySize{}) {
		return errors.New("--gogc 0 needs a --memory-limit: else nothing is ever collected")
	}
	return nil
}

// collector is what the garbage collector is to be told.
type collector struct {
	percent int   // as in debug.SetGCPercent, -1 for off; 0: leave it
	limit   int64 // bytes, unlimited for none; unknown: leave it
}

// collector works out the settings for a process that may have total bytes. getenv is os.Getenv but for tests.
func (f *memoryFlags) collector(total int64, getenv func(string) string) (c collector, err error) {
	c = collector{percent: defaultGOGC, limit: unlimited}
	switch {
	case f.MemoryLimit != nil:
		c.limit = noneIfZero(f.MemoryLimit.of(total))
	case getenv("GOMEMLIMIT") != "":
		c.limit = unknown
	default:
		c.limit = noneIfZero(memorySize{percent: defaultMemoryShare}.of(total))
	}
	switch {
	case f.GOGC != nil && *f.GOGC > 0:
		c.percent = *f.GOGC
	case f.GOGC != nil && c.limit == unlimited:
		return c, errors.New("--gogc 0 needs a --memory-limit, and how much memory there is cannot be told: give it in bytes")
	case f.GOGC != nil:
		c.percent = -1 // off, as debug.SetGCPercent has it
	case getenv("GOGC") != "":
		c.percent = 0
	}
	return c, nil
}

func noneIfZero(limit int64) int64 {
	if limit == 0 {
		return math.MaxInt64
	}
	return limit
}

// totalMemory is what the machine has, or the control group allows if that is less.
func (h *host) totalMemory() int64 {
	if h.memTotal == unknown {
		return h.group.memory
	}
	return min(h.memTotal, h.group.memory)
}

// budget is the memory this process is to keep to, given the collector's limit; unlimited if that is none and what
// there is cannot be told.
func (h *host) budget(limit int64) int64 {
	if total := h.totalMemory(); total != unknown {
		return min(limit, total)
	}
	return limit
}

// apply sets the collector of this process.
func (f *memoryFlags) apply(logger *slog.Logger) error {
	c, err := f.collector(readHost("/").totalMemory(), os.Getenv)
	if err != nil {
		return err
	}
	if c.limit != unknown {
		debug.SetMemoryLimit(c.limit)
	}
	if c.percent != 0 {
		debug.SetGCPercent(c.percent)
	}
	logger.Debug("garbage collector set", "gogc", c.percent, "memoryLimit", c.limit)
	return nil
}
