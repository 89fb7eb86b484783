// Package engine puts the server together: it opens files and addresses, wires
// the packages below it, and runs them until it is told to end.
//
// # Terms
//
// The gate verifies credentials and lets connections in. The sidecar is the
// net/http server for everything that is no WebSocket. The operator is whoever
// the admin address answers.
//
// A successor is a process that a server has started to take its place; the server
// is its predecessor. See Server.Upgrade.
//
// # Ownership
//
// A Server's methods may be called from any goroutine, Run once. Sessions and
// channels belong to the event loops; see the packages session and reactor.
package engine
