package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"signalbox/engine/auth"
	"signalbox/protocol"
)

// call is one REST request whose credential and method are good.
type call struct {
	ctx  context.Context
	r    *http.Request
	key  *auth.Key
	name string // the channel or peer id of the path, decoded
	body []byte // of a POST
}

// app returns the id of the app that calls.
func (c *call) app() string { return c.key.App.ID }

// covers reports whether a pattern of the key matches the concrete channel.
func (c *call) covers(channel string) bool {
	return c.key.Grant().Channel(channel)
}

// checkChannel checks the channel of the path: its form, then whether it is
// reserved.
func (c *call) checkChannel() error {
	switch {
	case !protocol.ValidChannel(c.name), protocol.IsGlob(c.name):
		return errChannel
	case protocol.Reserved(c.name):
		return errChannelReserved
	}
	return nil
}

// checkGrant checks that the key has the action, then that it has the channel.
func (c *call) checkGrant(a auth.Actions, channel string) error {
	switch {
	case !c.key.Actions.Has(a):
		return errAction
	case !c.covers(channel):
		return errChannelAuthorized
	}
	return nil
}

// serveHTTP answers one request of the public port.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	first := firstRequest(r)
	if c := connOf(r); len(r.TransferEncoding) > 0 || s.leaving.Load() || c != nil && c.last {
		w.Header().Set("Connection", "close") // RFC 9112 §6.3
	}
	if r.Body != http.NoBody {
		// Holds for a body that nobody reads, too: net/http discards it before
		// the next request. A recorder in a test has no deadline to set.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	e, name := route(r.URL.EscapedPath())
	switch {
	case r.URL.Path == descriptionPath:
		serveDescription(w, r)
	case e != nil:
		s.serveEndpoint(w, r, e, unescape(name))
	case isUpgrade(r):
		s.serveUpgrade(w, r, first)
	default:
		writeFailure(w, errNotFound)
	}
}

// serveEndpoint checks what every call has to pass, makes the call and answers.
func (s *Server) serveEndpoint(w http.ResponseWriter, r *http.Request, e *endpoint, name string) {
	defer s.rescue(w, e)
	key, err := s.verify(r)
	switch {
	case err != nil:
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeFailure(w, errUnauthorized)
		return
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", e.allow())
		w.WriteHeader(http.StatusNoContent)
		return
	case !e.accepts(r.Method):
		w.Header().Set("Allow", e.allow())
		writeFailure(w, errMethod)
		return
	case r.ContentLength > maxBody:
		w.Header().Set("Connection", "close") // rather than read it all
		writeFailure(w, errBodyTooBig)
		return
	}
	c := &call{r: r, key: key, name: name}
	if r.Method == http.MethodPost {
		if c.body, err = readBody(w, r); err != nil {
			s.answerError(w, e, err)
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), backendTimeout)
	defer cancel()
	c.ctx = ctx
	answer, err := e.serve(s, c)
	if err != nil {
		s.answerError(w, e, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// verify returns the key of the request's credential. Two Authorization
// headers are none, and cost the same.
func (s *Server) verify(r *http.Request) (*auth.Key, error) {
	header := ""
	if values := r.Header.Values("Authorization"); len(values) == 1 {
		header = values[0]
	}
	return s.backend.Keys().VerifyBearer(header)
}

// answerError answers the caller's faults as they say, and all others with one
// text; those are logged.
func (s *Server) answerError(w http.ResponseWriter, e *endpoint, err error) {
	var f *failure
	switch {
	case errors.As(err, &f):
		if f == errBodyTimeout {
			w.Header().Set("Connection", "close")
		}
		writeFailure(w, f)
	case errors.Is(err, ErrOverQuota):
		writeFailure(w, errQuota)
	case errors.Is(err, ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// Canceled: the client has gone. The others are known to whoever runs the
		// server, and could come with each message.
		s.log.Debug("REST call not possible", "call", e.name, "error", err)
		writeFailure(w, errInternal)
	default:
		s.log.Warn("REST call failed", "call", e.name, "error", err)
		writeFailure(w, errInternal)
	}
}

// rescue answers a panic of a call and logs where it was. The panic's value
// is logged only when the runtime made it: others could hold a payload.
func (s *Server) rescue(w http.ResponseWriter, e *endpoint) {
	v := recover()
	if v == nil {
		return
	}
	attrs := []any{slog.String("call", e.name), slog.String("stack", string(debug.Stack()))}
	if err, ok := v.(runtime.Error); ok {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.log.Error("REST call panicked", attrs...)
	writeFailure(w, errInternal)
}

func writeFailure(w http.ResponseWriter, f *failure) {
	body := protocol.AppendString([]byte(`{"error":`), f.code)
	body = protocol.AppendString(append(body, `,"message":`...), f.message)
	writeJSON(w, f.status, append(body, '}'))
}

// writeJSON sends an answer. Answers hold tokens and the state of a moment:
// none is for a cache.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone: nobody to tell
}
