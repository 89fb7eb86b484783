// Package telemetry is what the server counts, and how operators get to see
// it: as metrics for Prometheus, and as the series of the last minutes for the
// console.
//
// # Terms
//
// A [Loop] is the counts of one event loop, or of several added up. A [Series]
// keeps what they grew by in each of the last seconds.
//
// # Why there are no atomics
//
// Counting must cost next to nothing: a delivery takes some hundred nanoseconds,
// and one atomic add on a line that cores share takes a good part of that. So a
// loop adds to plain fields of its own, and whoever wants to see them posts a
// task to the loop that copies them. A scrape costs a loop some microseconds.
// The histograms are plain arrays for the same reason; to Prometheus they look
// like any other.
//
// # Ownership
//
// A Loop belongs to its event loop, a copy of it to whoever was given it.
// [Series] and the registry's collector may be used from any goroutine.
//
// # Limits
//
// Metrics are labelled by app, never by channel or peer: at most MaxApps apps
// have labels of their own, and the others share one.
package telemetry
