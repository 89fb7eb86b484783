package result

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample is a record with two kinds of rows.
func sample() *Record {
	r := &Record{
		Scenario: "fanout", Command: []string{"bench", "fanout"}, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Seconds: 1.5, Machine: Machine{"abc", "go1.26", "6.1", "A CPU", 4}, Params: map[string]string{},
	}
	r.Add(Row{}.Label("server", "signalbox").Label("subscribers", 100).Rounds("deliveries", "1/s", []float64{123456.7, 99}).Rounds("× floor", "", []float64{1.0512, 0.5, 1.5}))
	r.Add(Row{}.Label("server", "floor").Label("subscribers", 100).Figure("deliveries", "1/s", 99).Figure("extra", "µs", 0.12345))
	r.Add(Row{}.Label("what", "end").Figure("errors", "", 0))
	r.Note("a note of %d", 1)
	return r
}

func TestTable(t *testing.T) {
	var text strings.Builder
	r := sample()
	r.Partial = true
	if err := r.Table(&text); err != nil {
		t.Fatal(err)
	}
	want := `fanout · server of unknown commit · harness abc · go1.26 · A CPU, 4 cores · 6.1
     server  subscribers  deliveries [1/s]          × floor  extra [µs]
  signalbox          100             61778  1.05 (0.5–1.50)            
      floor          100                99                        0.123
  what  errors
   end       0
· a note of 1
· ended before it was done
`
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

func TestWriteAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "r.json")
	want := sample()
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCommit(t *testing.T) {
	const revision = "0123456789abcdef0123456789abcdef01234567"
	for _, tt := range []struct {
		name, revision, modified string
		want                     string
	}{
		{"clean", revision, "false", "0123456789ab"},
		{"changed", revision, "true", "0123456789ab-dirty"},
		{"not recorded", "", "", ""},
	} {
		info := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: tt.revision}, {Key: "vcs.modified", Value: tt.modified}}}
		if got := Commit(info); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestCheckout: where we happen to be is not what was measured, unless it is the
// module's own repository.
func TestCheckout(t *testing.T) {
	t.Chdir(t.TempDir())
	git := func(args ...string) {
		if out, err := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v: %s", args, err, out)
		}
	}
	git("init", "-q")
	for _, tt := range []struct {
		name, module string
		known        bool
	}{
		{"another's", "elsewhere", false},
		{"a name that begins alike", "signalbox/other", false},
		{"ours", "signalbox", true},
	} {
		if err := os.WriteFile("go.mod", []byte("module "+tt.module+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		git("add", "go.mod")
		git("commit", "-qm", tt.name)
		if got := Checkout(); (len(got) == 12) != tt.known || got == "" == tt.known {
			t.Errorf("%s: got %q, known: %t", tt.name, got, tt.known)
		}
	}
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("as it was"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string
		fault      bool
	}{
		{"new", filepath.Join(dir, "a", "b.json"), false},
		{"there already", file, false},
		{"a directory", dir, true},
		{"below a file", filepath.Join(file, "b.json"), true},
		{"a device", os.DevNull, true},
	} {
		if err := Writable(tt.path); (err != nil) != tt.fault {
			t.Errorf("%s: got %v, want an error: %t", tt.name, err, tt.fault)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "as it was" {
		t.Errorf("the file is %q now, %v", text, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*"+fresh)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.json")
	if err := (&Record{}).Write(empty); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, filepath.Join(dir, "none.json")} {
		if _, err := Read(path); err == nil {
			t.Errorf("%s: no error", filepath.Base(path))
		}
	}
}

func TestRedact(t *testing.T) {
	for _, tt := range []struct {
		name          string
		command, want []string
	}{
		{"none", []string{"bench", "idle"}, []string{"bench", "idle"}},
		{"apart", []string{"bench", "--sk-secret", "s3", "--json", "f"}, []string{"bench", "--sk-secret", "…", "--json", "f"}},
		{"in one", []string{"bench", "--sk-secret=s3"}, []string{"bench", "--sk-secret=…"}},
		{"an environment", []string{"bench", "--server-env", "SECRET=s3", "--server-env=SECRET=s3"}, []string{"bench", "--server-env", "…", "--server-env=…"}},
		{"last", []string{"bench", "--sk-secret"}, []string{"bench", "--sk-secret"}},
	} {
		if got := New("idle", tt.command).Command; !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRow(t *testing.T) {
	base := Row{}.Label("a", 1).Figure("x", "s", 2)
	one, two := base.Figure("y", "", 3), base.Figure("z", "", 4)
	if v, ok := one.Value("y"); !ok || v != 3 {
		t.Errorf("a row built on the same base has changed it: %v", one)
	}
	if _, ok := two.Value("y"); ok || two.Text("a") != "1" || two.Text("b") != "" {
		t.Errorf("got %v", two)
	}
	if row := base.Figure("n", "", math.NaN()).Figure("i", "", math.Inf(1)); len(row.Figures) != 1 {
		t.Errorf("what is no number is a figure: %v", row.Figures)
	}
}

// TestRounds: what is told of rounds can be reckoned anew from the record.
func TestRounds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   []Figure
	}{
		{"none", nil, nil},
		{"several", []float64{3, 1, 2}, []Figure{{"x", "s", 2, []float64{3, 1, 2}}}},
		{"one is no number", []float64{3, math.Inf(1), 2}, []Figure{{"x", "s", 3, nil}}},
		{"the median is none", []float64{math.NaN()}, nil},
	} {
		if got := (Row{}).Rounds("x", "s", tt.values); !reflect.DeepEqual(got.Figures, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got.Figures, tt.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"one", []float64{3}, 3},
		{"odd", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 3, 2}, 2.5},
	} {
		if got := Median(tt.values); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("none: got %v, want no number", got)
	}
}

func TestHasFigures(t *testing.T) {
	for _, tt := range []struct {
		name string
		rows []Row
		want bool
	}{
		{"no rows", nil, false},
		{"a row without", []Row{Row{}.Figure("x", "", 1), Row{}.Label("a", 1)}, false},
		{"all", []Row{Row{}.Figure("x", "", 1)}, true},
	} {
		if got := (&Record{Rows: tt.rows}).HasFigures(); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		value float64
		want  string
	}{
		{0, "0"}, {12, "12"}, {1234567.8, "1234568"}, {99.95, "100.0"}, {12.34, "12.3"}, {1.234, "1.23"}, {0.12345, "0.123"}, {-2.5, "-2.50"}, {0.00001234, "1.23e-05"},
	} {
		if got := Number(tt.value); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.value, got, tt.want)
		}
	}
}
