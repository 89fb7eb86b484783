// Command signalbox is a realtime messaging and WebRTC signalling server
// that speaks the Metered Realtime Messaging protocol.
//
// The command holds no server logic: it turns flags and SIGNALBOX_…
// environment variables into an [engine.Config], keys and tokens into calls of
// [auth], and signals into a drain or a reload.
//
//	serve              run the server
//	init               write a commented apps.yaml
//	key                create, list and revoke the keys in apps.yaml
//	token              mint a token, or say why one would be refused
//	echo               run the WebSocket echo server for conformance suites
//	doctor             say how many connections this host holds, and what to change,
//	                   or whether a cluster can work over a link to NATS
//	health             ask the server on this host whether it is well
//	completion         print what makes a shell complete commands and flags
//	version            say which build this is
//
// What a package of it holds beside the command is in dist: a systemd unit,
// kernel settings, a Dockerfile.
//
// # Ownership
//
// Everything runs on the main goroutine, but for what serve and echo add: one
// goroutine that waits for the signals to end and one that waits for SIGHUP.
// Both touch nothing but the server's Reload, which any goroutine may call.
//
// # Output
//
// What a command was asked for goes to stdout, the log and errors to stderr.
// An error is one line, and the exit status 1; the doctor's verdict is its exit status, too. Secrets and tokens are printed
// only where they are the answer (token mint, key create, serve --dev), never
// to the log.
//
// # Limits
//
// Linux only, as is the reactor.
package main
