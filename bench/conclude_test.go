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
)

func TestConclude(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	missed := fmt.Errorf("3 of 4 rosters are right: %w", context.DeadlineExceeded)
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		rows    int
		err     error
		partial bool
		note    string // "" for none
		want    string // in the error, "" for none
	}{
		{"done", t.Context(), 1, nil, false, "", ""},
		{"done as the signal came", ended, 1, nil, false, "", ""},
		{"a signal", ended, 1, fmt.Errorf("connect: %w", context.Canceled), true, "", ""},
		{"a signal before the first row", ended, 0, context.Canceled, true, "", "before anything was measured"},
		{"a limit of its own", t.Context(), 1, missed, true, "failed: 3 of 4", "3 of 4"},
		{"the same before the first row", t.Context(), 0, missed, true, "failed: 3 of 4", "3 of 4"},
		{"a loss before the signal", ended, 1, errors.Join(context.Canceled, load.ErrLost), true, "failed: ", "lost"},
		{"a gap before the signal", ended, 1, errors.Join(context.Canceled, load.Phase{Missing: 1}.Complete()), true, "failed: ", "1 of 1"},
		{"a fault", t.Context(), 1, errors.New("no such thing"), true, "failed: no such thing", "no such thing"},
		{"a fault as the signal came", ended, 1, errors.New("no such thing"), true, "failed: no such thing", "no such thing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := result.New("connect", nil)
			for range tt.rows {
				r.Add(result.Row{}.Figure("x", "", 1))
			}
			path := filepath.Join(t.TempDir(), "r.json")
			err := conclude(tt.ctx, r, path, tt.err, &stdio{out: io.Discard, err: io.Discard})
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
