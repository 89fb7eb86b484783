// Package admin is what the admin address serves: health checks, metrics,
// profiles, and the console with its JSON API.
//
// # Who is answered
//
// Whoever reaches the address on loopback is taken for the operator, unless a
// token is set; but the operator's browser may be made to reach it by any page
// that it has open. So the [Guard] answers only requests whose Host is a
// loopback name or one that was allowed (a page that rebinds its own name to
// 127.0.0.1 cannot change that), and nothing that the browser says comes from
// another site, but for following a link to the console. A change needs the
// console's own origin, and a token that only its pages can read. Answers may
// not be framed, sniffed or embedded, and run no script but the console's.
//
// With an admin token, which is required off loopback, a request needs it as
// Bearer token or as the password of HTTP Basic, with any user name. The health
// checks alone are open to everybody: they tell one bit.
//
// # Secrets
//
// A new key's secret is in the one answer that makes it. Nothing else that the
// address serves holds a secret; profiles are those that have no command line.
//
// # Ownership
//
// All methods may be called from any goroutine.
//
// # Limits
//
// A body of 32 KiB; lists in pages or cut off, as each says; profiles of at
// most 30 s, one at a time.
package admin
