package report

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"signalbox/bench/result"
)

// Chart is one plot.
type Chart struct {
	Title string
	SVG   []byte
}

// kind is a form of chart.
type kind struct {
	title        string
	x            string // label on the axis, "" for the servers or percentiles
	figure, unit string
	logX, logY   bool
}

// lineKinds are the lines that a record may have, by scenario.
var lineKinds = map[string][]kind{
	"fanout": {
		{title: "Throughput against subscribers", x: "subscribers", figure: "deliveries", unit: "1/s", logX: true, logY: true},
		{title: "Server CPU a delivery against subscribers", x: "subscribers", figure: "CPU a delivery", unit: "µs", logX: true, logY: true},
	},
	"idle": {
		{title: "Memory in user space against connections", x: "connections", figure: "PSS", unit: "MiB"},
		{title: "Memory in the kernel against connections", x: "connections", figure: "kernel, both ends", unit: "MiB"},
	},
	"presence": {
		{title: "Presence frames for each join or leave", x: "peers", figure: "frames each", logX: true},
		{title: "Bytes of presence", x: "peers", figure: "bytes", unit: "MB", logX: true, logY: true},
	},
	"sim": {
		{title: "Heap a session", x: "sessions", figure: "heap", unit: "B/session", logX: true},
		{title: "CPU a sweep of one loop", x: "sessions", figure: "CPU a sweep of one loop", unit: "µs", logX: true, logY: true},
		{title: "GC CPU a cycle", x: "sessions", figure: "GC CPU a cycle", unit: "ms", logX: true, logY: true},
	},
	"cluster": {
		{title: "CPU a delivery, all nodes", x: "nodes", figure: "CPU a delivery", unit: "µs"},
		{title: "CPU a message, all nodes", x: "nodes", figure: "CPU a message", unit: "µs"},
		{title: "NATS' CPU a message", x: "nodes", figure: "NATS CPU a message", unit: "µs"},
		{title: "Medians of what goes between nodes", x: "nodes", figure: "p50", unit: "ms"},
		{title: "CPU of a node at rest", x: "nodes at rest", figure: "CPU a node", unit: "ms/s"},
		{title: "CPU a connect of the node that has it", x: "nodes", figure: "its node", unit: "µs"},
		{title: "CPU a connect of each other node", x: "nodes", figure: "each other node", unit: "µs"},
		{title: "Memory of a node against all nodes' connections", x: "connections", figure: "PSS a node", unit: "MiB"},
		{title: "Memory of NATS against all nodes' connections", x: "connections", figure: "NATS PSS", unit: "MiB"},
	},
	"soak": {
		{title: "Memory over time", x: "after", figure: "PSS", unit: "MiB"},
		{title: "Deliveries over time", x: "after", figure: "deliveries", unit: "1/s"},
	},
}

// barKinds are the bars that set servers side by side.
var barKinds = map[string][]kind{
	"peers": {
		{title: "Server CPU a delivery", figure: "CPU a delivery", unit: "µs"},
		{title: "Deliveries", figure: "deliveries", unit: "1/s"},
		{title: "Server CPU a connect", figure: "CPU a connect", unit: "µs"},
		{title: "Heap and stacks an idle connection", figure: "heap and stacks", unit: "B/conn"},
	},
}

const (
	chartWidth  = 18 * vg.Centimeter
	chartHeight = 10 * vg.Centimeter
	barsWidth   = 14 * vg.Millimeter // all bars of one server
)

// Charts draws what a record has.
func Charts(r *result.Record) ([]Chart, error) {
	var charts []Chart
	add := func(title string, p *plot.Plot, err error) error {
		if err != nil || p == nil {
			return err
		}
		p.Title.Text = title
		svg, err := render(p)
		charts = append(charts, Chart{title, svg})
		return err
	}
	if !slices.ContainsFunc(lineKinds[r.Scenario], func(k kind) bool { return k.figure == percentileNames[0] }) {
		p, err := percentilePlot(percentiles(r.Rows))
		if err := add("Latency percentiles", p, err); err != nil {
			return nil, err
		}
	}
	for _, k := range lineKinds[r.Scenario] {
		p, err := linePlot(k, against(r.Rows, k.x, k.figure, k.unit))
		if err := add(k.title, p, err); err != nil {
			return nil, err
		}
	}
	for _, k := range barKinds[r.Scenario] {
		bars, servers := sideBySide(r.Rows, k.figure, k.unit)
		p, err := barPlot(k, bars, servers)
		if err := add(k.title, p, err); err != nil {
			return nil, err
		}
	}
	return charts, nil
}

// render returns the plot's svg element.
func render(p *plot.Plot) ([]byte, error) {
	w, err := p.WriterTo(chartWidth, chartHeight, "svg")
	if err != nil {
		return nil, err
	}
	var svg bytes.Buffer
	if _, err := w.WriteTo(&svg); err != nil {
		return nil, err
	}
	start := bytes.Index(svg.Bytes(), []byte("<svg"))
	if start < 0 {
		return nil, fmt.Errorf("report: the plot is no svg")
	}
	return svg.Bytes()[start:], nil
}

// percentilePlot is nil if there is nothing to draw.
func percentilePlot(lines []series) (*plot.Plot, error) {
	p := plot.New()
	p.Y.Label.Text = "ms"
	logarithmic(&p.Y)
	p.NominalX(percentileNames...)
	return p, addLines(&p, lines, false, true)
}

// linePlot is nil if there is nothing to draw.
func linePlot(k kind, lines []series) (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = k.x, axis(k)
	if k.logX {
		logarithmic(&p.X)
	}
	if k.logY {
		logarithmic(&p.Y)
	}
	return p, addLines(&p, lines, k.logX, k.logY)
}

func axis(k kind) string {
	if k.unit == "" {
		return k.figure
	}
	return k.figure + " [" + k.unit + "]"
}

func logarithmic(a *plot.Axis) {
	a.Scale = plot.LogScale{}
	a.Tick.Marker = plot.TickerFunc(logTicks)
}

// logTicks are at 1, 2 and 5 of each decade, so that an axis of less than one
// has some too; over many decades only the decades have their number.
func logTicks(least, most float64) (ticks []plot.Tick) {
	if least <= 0 || most < least {
		return nil
	}
	first, last := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	for exp := first; exp <= last; exp++ {
		for _, step := range []float64{1, 2, 5} {
			at := step * math.Pow(10, exp)
			if at < least || at > most {
				continue
			}
			tick := plot.Tick{Value: at}
			if step == 1 || last-first <= fewDecades {
				tick.Label = short(at)
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// short writes thousands as k and millions as M.
func short(v float64) string {
	suffix := ""
	switch {
	case v >= 1e6:
		v, suffix = v/1e6, "M"
	case v >= 1e3:
		v, suffix = v/1e3, "k"
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + suffix
}

// fewDecades is over how many decades all ticks have their number.
const fewDecades = 3

// addLines draws the lines, and sets *p to nil if there are none.
func addLines(p **plot.Plot, lines []series, logX, logY bool) error {
	drawn := 0
	for _, s := range lines {
		var xys plotter.XYs
		for _, at := range s.points {
			if (!logX || at.x > 0) && (!logY || at.y > 0) {
				xys = append(xys, plotter.XY{X: at.x, Y: at.y})
			}
		}
		if len(xys) == 0 {
			continue
		}
		line, marks, err := plotter.NewLinePoints(xys)
		if err != nil {
			return err
		}
		line.Color, line.Dashes = plotutil.Color(drawn), plotutil.Dashes(drawn/7)
		marks.Color, marks.Shape = line.Color, plotutil.Shape(drawn)
		(*p).Add(line, marks)
		(*p).Legend.Add(s.name, line, marks)
		drawn++
	}
	if drawn == 0 {
		*p = nil
		return nil
	}
	finish(*p, drawn)
	return nil
}

// finish sets what all plots share. The legend has so many lines.
func finish(p *plot.Plot, legendLines int) {
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.TextStyle.Font.Size = 8
	// A logarithmic axis needs some extent, and none of it at zero.
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		if a.Min == a.Max {
			a.Min, a.Max = a.Min*0.9, a.Max*1.1
		}
		if a.Min == a.Max {
			a.Max = a.Min + 1
		}
	}
	lines := min(float64(legendLines)/chartLines, 0.5)
	extend(&p.Y, lines)
	extend(&p.X, rightMargin)
}

const (
	// chartLines is how many lines of the legend a plot is high.
	chartLines = 24
	// rightMargin is the share of a plot's width that the last number needs.
	rightMargin = 0.03
)

// extend makes room at the axis's end, as a share of its new length.
func extend(a *plot.Axis, share float64) {
	more := share / (1 - share)
	if _, ok := a.Scale.(plot.LogScale); ok {
		a.Max *= math.Pow(a.Max/a.Min, more)
	} else {
		a.Max += (a.Max - a.Min) * more
	}
}

// barPlot is nil if there is nothing to draw.
func barPlot(k kind, bars []series, servers []string) (*plot.Plot, error) {
	if len(bars) == 0 {
		return nil, nil
	}
	p := plot.New()
	p.Y.Label.Text = axis(k)
	p.Y.Min = 0
	width := barsWidth / vg.Length(len(bars))
	for i, s := range bars {
		values := make(plotter.Values, len(servers))
		for _, at := range s.points {
			values[int(at.x)] = at.y
		}
		chart, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, err
		}
		chart.Color = plotutil.Color(i)
		chart.LineStyle.Width = 0
		chart.Offset = width * (vg.Length(i) - vg.Length(len(bars)-1)/2)
		p.Add(chart)
		p.Legend.Add(s.name, chart)
	}
	p.NominalX(servers...)
	finish(p, len(bars))
	return p, nil
}
