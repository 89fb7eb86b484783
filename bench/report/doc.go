// Package report draws what scenarios have left behind: one HTML page with the
// tables and plots of any number of records.
//
// # Terms
//
// A Chart is one plot of one record, drawn as SVG. Which charts a record has
// depends on the figures it holds: percentiles of latency, throughput and cost
// against subscribers, memory against connections or time, servers side by side.
//
// # Ownership
//
// Everything is made and used by one goroutine.
//
// # Limits
//
// A record without figures to draw has its tables only. Points that a
// logarithmic axis cannot show, zero and less, are left out.
package report
