package main

import (
	"encoding/json"
	"testing"
	"time"
)

func TestClaimTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		claim any
		want  string
	}{
		"absent":            {nil, "absent"},
		"now":               {json.Number("1767323045"), "2026-01-02T03:04:05Z (now)"},
		"past":              {json.Number("1767322985"), "2026-01-02T03:03:05Z (1m0s ago)"},
		"future":            {json.Number("1767326645"), "2026-01-02T04:04:05Z (in 1h0m0s)"},
		"fraction":          {json.Number("1767323105.9"), "2026-01-02T03:05:05Z (in 1m0s)"},
		"before 1970":       {json.Number("-1"), `"-1"`},
		"after 9999":        {json.Number("253402300800"), `"253402300800"`},
		"beyond all floats": {json.Number("1e999"), `"1e999"`},
		"no number":         {"tomorrow", `"tomorrow"`},
		"list":              {[]any{"a", nil}, `["a", absent]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := claimTime(c.claim, now); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
