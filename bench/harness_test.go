package main

import (
	"io"
	"strings"
	"testing"

	"signalbox/bench/result"
	"signalbox/bench/target"
)

// TestCoresThatAreNotListed: where /proc/stat lacks the cores that we have, all is
// measured but for what others take of them.
func TestCoresThatAreNotListed(t *testing.T) {
	cores, err := target.Cores()
	if err != nil {
		t.Fatal(err)
	}
	const none = 1 << 20
	for _, tt := range []struct {
		name           string
		server, client []int
		note           string
	}{
		{"all are listed", cores[:1], cores[1:], ""},
		{"the server's are not", []int{none}, cores, "not measured: target: /proc/stat has"},
		{"the client's are not", cores, []int{none}, "not measured: target: /proc/stat has"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := newHarness("connect", &commonFlags{targetFlags: targetFlags{Loops: 1}}, &stdio{out: io.Discard, err: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = h.close() }()
			h.record.Notes, h.serverCores, h.clientCores = nil, tt.server, tt.client
			h.count()
			if notes := strings.Join(h.record.Notes, " "); (notes == "") != (tt.note == "") || !strings.Contains(notes, tt.note) {
				t.Errorf("got notes %q, want %q", notes, tt.note)
			}
			end, err := h.meter(&target.Target{}).Span()
			if err != nil {
				t.Fatal(err)
			}
			s, err := end()
			if err != nil {
				t.Fatal(err)
			}
			row := h.loads(result.Row{}, true, s)
			if _, ok := row.Value("client core"); !ok {
				t.Errorf("got %v, want what the client used", row)
			}
			if _, ok := row.Value("others there"); ok != (tt.note == "") {
				t.Errorf("what others took is told: %t, want %t", ok, tt.note == "")
			}
		})
	}
}
