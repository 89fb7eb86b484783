// Package target is the server under test: how it is started and pinned to its
// cores, how it is spoken to, and what it costs in CPU time and memory.
//
// # Terms
//
// A Target is a server, ours or another one. Its Dialect says how clients join
// and publish: Signalbox with tokens and subscriptions, Hub as a plain WebSocket
// hub, where the path names a channel and every text message goes verbatim to
// all other sockets of that path. A Process is the server's process, if it is on
// this machine.
//
// # Ownership
//
// A Target belongs to who started it and must be closed. A Process may be used
// by any goroutine; the one that reads the server's output ends with it.
//
// # Limits
//
// CPU time is that of the process in user space and kernel, nanoseconds exact.
// On loopback it includes the receiver's part of the protocol stack, which runs
// in the sender's call. Kernel memory is that of the whole machine. Linux only.
package target
