// Package result is what a scenario leaves behind: a record of the command, the
// machine and the figures, as JSON for tools and as a table for people.
//
// # Terms
//
// A Row is what was measured under one set of conditions, its labels; a Figure
// is one value with its unit, and, if it is a median, the rounds that it is of. Rows of a record need not have the same figures.
//
// # Ownership
//
// A Record is for one goroutine. Rows are values.
//
// # Limits
//
// Secrets on the command line are left out of the record; those in other places
// were never there.
package result
