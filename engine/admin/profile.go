package admin

import (
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"
)

// maxProfile is the longest profile.
const maxProfile = 30 * time.Second

// serveProfiles serves the list of profiles.
func (s *Server) serveProfiles(w http.ResponseWriter, r *http.Request) { pprof.Index(w, r) }

// serveProfile takes one of the runtime's profiles, one at a time. There is no
// command line among them: it may hold the admin token.
func (s *Server) serveProfile(w http.ResponseWriter, r *http.Request) {
	if text := r.FormValue("seconds"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > int(maxProfile/time.Second) {
			writeFailure(w, invalid("seconds must be an integer from 1 to 30."))
			return
		}
	}
	select {
	case s.profilingC <- struct{}{}:
		defer func() { <-s.profilingC }()
	default:
		writeFailure(w, errBusy)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxProfile + writeTimeout))
	switch name := r.PathValue("name"); name {
	case "profile":
		pprof.Profile(w, r)
	case "trace":
		pprof.Trace(w, r)
	case "allocs", "block", "goroutine", "heap", "mutex", "threadcreate":
		pprof.Handler(name).ServeHTTP(w, r)
	default:
		writeFailure(w, errNotFound)
	}
}
