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
// An app's periods stay in memory while the process runs: some 100 bytes a
// month. AddrRate remembers at most 262 144 addresses; beyond that it forgets
// those nearest to a full allowance first.
package quota
