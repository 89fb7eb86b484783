package hooks

import (
	"log/slog"
	"math/rand/v2"
	ossignal "os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// limitFiles has this process write no file beyond size bytes, until the returned
// function is called or the test ends.
func limitFiles(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	ossignal.Ignore(unix.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	set := func(limit unix.Rlimit) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			t.Error(err)
		}
	}
	set(unix.Rlimit{Cur: size, Max: was.Max})
	lift = func() { set(was) }
	t.Cleanup(lift)
	return lift
}

// TestFullDisk: much waits while the disk is full. What fits is saved, a try costs
// little, and all is saved in its order once there is room.
func TestFullDisk(t *testing.T) {
	const waits = 24 << 20
	dir := t.TempDir()
	h, err := Open(Options{Dir: dir, MaxSpool: 2 * waits, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h.Set(parse(t, file(hookTo(testURL))))
	app := h.App(testApp)
	lift := limitFiles(t, 2*saveAtOnce)
	meta, told := `{"m":"`+strings.Repeat("m", 10_000)+`"}`, 0
	for h.size < waits {
		for range 2 * maxBatch {
			app.Joined("c", strconv.Itoa(told), meta, 2)
			told++
		}
		h.flush()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h.flush()
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 4*saveAtOnce {
		t.Errorf("a try took %d bytes of memory while %d wait, want %d at most", got, h.size, 4*saveAtOnce)
	}
	if n := h.unsaved(); n == 0 || n == told {
		t.Errorf("%d of %d events are not saved, want some", n, told)
	}
	lift()
	h.flush()
	if n := h.unsaved(); n != 0 || !h.pending.empty() {
		t.Errorf("%d events are not saved, want 0", n)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		up := &receiver{}
		run(t, file(hookTo(testURL)), Options{Client: up, Dir: dir, MaxSpool: 2 * waits})
		time.Sleep(time.Second)
		synctest.Wait()
		next := 0
		for _, r := range up.taken {
			for _, e := range r.batch.Events {
				if e.PeerID != strconv.Itoa(next) {
					t.Fatalf("event %d is that of %s", next, e.PeerID)
				}
				next++
			}
		}
		if next != told {
			t.Errorf("got %d events, want %d", next, told)
		}
	})
}

// TestFailingDiskIsLeftAlone: however much comes, a disk that fails is tried once a
// second, at the end at once, and nothing is kept of what is dropped meanwhile.
func TestFailingDiskIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := run(t, file(hookTo(testURL)), Options{Client: &receiver{answer: always(0, errDown)}, Dir: dir, MaxSpool: 100_000})
		file := f.disk.file
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		var tries []time.Time
		for range 100 {
			f.join("c", 0, maxBatch)
			time.Sleep(saveAgain / 10)
			synctest.Wait()
			if n := len(tries); n == 0 || tries[n-1] != f.failedAt {
				tries = append(tries, f.failedAt)
			}
		}
		if n := len(tries); n < 8 || n > 11 {
			t.Errorf("got %d tries within 10 s, want one a second", n)
		}
		f.mu.Lock()
		kept := 0
		for _, p := range f.pending.puts {
			kept += len(p.batch.body)
		}
		if int64(kept) > f.maxSpool {
			t.Errorf("%d bytes are kept to be written, %d may wait", kept, f.maxSpool)
		}
		var err error
		if f.disk, err = openDisk(dir); err != nil {
			t.Error(err)
		}
		f.mu.Unlock()
		f.stop()
		if n := f.unsaved(); n != 0 {
			t.Errorf("%d events are not saved at the end, want 0", n)
		}
	})
}

// TestCut: parts of a change put together are the change, none is much larger than
// was asked for, and a queue goes no sooner than its batches.
func TestCut(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 7))
		var c change
		for i := range random.IntN(50) {
			c.puts = append(c.puts, put{1, &batch{seq: uint64(i), size: batchCost + random.Int64N(1000)}})
		}
		for i := range random.IntN(50) {
			c.removes = append(c.removes, newKey(2, uint64(i)))
		}
		c.rows, c.drops = make([]row, random.IntN(2)), make([]uint64, random.IntN(2))
		size := batchCost + random.Int64N(5000)
		var got change
		for rest := c; !rest.empty(); {
			var first change
			first, rest = rest.cut(size)
			if len(first.drops) > 0 && len(rest.removes) > 0 || len(rest.rows) > 0 {
				t.Fatalf("seed %d: got %+v before %+v", seed, first, rest)
			}
			sum := int64(len(first.removes)) * batchCost
			for _, p := range first.puts {
				sum += p.batch.size
			}
			if sum > size+batchCost+1000 || first.empty() {
				t.Fatalf("seed %d: a part has %d bytes, want %d or so", seed, sum, size)
			}
			got.rows, got.puts = append(got.rows, first.rows...), append(got.puts, first.puts...)
			got.removes, got.drops = append(got.removes, first.removes...), append(got.drops, first.drops...)
		}
		if !slices.Equal(got.puts, c.puts) || !slices.Equal(got.removes, c.removes) || len(got.rows) != len(c.rows) || len(got.drops) != len(c.drops) {
			t.Errorf("seed %d: got %+v, want %+v", seed, got, c)
		}
	}
}
