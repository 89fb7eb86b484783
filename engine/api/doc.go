// Package api is the net/http sidecar of the server: the REST API for
// backends.
//
// # Terms
//
// The sidecar is one http.Server. It serves connections of listeners of its
// own ([Server.Serve]) and connections that an event loop accepted and found
// to be no WebSocket upgrade ([Server.Handoff]), with the bytes already read.
// When an upgrade comes later on a kept-alive connection, the sidecar hands the
// connection back to the loops, with the request as it was and the bytes behind
// it (Options.HandBack). The first request of a handed-off connection is never
// handed back: a loop has just judged it.
//
// # Order of checks
//
// An unknown path is 404 to everybody, and the OpenAPI description of the calls
// is there for everybody. On a known path the credential comes
// first (401: missing, malformed, unknown, revoked, publishable, wrong secret
// and suspended app read alike), then the method (405 with Allow; OPTIONS is
// answered 204), the size of the body (413), its form (400 invalid_request),
// names and values (400 invalid_request), reserved names (400
// channel_reserved), the presence of data (400) and its size (413), the action
// (403 action_not_permitted), the channel (403 channel_not_authorized), and the
// quota (429), which the [Backend] counts. What goes wrong behind the sidecar
// is 503 internal_error, with a fixed text.
//
// # Bodies
//
// A body is one JSON object in valid UTF-8. Member names match exactly, of a
// repeated member the last one wins, unknown members are ignored, and null is
// a wrong type except as data. data is passed on byte for byte; metadata is
// passed on without insignificant white space, and its caps hold for that form.
//
// A channel stands in the path URL-encoded or with raw slashes; the last raw
// segment is the verb, so that a name may itself end in /peers. A peer id is
// one segment. There are no CORS headers: REST is for backends, which hold
// secret keys.
//
// # Ownership
//
// All methods of [Server] may be called from any goroutine. net/http runs one
// goroutine a connection; a connection handed over, in either direction,
// belongs to the receiver alone.
//
// # Limits
//
// 1 024 connections at a time over all doors. The one beyond takes the place of
// the one that has been idle longest, waiting for a further request, which its own
// goroutine closes: whoever keeps connections for nothing keeps nobody out. If that
// one's next request has just come, it is still answered, as the last. If none is
// idle, the one beyond is answered 503 and closed. A request head of 32 KiB within 10 s, a body of 32 KiB within
// 10 s, an answer taken within 60 s, 60 s idle. A request with
// Transfer-Encoding is the last on its connection (RFC 9112 §6.3).
package api
