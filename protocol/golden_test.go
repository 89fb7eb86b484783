package protocol

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// vector is one case of a file in testdata: a name, an input after '>', which
// may be absent, and an output after '<'.
type vector struct{ name, in, out string }

// readVectors reads the cases of a file in testdata.
func readVectors(tb testing.TB, file string) []vector {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		tb.Fatal(err)
	}
	var vectors []vector
	seen := map[string]bool{}
	for i, line := range strings.Split(string(text), "\n") {
		mark, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || mark == "#":
			continue
		case mark == "=" && !seen[rest]:
			vectors, seen[rest] = append(vectors, vector{name: rest}), true
			continue
		case mark == "=" || len(vectors) == 0:
			tb.Fatalf("testdata/%s:%d: name missing or used twice", file, i+1)
		}
		v := &vectors[len(vectors)-1]
		switch mark {
		case ">":
			v.in = rest
		case ">>":
			if v.in, err = strconv.Unquote(rest); err != nil {
				tb.Fatalf("testdata/%s:%d: %v", file, i+1, err)
			}
		case "<":
			v.out = rest
		default:
			tb.Fatalf("testdata/%s:%d: unknown mark %q", file, i+1, mark)
		}
	}
	return vectors
}
