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

// Table prints a record for people: a line a row, and a table for each run of
// rows that have the same labels.
func (r *Record) Table(w io.Writer) error {
	fmt.Fprintf(w, "%s · server %s · harness %s · %s · %s, %d cores · %s\n", r.Scenario, orUnknown(r.Server), orUnknown(r.Machine.Commit), r.Machine.Go, r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel)
	for start, end := 0, 0; start < len(r.Rows); start = end {
		for end = start + 1; end < len(r.Rows) && sameLabels(r.Rows[start], r.Rows[end]); end++ {
		}
		if err := table(w, r.Rows[start:end]); err != nil {
			return err
		}
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
		return "of unknown commit"
	}
	return s
}

func heading(f Figure) string {
	if f.Unit == "" {
		return f.Name
	}
	return f.Name + " [" + f.Unit + "]"
}

// sameLabels reports whether two rows belong into one table.
func sameLabels(a, b Row) bool {
	return slices.EqualFunc(a.Labels, b.Labels, func(x, y Label) bool { return x.Name == y.Name })
}

// table prints rows of the same labels.
func table(w io.Writer, rows []Row) error {
	figures := columns(rows)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	var line []string
	for _, l := range rows[0].Labels {
		line = append(line, l.Name)
	}
	for _, f := range figures {
		line = append(line, heading(f))
	}
	fmt.Fprintln(t, strings.Join(line, "\t")+"\t")
	for _, row := range rows {
		line = line[:0]
		for _, l := range row.Labels {
			line = append(line, l.Value)
		}
		for _, f := range figures {
			cell := ""
			if i := slices.IndexFunc(row.Figures, func(g Figure) bool { return heading(g) == heading(f) }); i >= 0 {
				cell = row.Figures[i].cell()
			}
			line = append(line, cell)
		}
		fmt.Fprintln(t, strings.Join(line, "\t")+"\t")
	}
	return t.Flush()
}

// cell is the value and, of a ratio, the least and the most of the rounds: one
// that rests on few of them is worth no more than these say.
func (f Figure) cell() string {
	if f.Unit != "" || len(f.Rounds) < 2 {
		return Number(f.Value)
	}
	return fmt.Sprintf("%s (%s–%s)", Number(f.Value), Number(slices.Min(f.Rounds)), Number(slices.Max(f.Rounds)))
}

// columns are the figures that occur, in the order of their first appearance.
func columns(rows []Row) (figures []Figure) {
	seen := make(map[string]bool)
	for _, row := range rows {
		for _, f := range row.Figures {
			if !seen[heading(f)] {
				seen[heading(f)] = true
				figures = append(figures, f)
			}
		}
	}
	return figures
}

// Number formats a value with three significant digits or all of its integer
// part, whichever is more.
func Number(v float64) string {
	switch abs := math.Abs(v); {
	case v == math.Trunc(v) || abs >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case abs >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
