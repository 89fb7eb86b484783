package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// redrawEvery is the time between two states of the line on a terminal.
	redrawEvery = 200 * time.Millisecond
	// logEvery is the time between two lines where there is no terminal.
	logEvery = 10 * time.Second
)

// progress tells on stderr how far work is: a line that is redrawn on a
// terminal, a line now and then elsewhere. It is for one goroutine.
type progress struct {
	w        io.Writer
	terminal bool
	what     string
	waits    bool          // there are no steps, but an end that may come before length
	total    int           // steps there are, 0: unknown
	length   time.Duration // of the work, 0: until total
	start    time.Time
	shown    time.Time
	width    int // of the line on the terminal
}

// newProgress tells of work of total steps, or of any number of steps within
// length.
func newProgress(std *stdio, what string, total int, length time.Duration) *progress {
	now := time.Now()
	return &progress{w: std.err, terminal: std.terminal, what: what, total: total, length: length, start: now, shown: now}
}

// at tells that done steps are done and that there were errors.
func (p *progress) at(done, errors int) {
	every := logEvery
	if p.terminal {
		every = redrawEvery
	}
	now := time.Now()
	if now.Sub(p.shown) < every {
		return
	}
	p.shown = now
	line := p.line(done, errors, now.Sub(p.start))
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, p.width-len(line))))
	p.width = len(line)
}

func (p *progress) line(done, errors int, passed time.Duration) string {
	if p.waits {
		return fmt.Sprintf("%s: %s of at most %s", p.what, passed.Round(time.Second), p.length)
	}
	rate := float64(done) / passed.Seconds()
	text := fmt.Sprintf("%s: %d", p.what, done)
	eta := "?"
	switch {
	case p.length > 0:
		eta = max(0, p.length-passed).Round(time.Second).String()
	case done > 0:
		left := float64(p.total-done) / rate
		eta = time.Duration(left * float64(time.Second)).Round(time.Second).String()
	}
	if p.total > 0 {
		text += fmt.Sprintf(" of %d", p.total)
	}
	return fmt.Sprintf("%s done, %.0f/s, %d errors, ETA %s", text, rate, errors, eta)
}

// done clears the line.
func (p *progress) done() {
	if p.terminal && p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}
