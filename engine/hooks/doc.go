// Package hooks tells the backends of apps what happens: signed webhooks.
//
// # Terms
//
// An event is one thing that happened: a peer came online or went offline, a
// channel was occupied or vacated, a peer joined or left one. A webhook is an
// address of an app's backend with the kinds of events it wants. Each webhook in
// force has a queue of batches, each the body of one request, sealed once: it is
// the same bytes, under the same id, however often it is tried.
//
// # The way of an event
//
// A loop puts it into the inbox, which costs a short lock and never waits. The
// goroutine of [Hooks.Run] gathers what comes within 200 ms, or 100 events, into
// batches, queues them and writes them to the disk. Each webhook has a goroutine
// that delivers its queue, one batch at a time, and tries again until the
// receiver has taken it.
//
// # Promises
//
// Events of one channel, and those of one peer's being online, arrive in the
// order in which they happened, at least once, with ids that make what comes twice
// visible. A restart, graceful or not, and an outage of the receiver
// lose none that is in the queue; a crash loses what came in the last 200 ms
// or so and could not be written. What does not fit within the bound is dropped,
// the oldest of the longest queue first, counted, and told to the receiver in a
// later batch, which may come after a restart. A receiver answers 410 to have a batch dropped that it will never
// take; any other answer but 2xx is a failure, and tried again. Of an answer this
// package logs nothing but the status: the rest may repeat what is secret in a URL.
//
// # Storage
//
// hooks.db in the data directory is a bbolt file: bucket "queues" has a row for
// each queue, bucket "batches" the batches by queue and number. It holds peer
// ids and metadata, and neither secrets nor URLs. A process that takes another's place
// has its batches wait in memory until the other has ended ([Hooks.Attach]). Without a directory, or while the disk
// fails, batches wait in memory; a disk that fails is tried once a second, with a few
// megabytes of them.
//
// # Ownership
//
// [Hooks] and [App] may be used from any goroutine. The queues are guarded by
// one lock, which is not held over I/O; the writer alone changes the file.
//
// # Limits
//
// The spool's bound is on the bytes of batches, over all webhooks; the file may
// be somewhat larger and does not shrink. The inbox holds 32 MiB. At most 64 requests are under way at a
// time, over all apps; a request may take 10 s; redirects are not followed. Where requests go is the operator's choice, for the URL stands in the operator's
// file: addresses are not filtered.
package hooks
