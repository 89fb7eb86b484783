package main

import (
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "signalbox" // the module path

// confined are the libraries that one package alone sees, by their paths.
var confined = map[string]string{
	"github.com/panjf2000/gnet": "engine/reactor",
	"github.com/nats-io":        "engine/cluster",
}

// layer is the height of a package of this module, by its path below the
// module: a package may import lower ones, and its own layer where siblings
// is set (the compiler refuses cycles).
type layer struct {
	pattern  string // as in path.Match
	height   int
	siblings bool
}

// layers are all there are: cmd → engine → engine/* → protocol. The load
// generator stands beside the server and sees only the wire, but for sim.
var layers = []layer{
	{"cmd/*", 4, false},
	{"cmd/*/*", 4, false},
	{"bench/sim", 4, false},
	{"engine", 3, false},
	{"engine/*", 2, true},
	{"bench", 5, false},
	{"bench/*", 2, true},
	{"protocol/*", 1, false},
	{"protocol", 0, false},
}

func layerOf(t testing.TB, pkg string) layer {
	t.Helper()
	for _, l := range layers {
		if ok, err := path.Match(l.pattern, pkg); err != nil {
			t.Fatal(err)
		} else if ok {
			return l
		}
	}
	t.Errorf("package %s is in no layer", pkg)
	return layer{}
}

// listed runs go list over the module and returns its lines.
func listed(t testing.TB, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// imports are the direct imports of every package of this module that the
// module's packages depend on.
func imports(t testing.TB) map[string][]string {
	t.Helper()
	edges := make(map[string][]string)
	for _, line := range listed(t, "-deps", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...") {
		pkgs := strings.Fields(line)
		if pkg, ok := strings.CutPrefix(pkgs[0], module+"/"); ok {
			edges[pkg] = pkgs[1:]
		}
	}
	if len(edges) == 0 {
		t.Fatal("go list found no package of the module")
	}
	return edges
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for pkg, imported := range imports(t) {
		from := layerOf(t, pkg)
		bench := strings.HasPrefix(pkg, "bench") && pkg != "bench/sim"
		for _, target := range imported {
			target, ours := strings.CutPrefix(target, module+"/")
			if !ours {
				continue
			}
			to := layerOf(t, target)
			down := to.height < from.height || to.pattern == from.pattern && from.siblings
			if bench && strings.HasPrefix(target, "engine") {
				down = false
			}
			if !down {
				t.Errorf("%s imports %s, which is not below it", pkg, target)
			}
		}
	}
}

func TestLibrariesAreConfined(t *testing.T) {
	t.Parallel()
	for pkg, imported := range imports(t) {
		for library, owner := range confined {
			uses := slices.ContainsFunc(imported, func(target string) bool { return strings.HasPrefix(target, library+"/") })
			if uses != (pkg == owner) {
				t.Errorf("%s imports %s: %t; it is for %s alone", pkg, library, uses, owner)
			}
		}
	}
}

func TestProtocolDoesNoIO(t *testing.T) {
	t.Parallel()
	for pkg, imported := range imports(t) {
		if pkg != "protocol" && !strings.HasPrefix(pkg, "protocol/") {
			continue
		}
		for _, io := range []string{"io/fs", "net", "net/http", "os", "syscall", "golang.org/x/sys/unix"} {
			if slices.Contains(imported, io) {
				t.Errorf("%s imports %s", pkg, io)
			}
		}
	}
}
