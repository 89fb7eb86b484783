package hooks

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"signalbox/engine/datafile"
)

// TestRestart keeps what waits over restarts, under the same ids, and forgets
// what was delivered.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		text := file(hookTo(testURL))
		down := &receiver{answer: always(0, errDown)}
		var want []string
		for i := range 3 {
			f := run(t, text, Options{Client: down, Dir: dir})
			if i == 1 {
				time.Sleep(time.Minute)
			}
			want = append(want, f.join("c", 150*i, 150)...)
			if i == 2 {
				time.Sleep(time.Minute)
			}
			f.stop()
		}
		up := &receiver{}
		f := run(t, text, Options{Client: up, Dir: dir})
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, "events", up.events(), want)
		if !bytes.Equal(down.all()[0].body, up.all()[0].body) {
			t.Errorf("the batch has changed over the restart: %s, then %s", down.all()[0].body, up.all()[0].body)
		}
		if s := f.Stats(); s.SpooledBytes != 0 || s.Delivered != 450 {
			t.Errorf("got %+v, want nothing left", s)
		}
		f.stop()
		again := &receiver{}
		run(t, text, Options{Client: again, Dir: dir})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(again.all()); n != 0 {
			t.Errorf("%d requests came again", n)
		}
	})
}

// TestCrash ends without a word: what was written 200 ms before is there.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, copied := t.TempDir(), t.TempDir()
		f := run(t, file(hookTo(testURL)), Options{Client: &receiver{answer: always(0, errDown)}, Dir: dir})
		want := f.join("c", 0, 30)
		time.Sleep(gatherTime + time.Millisecond)
		synctest.Wait()
		text, err := os.ReadFile(filepath.Join(dir, fileName))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, fileName), text, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{testSecret, "hush"} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("the file holds %s", secret)
			}
		}
		up := &receiver{}
		run(t, file(hookTo(testURL)), Options{Client: up, Dir: copied})
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, "events", up.events(), want)
	})
}

// TestRestartWhenFull: what fits before a restart fits after it.
func TestRestartWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		o := Options{Client: &receiver{answer: always(0, errDown)}, Dir: dir, MaxSpool: 20_000}
		f := run(t, file(hookTo(testURL)), o)
		for f.Stats().Dropped == 0 {
			f.join("c", 0, 1)
			time.Sleep(time.Second)
		}
		f.stop()
		before := f.Stats()
		f = run(t, file(hookTo(testURL)), o)
		if got := f.Stats(); got.SpooledBytes != before.SpooledBytes {
			t.Errorf("got %d bytes, want %d", got.SpooledBytes, before.SpooledBytes)
		}
		time.Sleep(time.Minute)
		if got := f.Stats(); got.Dropped != 0 || got.Age < before.Age {
			t.Errorf("got %+v after %+v", got, before)
		}
	})
}

// TestRestartBeforeDropsAreTold: what a queue lost before a restart, with no batch
// behind it to say so, is told after it, once.
func TestRestartBeforeDropsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := file(hookTo(testURL, `channelPatterns: ["c"]`), hookTo("https://other.test/", `channelPatterns: ["d"]`))
		o := Options{Client: &receiver{answer: always(0, errDown)}, Dir: t.TempDir(), MaxSpool: 20_000}
		f := run(t, text, o)
		for i := range 30 { // the other's queue is the longer one
			f.join("d", 2*i, 2)
			time.Sleep(time.Second)
		}
		for i := 0; f.Stats().Dropped == 0; i++ {
			f.join("c", i, 1)
			time.Sleep(time.Second)
		}
		dropped := f.Stats().Dropped
		f.stop()
		var told []int64
		for range 2 {
			up := &receiver{}
			o.Client = up
			f = run(t, text, o)
			time.Sleep(time.Second)
			f.join("d", 0, 1)
			time.Sleep(time.Second)
			f.stop()
			told = append(told, up.taken[len(up.taken)-1].batch.Dropped)
		}
		if told[0] != dropped || told[1] != 0 {
			t.Errorf("told of %d events dropped, want %d and 0", told, dropped)
		}
	})
}

// TestRandomOutages has the receiver fail and the server restart at random
// times: all events arrive, in order, each batch as often as it likes but the
// same.
func TestRandomOutages(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 6))
			dir, r, text := t.TempDir(), &receiver{}, file(hookTo(testURL))
			f := run(t, text, Options{Client: r, Dir: dir})
			var want []string
			for range 60 {
				switch n := random.IntN(10); {
				case n < 5:
					want = append(want, f.join("c", len(want), 1+random.IntN(150))...)
				case n < 6:
					r.set(always(500, nil))
				case n < 8:
					r.set(nil)
				default:
					f.stop()
					f = run(t, text, Options{Client: r, Dir: dir})
				}
				time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
			}
			r.set(nil)
			time.Sleep(2 * maxDelay)
			synctest.Wait()
			var got []string
			seen := map[string][]byte{}
			for _, q := range r.taken {
				if was, again := seen[q.batch.ID]; !again {
					got = append(got, q.describe()...)
				} else if !bytes.Equal(was, q.body) {
					t.Errorf("batch %s has changed", q.batch.ID)
				}
				seen[q.batch.ID] = q.body
			}
			expect(t, fmt.Sprint("seed ", seed), got, want)
			if s := f.Stats(); s.Dropped != 0 || s.SpooledBytes != 0 {
				t.Errorf("seed %d: got %+v", seed, s)
			}
		})
	}
}

// TestRestartWithOtherURL: what waited goes where the webhook in its place leads
// now; without one it is dropped from the file.
func TestRestartWithOtherURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := run(t, file(hookTo(testURL), hookTo("http://second.test/")), Options{Client: &receiver{answer: always(0, errDown)}, Dir: dir})
		want := f.join("c", 0, 2)
		f.stop()
		up := &receiver{}
		f = run(t, file(hookTo("http://first.test/")), Options{Client: up, Dir: dir})
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, "events", up.events(), want)
		if s := f.Stats(); s.Dropped != 2 || s.SpooledBytes != 0 || up.all()[0].url != "http://first.test/" {
			t.Errorf("got %+v, to %s", s, up.all()[0].url)
		}
		f.stop()
		f = run(t, "apps: []", Options{Client: up, Dir: dir})
		if s := f.Stats(); s != (Stats{}) {
			t.Errorf("got %+v, want nothing left", s)
		}
	})
}

// TestFailingDisk keeps events in memory, delivers them, and saves what waits
// once the disk is well again.
func TestFailingDisk(t *testing.T) {
	dir, r := t.TempDir(), &receiver{}
	var log bytes.Buffer
	h, err := Open(Options{Client: r, Dir: dir, MaxSpool: 1 << 20, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	h.Set(parse(t, file(hookTo(testURL))))
	f := &fixture{Hooks: h, t: t, app: h.App(testApp)}
	if err := h.disk.close(); err != nil {
		t.Fatal(err)
	}
	want := f.join("c", 0, 100)
	for range 3 {
		h.flush()
	}
	q := h.routes[testApp][0]
	if !h.await(t.Context(), q) {
		t.Fatal("nothing to deliver")
	}
	if _, err := h.attempt(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	expect(t, "while it fails", r.events(), want)
	kept := f.join("c", 100, 30)
	h.flush()
	if n := h.unsaved(); n != 30 {
		t.Errorf("%d events are not saved, want 30", n)
	}
	if h.disk, err = openDisk(dir); err != nil {
		t.Fatal(err)
	}
	h.flush()
	if n := h.unsaved(); n != 0 {
		t.Errorf("%d events are not saved, want 0", n)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"cannot be stored", "stored again"} {
		if strings.Count(log.String(), part) != 1 {
			t.Errorf("not one %q in the log: %s", part, log.String())
		}
	}
	synctest.Test(t, func(t *testing.T) {
		up := &receiver{}
		run(t, file(hookTo(testURL)), Options{Client: up, Dir: dir})
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, "after a restart", up.events(), kept)
	})
}

// TestFailingDiskForLong: what the file lacks is no more for being lacking longer.
func TestFailingDiskForLong(t *testing.T) {
	dir := t.TempDir()
	h, err := Open(Options{Dir: dir, MaxSpool: 20_000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h.Set(parse(t, file(hookTo(testURL), hookTo("https://other.test/"))))
	f := &fixture{Hooks: h, t: t, app: h.App(testApp)}
	if err := h.disk.close(); err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		f.join("c", i, 20+i%7)
		h.flush()
	}
	if n := len(h.pending.rows); n > 2 {
		t.Errorf("%d rows are to be written, want one for each of the two queues", n)
	}
	if h.disk, err = openDisk(dir); err != nil {
		t.Fatal(err)
	}
	h.flush()
	untold := map[uint64]int64{}
	for _, q := range h.routes[testApp] {
		untold[q.id] = q.dropped
	}
	queues, err := h.disk.load()
	if err != nil || len(queues) != 2 {
		t.Fatalf("got %d queues, %v, want 2", len(queues), err)
	}
	for _, q := range queues {
		if q.dropped != untold[q.id] {
			t.Errorf("queue %d: the file has %d drops to be told, want %d", q.id, q.dropped, untold[q.id])
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenFaults(t *testing.T) {
	held := t.TempDir()
	d, err := openDisk(held)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.close() }()
	damagedDir := func(change func([]byte) []byte) string {
		dir := t.TempDir()
		f := run(t, file(hookTo(testURL)), Options{Client: &receiver{answer: always(0, errDown)}, Dir: dir})
		f.join("c", 0, 500)
		f.stop()
		path := filepath.Join(dir, fileName)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, change(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	plainFile := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(plainFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dir string
		want      error // nil: any
	}{
		{"in use", held, datafile.ErrInUse},
		{"no directory", plainFile, nil},
		{"cut short", damagedDir(func(b []byte) []byte { return b[:3*os.Getpagesize()] }), datafile.ErrDamaged}, // half of it may be free pages
		{"text", damagedDir(func([]byte) []byte { return bytes.Repeat([]byte("text"), 10_000) }), datafile.ErrDamaged},
		{"scrambled", damagedDir(func(b []byte) []byte {
			for i := 8192; i < len(b); i++ {
				b[i] ^= 0x55
			}
			return b
		}), datafile.ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := Open(Options{Dir: c.dir, MaxSpool: 1 << 20})
			if err == nil {
				_ = h.Close()
				t.Fatal("got no error")
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %v", err)
			}
		})
	}
}
