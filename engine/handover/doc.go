// Package handover starts a process that is to take this one's place, and is
// that process's end of the line between the two.
//
// # Terms
//
// The predecessor starts the successor from the same path with the same arguments
// and environment, and leaves it its listeners that are net/http's as
// descriptors. The line is a socket pair: the successor says on it that it serves, and
// its end tells each of them that the other is gone. An [Offer] in the environment
// says what the successor has been left.
//
// # Ownership
//
// [Inherit] is called once, before anything else looks at the environment or opens a
// descriptor. A [Predecessor]'s methods may be called from any goroutine. [Start]
// owns the successor until it serves; after that nobody does.
//
// # Limits
//
// A successor has 30 s to serve; one that fails to is killed.
package handover
