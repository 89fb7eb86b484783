// Package session is the server without its sockets: sessions, what they may
// do, and the event loops that own them.
//
// # The way of one message
//
// Session.Receive takes the bytes of a socket, frame by frame, to
// Session.handle, which scans the envelope and checks it. Session.publish builds
// the frame once and hands it to every loop with subscribers, its own at once,
// others by Hub.fanOut. There Loop.deliverAll appends it to the channel's pending
// frames, and once the turn's input is dealt with Loop.flush has Loop.deliver
// write them to each subscriber: one write, however many frames.
//
// Who listens by a pattern gets it by a cast, so many sessions a turn. Before a
// session is given anything whose order matters, and before its subscriptions
// change, it is given what waits for it, in order: frames of channels, deltas that
// are due, and the casts that have not come to it.
//
// # Terms
//
// A Hub is all loops together. A turn is what a loop does once the sockets that
// were ready have been read, the reading not counted in; a budget bounds it, and
// what is left over comes after the sockets that are ready then. A session's cork gathers what is for it alone (acks, directs,
// snapshots) until its input is dealt with or the turn ends.
//
// # Presence
//
// A subscribe is a request to the channel's home loop, which changes the
// roster, posts the change to the loops that keep a replica, and only then
// posts the reply; the session's later frames wait for that. A loop's inbox is
// in order, and a loop does what is in it before it takes what it reads from any
// socket, so what a peer does after its ack finds every loop already told. Should
// that be more than a budget, the session is parked until it is done. Each loop tells its
// subscribers when the window is over, or earlier, before the first message
// whose sender is among those still untold.
//
// # Crowds
//
// A flush carries so many bytes of a channel's frames, and goes in turns. Whoever
// publishes to a channel for which more is pending, or sends to a loop whose inbox
// holds too much, is held until that is dealt with: its input waits, as it would for
// a loop that is busy reading others. REST calls wait in their goroutines.
//
// # Slow readers
//
// What a client does not read waits in user space, up to Limits.MaxBacklog; a
// long snapshot goes in parts and only the part on its way counts. Each loop
// lists its sessions for which anything waits and adds what that is, in steps,
// to the hub's total. When that is beyond Limits.MaxBacklogTotal, the loops weigh
// their lists anew and the one with the slowest reader closes it, until the total
// is within the limit.
//
// # Events
//
// Loop.notice tells Config.Events of a roster's changes, on the channel's home
// loop, and the peer directory tells of peers that come online and go offline.
// Subscriptions by pattern are in no roster and tell nothing.
//
// # Ownership
//
// Hub may be used from any goroutine. A Loop and its Sessions belong to one
// goroutine, the event loop's; Post is the one door from outside. Conn's
// methods are called on the loop only.
package session
