// Package cluster is the seam between this node and others.
//
// The engine hands a Bus what other nodes may have to hear, and asks it for
// what only they know. Local is the Bus of a server that stands alone: there
// is nobody to tell and nothing to ask.
//
// # Ownership
//
// Every method may be called from any goroutine, event loops among them: none
// may block. Byte slices are borrowed until the call returns.
package cluster
