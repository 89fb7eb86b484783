package report

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"signalbox/bench/result"
)

// point is one measured point of a line, or one bar.
type point struct{ x, y float64 }

// series is a line with its points, the bars of one colour.
type series struct {
	name   string
	points []point
}

// percentileNames are the figures that a percentile plot shows, in order.
var percentileNames = []string{"p50", "p90", "p99", "p99.9", "max"}

// percentiles has a line for each row that has them; x counts percentileNames.
func percentiles(rows []result.Row) (lines []series) {
	for _, row := range rows {
		s := series{name: labels(row)}
		for i, name := range percentileNames {
			at := slices.IndexFunc(row.Figures, func(f result.Figure) bool { return f.Name == name && f.Unit == "ms" })
			if at >= 0 {
				s.points = append(s.points, point{float64(i), row.Figures[at].Value})
			}
		}
		if len(s.points) > 1 {
			lines = append(lines, s)
		}
	}
	return lines
}

// against has the points of a figure over the label x, a line for each set of
// the other labels.
func against(rows []result.Row, x string, figure, unit string) (lines []series) {
	for _, row := range rows {
		at, ok := number(row.Text(x))
		i := slices.IndexFunc(row.Figures, func(f result.Figure) bool { return f.Name == figure && f.Unit == unit })
		if !ok || i < 0 {
			continue
		}
		lines = addPoint(lines, labels(row, x), point{at, row.Figures[i].Value})
	}
	return lines
}

// addPoint adds a point to the line of that name.
func addPoint(lines []series, name string, p point) []series {
	i := slices.IndexFunc(lines, func(s series) bool { return s.name == name })
	if i < 0 {
		i = len(lines)
		lines = append(lines, series{name: name})
	}
	lines[i].points = append(lines[i].points, p)
	return lines
}

// labels names a row by its labels but for those left out.
func labels(row result.Row, without ...string) string {
	var parts []string
	for _, l := range row.Labels {
		switch {
		case slices.Contains(without, l.Name):
		case l.Name == "server" || l.Name == "load" || l.Name == "way" || l.Name == "storm" || l.Name == "event":
			parts = append(parts, l.Value)
		default:
			parts = append(parts, l.Value+" "+l.Name)
		}
	}
	return strings.Join(parts, ", ")
}

// number reads a label that is a number or a time; a time counts in seconds.
func number(text string) (float64, bool) {
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		return v, true
	}
	d, err := time.ParseDuration(text)
	return d.Seconds(), err == nil
}

// sideBySide has bars of a figure for each server, a colour for each set of the
// other labels, and the servers' names by x.
func sideBySide(rows []result.Row, figure, unit string) (bars []series, servers []string) {
	for _, row := range rows {
		i := slices.IndexFunc(row.Figures, func(f result.Figure) bool { return f.Name == figure && f.Unit == unit })
		name := row.Text("server")
		if i < 0 || name == "" {
			continue
		}
		at := slices.Index(servers, name)
		if at < 0 {
			at = len(servers)
			servers = append(servers, name)
		}
		bars = addPoint(bars, labels(row, "server", "run"), point{float64(at), row.Figures[i].Value})
	}
	return bars, servers
}
