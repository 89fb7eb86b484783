package hooks

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"signalbox/engine/datafile"
)

// TestHold takes a directory over from another process: nothing is delivered
// before, then what waited there, then what has come since, and what is not
// delivered is on the disk.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, text := t.TempDir(), file(hookTo(testURL), hookTo("http://second.test/"))
		old := run(t, text, Options{Client: &receiver{answer: always(0, errDown)}, Dir: dir})
		first := old.join("c", 0, 150)
		up := &receiver{}
		next := run(t, text, Options{Client: up, Dir: dir, Hold: true})
		since := next.join("c", 150, 130)
		time.Sleep(time.Second)
		if err := next.Attach(); !errors.Is(err, datafile.ErrInUse) {
			t.Fatalf("Attach while the old one is open: got %v, want ErrInUse", err)
		}
		if got := up.events(); len(got) != 0 {
			t.Fatalf("%d events were delivered before Attach", len(got))
		}
		old.stop()
		if err := next.Attach(); err != nil {
			t.Fatal(err)
		}
		last := next.join("c", 280, 20)
		time.Sleep(time.Second)
		synctest.Wait()
		want := append(append(append([]string{}, first...), since...), last...)
		for _, url := range []string{testURL, "http://second.test/"} {
			var got []string
			for _, r := range up.all() {
				if r.url == url {
					got = append(got, r.describe()...)
				}
			}
			expect(t, "events to "+url, got, want)
		}
		up.set(always(0, errDown))
		kept := next.join("c", 300, 10)
		next.stop()
		up = &receiver{}
		run(t, text, Options{Client: up, Dir: dir})
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, "events after a restart", up.events(), append(append([]string{}, kept...), kept...))
	})
}
