// Package reactor runs the event loops: it accepts connections, upgrades them,
// carries their bytes to a Receiver and back, and closes them in good order.
// It is the only package that knows gnet.
//
// # Terms
//
// A Loop is what runs on an event loop beside its sockets; the reactor calls it
// back when it asked to be woken. A Gate decides who may upgrade. The sidecar is
// the HTTP server that gets every connection whose first request is no upgrade.
// A connection that is to end lingers: its write side is shut once everything
// is sent, and its input is read and dropped until the client closes too,
// because unread input would turn the close into a reset that overtakes the
// close frame.
//
// With TLS a connection begins with a ClientHello, which is gathered as a head
// is, then its handshake runs beside the loop; from then on the loop opens what
// comes before it is fed, and seals what is sent.
//
// Batch gathers what several connections are sent; Submit hands it to the kernel
// in one system call, by io_uring(7), where that is to be had.
//
// # Proxies
//
// A connection whose peer is one of Config.Proxies may begin with a PROXY header,
// before TLS, and its upgrade request may have been forwarded (X-Forwarded-For);
// what they say is the client's address. For anybody else neither means a thing, nor
// does the latter behind a PROXY header that names nobody.
//
// # Two processes
//
// A process that takes another's place listens on the same address beside it
// (Config.Behind); which of the two gets new connections is up to KeepConnects,
// TakeConnects, CedeConnects and ShareConnects. Both must have the same user id.
//
// # Ownership
//
// A Conn belongs to its event loop: all its methods are called there, and so
// are Loop's, except for Bind. Input handed to a Receiver is borrowed until it
// returns; what is not dealt with is kept by the Conn, so gnet's own inbound
// buffer stays empty. Reactor's methods may be called from any goroutine.
//
// # Limits
//
// A request head is at most MaxHead bytes and must be there within the
// handshake timeout, with the TLS handshake before it. Connections beyond what
// the descriptors allow, less a reserve and what Config.Others keeps for the rest
// of the process, are refused, because gnet ends when accept finds none left.
// Those that net/http has, the sidecar's and those of listeners given to Share,
// count with the loops' own. A connection that is to end is cut off when too much
// is queued on those that linger already. Input that a Receiver is not ready for is
// left in the socket from pauseAt bytes on, so that TCP has the client wait.
package reactor
