package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"signalbox/bench/result"
)

func TestSimCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sim.json")
	var out, errs bytes.Buffer
	args := []string{"sim", "--sessions", "20,40", "--subscribers", "10", "--for", "10ms", "--rounds", "1", "--write-cost", "0s", "--json", file}
	if code := run(t.Context(), args, &stdio{out: &out, err: &errs}); code != 0 {
		t.Fatalf("the exit status is %d, want 0: %s", code, &errs)
	}
	record, err := result.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if record.Partial {
		t.Error("the record says that the run ended early")
	}
	for _, section := range []string{"sessions", "fanout", "roster", "scale"} {
		if !strings.Contains(out.String(), section) {
			t.Errorf("the table has no section %s: %s", section, &out)
		}
	}
}

func TestSimCommandRefuses(t *testing.T) {
	tests := []struct{ name, flag, want string }{
		{"falling sessions", "--sessions=20,10", "--sessions"},
		{"a lone session", "--sessions=1", "--sessions"},
		{"no loop", "--loops=0", "--loops"},
		{"more loops than a hub takes", "--loops=65", "--loops"},
		{"nothing in flight", "--in-flight=0", "--in-flight"},
		{"a loop without subscribers", "--subscribers=1", "--subscribers"},
		{"a negative cost", "--write-cost=-1s", "--write-cost"},
		{"no time", "--for=0s", "--for"},
		{"an unknown section", "--section=all", "--section"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(t.Context(), []string{"sim", tt.flag}, &stdio{out: &out, err: &errs}); code != 1 {
				t.Errorf("the exit status is %d, want 1", code)
			}
			if !strings.Contains(errs.String(), tt.want) {
				t.Errorf("the error is %q, want it to name %s", &errs, tt.want)
			}
		})
	}
}
