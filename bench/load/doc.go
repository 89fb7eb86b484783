// Package load drives clients and measures what comes of it: closed loops, paced
// ones, histograms, and the little statistics that the scenarios share.
//
// # Terms
//
// A closed loop publishes a message again as soon as every subscriber has it; a
// slot is one such message, and the number of slots is what is in flight. A
// Sample is what clients and server did during a span of time.
//
// # Ownership
//
// What counts deliveries is owned by a client loop and merged when that is at
// rest; the counts of messages are atomic. The drivers' methods are for one
// goroutine.
//
// # Limits
//
// A driver's connections stay until the fleet drops them.
package load
