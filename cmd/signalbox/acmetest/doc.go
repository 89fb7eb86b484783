// Package acmetest has the signalbox binary obtain a certificate from a real ACME
// server, pebble, which connects back to it. It is a module of its own so that
// the server's dependencies stay clean, and holds nothing but its tests.
package acmetest
