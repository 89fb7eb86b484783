package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"signalbox/bench/load"
	"signalbox/bench/result"
)

// conclude writes a record, as tables and, if path is given, as JSON. err is what
// ended the scenario, and cut is the signal or the timeout, if there had been one by
// then. If that was the end, what there is so far is the result. A limit of the
// scenario's own that was missed is a failure: the figures are those of a server that
// did not do its work. So are connections that were lost, and what was sent and has
// not come, before the signal.
func conclude(cut error, record *result.Record, path string, err error, std *stdio) error {
	record.Seconds = time.Since(record.Started).Seconds()
	switch {
	case err == nil:
	case cut != nil && errors.Is(err, cut) && !errors.Is(err, load.ErrLost) && !errors.Is(err, load.ErrMissing):
		record.Partial = true
		if len(record.Rows) == 0 {
			return fmt.Errorf("ended before anything was measured: %w", err)
		}
		err = nil
	default:
		record.Partial = true
		record.Note("failed: %s", err)
	}
	if len(record.Rows) == 0 {
		return err
	}
	err = errors.Join(err, tables(std.out, record))
	if path != "" {
		err = errors.Join(err, record.Write(path))
	}
	return err
}

// tables prints a record with a table for each section: they have few figures
// in common.
func tables(w io.Writer, record *result.Record) error {
	var sections []string
	rows := make(map[string][]result.Row)
	for _, row := range record.Rows {
		name := row.Text("section")
		if rows[name] == nil {
			sections = append(sections, name)
		}
		rows[name] = append(rows[name], row)
	}
	for i, name := range sections {
		part := *record
		part.Rows = rows[name]
		if i < len(sections)-1 { // they belong to the end
			part.Notes, part.Partial = nil, false
		}
		var text bytes.Buffer
		if err := part.Table(&text); err != nil {
			return err
		}
		if i > 0 { // its heading is the same as the first's
			_, _ = text.ReadString('\n')
			fmt.Fprintln(w)
		}
		if _, err := text.WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}
