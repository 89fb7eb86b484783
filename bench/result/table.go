package result

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Table prints a record for people: a line a row, a column for each label and
// figure that any row has.
func (r *Record) Table(w io.Writer) error {
	fmt.Fprintf(w, "%s · %s · %s · %s, %d cores · %s\n", r.Scenario, orUnknown(r.Machine.Commit), r.Machine.Go, r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel)
	labels, figures := r.columns()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := make([]string, 0, len(labels)+len(figures))
	line = append(line, labels...)
	for _, f := range figures {
		line = append(line, heading(f))
	}
	fmt.Fprintln(t, strings.Join(line, "\t")+"\t")
	for _, row := range r.Rows {
		line = line[:0]
		for _, name := range labels {
			line = append(line, row.Text(name))
		}
		for _, f := range figures {
			cell := ""
			if i := slices.IndexFunc(row.Figures, func(g Figure) bool { return heading(g) == heading(f) }); i >= 0 {
				cell = Number(row.Figures[i].Value)
			}
			line = append(line, cell)
		}
		fmt.Fprintln(t, strings.Join(line, "\t")+"\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, note := range r.Notes {
		fmt.Fprintln(w, "·", note)
	}
	if r.Partial {
		fmt.Fprintln(w, "· ended before it was done")
	}
	return nil
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown commit"
	}
	return s
}

func heading(f Figure) string {
	if f.Unit == "" {
		return f.Name
	}
	return f.Name + " [" + f.Unit + "]"
}

// columns are the names of labels and the figures that occur, in the order of
// their first appearance.
func (r *Record) columns() (labels []string, figures []Figure) {
	seen := make(map[string]bool)
	for _, row := range r.Rows {
		for _, l := range row.Labels {
			if !seen["l"+l.Name] {
				seen["l"+l.Name] = true
				labels = append(labels, l.Name)
			}
		}
		for _, f := range row.Figures {
			if id := "f" + heading(f); !seen[id] {
				seen[id] = true
				figures = append(figures, f)
			}
		}
	}
	return labels, figures
}

// Number formats a value with three significant digits or all of its integer
// part, whichever is more.
func Number(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case v == math.Trunc(v) || abs >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case abs >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
