package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lockedBuffer is what two goroutines may write to.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // Guarded by mu.
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		log := slog.New(Sample(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
		lines := func(part string) int { return strings.Count(out.String(), part) }
		for range 50 {
			log.With("a", 1).WithGroup("g").Warn("flood", "b", 2)
		}
		for range 3 {
			log.Info("trickle")
		}
		for range maxDebug {
			log.Debug("detail")
		}
		if got := lines("msg=flood a=1 g.b=2"); got != maxRecords {
			t.Errorf("%d records of the flood, want %d", got, maxRecords)
		}
		if lines("msg=trickle") != 3 || lines("msg=detail") != maxDebug {
			t.Errorf("%d of 3 trickled, %d of %d details", lines("msg=trickle"), lines("msg=detail"), maxDebug)
		}
		time.Sleep(2 * time.Second) // the bubble's clock
		synctest.Wait()
		if !strings.HasSuffix(out.String(), `level=WARN msg="log records left out" message=flood records=30`+"\n") || lines("left out") != 1 {
			t.Error("the log does not end with what was left out")
		}
		log.Warn("flood")
		if got := lines("msg=flood"); got != maxRecords+1 {
			t.Errorf("%d records, want %d: the next second begins anew", got, maxRecords+1)
		}
		time.Sleep(2 * time.Second)
	})
}
