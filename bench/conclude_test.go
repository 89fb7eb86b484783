package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"signalbox/bench/load"
	"signalbox/bench/result"
	"signalbox/bench/target"
)

func TestConclude(t *testing.T) {
	missed := fmt.Errorf("3 of 4 rosters are right: %w", context.DeadlineExceeded)
	for _, tt := range []struct {
		name    string
		cut     error
		rows    int
		err     error
		partial bool
		note    string // "" for none
		want    string // in the error, "" for none
	}{
		{"done", nil, 1, nil, false, "", ""},
		{"done as the signal came", context.Canceled, 1, nil, false, "", ""},
		{"a signal", context.Canceled, 1, fmt.Errorf("connect: %w", context.Canceled), true, "", ""},
		{"a signal before the first row", context.Canceled, 0, context.Canceled, true, "", "before anything was measured"},
		{"a limit of its own", nil, 1, missed, true, "failed: 3 of 4", "3 of 4"},
		{"the same before the first row", nil, 0, missed, true, "failed: 3 of 4", "3 of 4"},
		{"a loss before the signal", context.Canceled, 1, errors.Join(context.Canceled, load.ErrLost), true, "failed: ", "lost"},
		{"a gap before the signal", context.Canceled, 1, errors.Join(context.Canceled, load.Phase{Missing: 1}.Complete()), true, "failed: ", "1 of 1"},
		{"a fault", nil, 1, errors.New("no such thing"), true, "failed: no such thing", "no such thing"},
		{"a fault as the signal came", context.Canceled, 1, errors.New("no such thing"), true, "failed: no such thing", "no such thing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := result.New("connect", nil)
			for range tt.rows {
				r.Add(result.Row{}.Figure("x", "", 1))
			}
			path := filepath.Join(t.TempDir(), "r.json")
			err := conclude(tt.cut, r, path, tt.err, &stdio{out: io.Discard, err: io.Discard})
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if notes := strings.Join(r.Notes, " "); r.Partial != tt.partial || (notes == "") != (tt.note == "") || !strings.Contains(notes, tt.note) {
				t.Errorf("got partial %t, notes %q, want %t, %q", r.Partial, notes, tt.partial, tt.note)
			}
			if _, err := result.Read(path); (err == nil) != (tt.rows > 0) {
				t.Errorf("got %v from reading the record", err)
			}
		})
	}
}

// whileItRuns is a context whose time is up when the process has ended.
type whileItRuns struct {
	context.Context
	process *target.Process
}

func (w whileItRuns) Err() error {
	if _, err := w.process.CPU(); err != nil {
		return context.DeadlineExceeded
	}
	return nil
}

// TestTimeoutWhileStopping: a limit that was missed is not taken for the timeout if
// that passes while servers are stopped.
func TestTimeoutWhileStopping(t *testing.T) {
	h, err := newHarness("connect", &commonFlags{targetFlags: targetFlags{Loops: 1}}, &stdio{out: io.Discard, err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	bare, err := h.floor(t.Context())
	if err != nil {
		t.Fatal(errors.Join(err, h.close()))
	}
	h.record.Add(result.Row{}.Figure("x", "", 1))
	missed := fmt.Errorf("3 of 4 rosters are right: %w", context.DeadlineExceeded)
	if err := h.finish(whileItRuns{t.Context(), bare.Process}, missed); !errors.Is(err, missed) {
		t.Errorf("got %v, want %v", err, missed)
	}
}
