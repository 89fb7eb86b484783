// Package quota counts what each app uses, holds it to its plan, and keeps the
// counts over restarts. It also has the two rate limiters of the server: a
// token bucket for one connection's frames and a limiter for the connects of a
// source address.
//
// # Terms
//
// A period is a calendar month in UTC, the span a plan's message limit is for.
// A count belongs to the period in which the wall clock stood when it was
// counted. Periods stay known after they end, so a clock that jumps back over
// a month's end continues the old month's counts, and one that comes forward
// again continues the new month's: nothing is lost and nothing counts twice.
//
// An overage is use above a plan's limit. It is let through and counted when
// the plan both allows overages and has them enabled, and refused otherwise.
// A limit of 0 is no limit.
//
// # Nodes of a cluster
//
// A contributor is who counts: a data directory, under an id made once and kept in
// it, or the run of a node that has none. A share is what one contributor has
// counted of an app in a month; only it adds to that. The counts of an app are the
// sum of all shares, the peak is the highest of theirs: each node keeps and stores
// every share it hears of, of each count the highest ever told, so it does not
// matter how often, how late or in which order shares come, nor which nodes are
// left. A contributor told of a share of its own that is higher than what this run has
// told takes it over, and adds what it has counted since: a kill has cost it that. A ledger from Hold counts for itself until
// it has the directory, whose contributor it then is.
//
// Open connections belong to a node and end with it: [Ledger.SetElsewhere] and
// [Ledger.Forget]. They are no sum over contributors.
//
// Limits are held against what this node has counted and what the others have told.
// Beyond a limit, all nodes together let through at most what they count between
// one telling and its arrival, a quarter of a second and the way; an app at its limit
// of connections whose sockets change nodes is over it for as long, and when a node
// dies, until it is forgotten. Overages are counted by the same measure. Nodes that do not
// hear each other let through up to a limit each; so does one whose predecessor still has
// the directory, from which the others hear only when it has it.
//
// # Storage
//
// The [Ledger] keeps one bbolt file, usage.db, in the data directory, locked
// against a second process; one that takes another's place counts in memory until it
// has the file ([Hold]). [Ledger.Run] writes changed counts twice a second,
// so that kill -9 costs less than one second of counts. When writing fails,
// because the disk is full for instance, the ledger says so once, goes on
// counting in memory and tries again until it succeeds.
//
// # Ownership
//
// [Ledger], [App] and [AddrRate] may be used by any goroutine; [App.Message]
// and [App.Connect] are atomics and, but for the first call in a new month,
// take no lock. A [Bucket] is plain memory and belongs to the loop of its
// connection.
//
// # Limits
//
// An app's periods stay in memory while the process runs: some 200 bytes a
// month and 150 a share, of at most 4 096 other contributors. A directory must not
// be copied to another node: the two would be one contributor, of which only the
// higher counts stand. AddrRate remembers at most 262 144 addresses; beyond that
// it forgets those nearest to a full allowance first.
package quota
