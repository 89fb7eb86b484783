package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"signalbox/bench/report"
	"signalbox/bench/result"
)

// reportCmd draws what scenarios have written with --json.
type reportCmd struct {
	Files []string `arg:"" type:"existingfile" placeholder:"FILE" help:"Raw results of scenarios."`
	Out   string   `placeholder:"FILE" default:"report.html" help:"The page to write (default: ${default})."`
	SVG   string   `name:"svg" placeholder:"DIR" help:"Also write each plot as a file of its own here."`

	Complete bool `help:"Fail if a run has ended early or has no figures."`
}

// Run draws.
func (c *reportCmd) Run(std *stdio) error {
	var records []*result.Record
	for _, path := range c.Files {
		r, err := result.Read(path)
		if err != nil {
			return err
		}
		if c.Complete && (r.Partial || !r.HasFigures()) {
			return fmt.Errorf("%s: the run has ended early or has no figures", path)
		}
		records = append(records, r)
	}
	if slices.Contains(c.Files, c.Out) {
		return fmt.Errorf("--out: %s is one of the records", c.Out)
	}
	var page bytes.Buffer // whole, before a file is replaced
	if err := report.Write(&page, records); err != nil {
		return err
	}
	if err := os.WriteFile(c.Out, page.Bytes(), 0o644); err != nil {
		return err
	}
	if c.SVG != "" {
		if err := c.plots(records); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(std.out, "%s: %d runs\n", c.Out, len(records))
	return err
}

// plots writes each plot as <run's file>-<n>.svg.
func (c *reportCmd) plots(records []*result.Record) error {
	if err := os.MkdirAll(c.SVG, 0o755); err != nil {
		return err
	}
	for i, r := range records {
		charts, err := report.Charts(r)
		if err != nil {
			return err
		}
		base := strings.TrimSuffix(filepath.Base(c.Files[i]), ".json")
		for n, chart := range charts {
			path := filepath.Join(c.SVG, fmt.Sprintf("%s-%d.svg", base, n+1))
			if err := os.WriteFile(path, chart.SVG, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
