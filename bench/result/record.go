package result

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Record is one run of a scenario: what was run, where, and what came out.
type Record struct {
	Scenario string            `json:"scenario"`
	Command  []string          `json:"command"`
	Started  time.Time         `json:"started"`
	Seconds  float64           `json:"seconds"`
	Machine  Machine           `json:"machine"`
	Server   string            `json:"server,omitempty"` // commit of the server measured, "" if not known
	Params   map[string]string `json:"params"`
	Rows     []Row             `json:"rows"`
	Notes    []string          `json:"notes,omitempty"`
	Partial  bool              `json:"partial,omitempty"` // ended before it was done
}

// Machine is where the load came from, and what made it.
type Machine struct {
	Commit string `json:"commit"` // of the harness, "" if not known
	Go     string `json:"go"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
}

// Row is what was measured under one set of conditions.
type Row struct {
	Labels  []Label  `json:"labels"`
	Figures []Figure `json:"figures"`
}

// Label is one condition.
type Label struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Figure is one measured value.
type Figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"` // "" for counts and ratios
	Value float64 `json:"value"`
	// Rounds are what each round has shown, if there were rounds: Value is their
	// median. Those of a ratio are of the same rounds as those of what it divides.
	Rounds []float64 `json:"rounds,omitempty"`
}

// Label adds a condition and returns the row.
func (r Row) Label(name string, value any) Row {
	r.Labels = append(slices.Clip(r.Labels), Label{name, fmt.Sprint(value)})
	return r
}

// Figure adds a measured value and returns the row. What is no number, such as
// the slope of a single point, was not measured and is left out.
func (r Row) Figure(name, unit string, value float64) Row {
	if noNumber(value) {
		return r
	}
	r.Figures = append(slices.Clip(r.Figures), Figure{Name: name, Unit: unit, Value: value})
	return r
}

// Rounds adds the median of what rounds have shown, and the rounds.
func (r Row) Rounds(name, unit string, values []float64) Row {
	row := r.Figure(name, unit, Median(values))
	if len(row.Figures) > len(r.Figures) && !slices.ContainsFunc(values, noNumber) { // JSON has no other
		row.Figures[len(row.Figures)-1].Rounds = slices.Clone(values)
	}
	return row
}

// Median is the middle of the values, NaN if there is none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

func noNumber(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }

// Value returns a figure by name.
func (r Row) Value(name string) (float64, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Value, true
		}
	}
	return 0, false
}

// Text returns a label by name, "" if there is none.
func (r Row) Text(name string) string {
	for _, l := range r.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// New begins a record. Secrets in the command line are left out.
func New(scenario string, command []string) *Record {
	return &Record{Scenario: scenario, Command: redact(command), Started: time.Now().UTC(), Machine: here(), Params: make(map[string]string)}
}

// redact replaces the values of flags that are or may hold secrets.
func redact(command []string) []string {
	shown := slices.Clone(command)
	for i, arg := range shown {
		switch name, _, assigned := strings.Cut(arg, "="); {
		case name != "--sk-secret" && name != "--server-env":
		case assigned:
			shown[i] = name + "=…"
		case i+1 < len(shown):
			shown[i+1] = "…"
		}
	}
	return shown
}

func here() Machine {
	m := Machine{Go: runtime.Version(), Cores: runtime.NumCPU(), CPU: cpuModel()}
	if info, ok := debug.ReadBuildInfo(); ok {
		m.Commit = cmp.Or(Commit(info), Checkout())
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	return m
}

// Commit is the one that a Go program was built from, with "-dirty" behind it if
// files had changed; "" if its build recorded none.
func Commit(info *debug.BuildInfo) string {
	settings := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	commit := fmt.Sprintf("%.12s", settings["vcs.revision"])
	if commit != "" && settings["vcs.modified"] == "true" {
		commit += dirty
	}
	return commit
}

const dirty = "-dirty"

// Checkout is the commit of this module's repository that we are in, "" if we are
// in none or in another's: of what is built here, for which go run, unlike go
// build, records none.
func Checkout() string {
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "go.mod"))
	if err != nil || !bytes.HasPrefix(text, []byte("module signalbox\n")) {
		return ""
	}
	out, err := exec.Command("git", "describe", "--always", "--exclude=*", "--dirty="+dirty, "--abbrev=12").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range bytes.Lines(text) {
		if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// Add appends a row.
func (r *Record) Add(row Row) { r.Rows = append(r.Rows, row) }

// HasFigures reports whether every row has some.
func (r *Record) HasFigures() bool {
	return len(r.Rows) > 0 && !slices.ContainsFunc(r.Rows, func(row Row) bool { return len(row.Figures) == 0 })
}

// Note adds a remark that belongs to the figures.
func (r *Record) Note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Writable tells whether a record can be written to a path, before there is one.
// Directories on the way are made.
func Writable(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: no regular file", path) // the rename would replace it, or fail
	}
	if err := os.WriteFile(path+fresh, nil, 0o644); err != nil {
		return err
	}
	return os.Remove(path + fresh)
}

// fresh is the end of a file's name until it is whole.
const fresh = ".new"

// Write writes the record as JSON, replacing the file at once. Directories on
// the way are made.
func (r *Record) Write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := Writable(path); err != nil {
		return err
	}
	if err := os.WriteFile(path+fresh, append(text, '\n'), 0o644); err != nil {
		return errors.Join(err, os.Remove(path+fresh))
	}
	return os.Rename(path+fresh, path)
}

// Read reads a record.
func Read(path string) (*Record, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Record{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Scenario == "" {
		return nil, fmt.Errorf("%s: no record of a scenario", path)
	}
	return r, nil
}
