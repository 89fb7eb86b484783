// Package secure speaks TLS for connections whose sockets belong to an event
// loop. It keeps the certificates, runs handshakes beside the loops, and turns
// records into application data and back by calls that never block. It opens no
// socket of its own but those of an ACME client.
//
// # Terms
//
// A pair is a certificate chain and its key, two PEM files. A wire is the
// in-memory connection that crypto/tls reads records from and writes them to:
// when it has no bytes it says so with a temporary error, after which crypto/tls
// goes on where it was. A handshake cannot be left and resumed like that, so
// each runs on a goroutine of its own, fed by the loop, until it has ended. It
// is parked while it waits for its client.
//
// # Ownership
//
// A Conn belongs to one goroutine at a time: that of its Handshake, then the
// event loop, then, between Over and Back, whoever serves HTTP on it. A
// Handshake is shared by its goroutine and the loop, under its lock; its news
// function is called from any goroutine. Certificates, Handshakes and Hello may
// be used by any goroutine.
//
// # Limits
//
// A ClientHello is at most MaxHello bytes with its record headers, in at most 64
// records. What a client sends behind it while its handshake lasts is at most
// 128 KiB. 1 024 handshakes run at a time, of which as many compute as there are
// cores; 8 192 more wait for their turn, and beyond that the oldest of these is
// dropped. While some wait, a handshake that has been parked for more than a
// second is dropped for them, the oldest first. How long a handshake may take in
// all is for the caller to say, who abandons it.
//
// crypto/tls keeps the buffer of the longest record that it has read for as long
// as the connection lasts: about a kilobyte with short messages, up to twice
// 16 KiB where a client sends long ones.
package secure
