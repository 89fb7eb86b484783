// Package sim runs the server without sockets: up to a million sessions in one
// process, to see what grows with their number.
//
// Everything between the socket and the client is real: tokens are signed and
// verified, sessions opened, frames masked, parsed and answered, rosters kept,
// usage counted. Only what the reactor has below the session is not there:
// sockets, gnet's connections, and the time of the kernel, in whose place a
// write may be made to cost a given time.
//
// # Terms
//
// A world is one hub with its sessions. A loop is the event loop of a reactor:
// a thread, pinned to a core where there are enough, that hands events to
// sessions and runs the hub's turns. An event is what a ready socket would
// cause: a connect, a frame, a close. The hold is how long a loop is away with
// one event or one turn, as long as which every other socket waits.
//
// # What is measured
//
//   - sessions: the heap that a session holds that has a token of its own and
//     one subscription, to a channel of its own, with presence; what connecting
//     it, sweeping it, collecting it and closing it costs.
//   - fanout: a publish to all sessions at a time, which share a channel here.
//   - roster: joins and leaves of that channel, which by then is large; its
//     snapshot, and its replica at another loop.
//   - scale: the same fan-out with one loop and with more.
//
// # Ownership
//
// A world is driven by one goroutine. A loop and its conns belong to the loop's
// goroutine; do and each are the door to it, Wake and WakeFair may be called by
// anybody.
//
// # Limits
//
// The heap is that of all the process; what the simulation needs for itself is
// there before the first session and is taken off. Times are of a machine with
// as many free cores as there are loops, or they mean little: CPU times are
// those of the loops' threads and hold better.
package sim
