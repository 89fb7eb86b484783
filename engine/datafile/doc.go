// Package datafile opens the database files of the data directory: bbolt files
// whose faults are errors.
//
// bbolt panics on a damaged page, and a mapped page that the file does not have
// is a fault of the process: here both are [ErrDamaged]. A file belongs to one
// process at a time; to another it is [ErrInUse] at once.
//
// # Ownership
//
// A [File] may be used from any goroutine.
//
// # Limits
//
// Damage shows where it is read, and bbolt has no checksums of pages: whoever
// keeps a file checks what it reads.
package datafile
