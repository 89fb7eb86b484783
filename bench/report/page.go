package report

import (
	"bytes"
	_ "embed"
	"html/template"
	"io"
	"strings"
	"time"

	"signalbox/bench/result"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// section is one record on the page.
type section struct {
	*result.Record
	CommandLine string
	When        string
	Took        time.Duration
	Tables      string
	Charts      []template.HTML
}

// Write writes a page with the records, in their order.
func Write(w io.Writer, records []*result.Record) error {
	var sections []section
	for _, r := range records {
		charts, err := Charts(r)
		if err != nil {
			return err
		}
		var tables bytes.Buffer
		if err := r.Table(&tables); err != nil {
			return err
		}
		s := section{
			Record:      r,
			CommandLine: strings.Join(r.Command, " "),
			When:        r.Started.Format(time.DateTime) + " UTC",
			Took:        time.Duration(r.Seconds * float64(time.Second)).Round(time.Second),
			Tables:      tables.String(),
		}
		for _, c := range charts {
			// The plotting library has escaped what is text in it.
			s.Charts = append(s.Charts, template.HTML(c.SVG))
		}
		sections = append(sections, s)
	}
	return page.Execute(w, sections)
}
