package admin

import (
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"time"
)

// maxProfile is the longest profile.
const maxProfile = 30 * time.Second

// profiles are those that the runtime keeps, by name; beside them there are
// profile, of the CPU, and trace.
var profiles = []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"}

// serveProfiles serves the list of profiles.
func (s *Server) serveProfiles(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html><title>Profiles</title><ul>")
	for _, name := range profiles {
		_, _ = fmt.Fprintf(w, `<li><a href="%s?debug=1">%[1]s</a>`, name)
	}
	_, _ = io.WriteString(w, `<li><a href="profile?seconds=10">profile</a> of the CPU, 10 s<li><a href="trace?seconds=1">trace</a>, 1 s</ul>`)
}

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
	switch name := r.PathValue("name"); {
	case name == "profile":
		pprof.Profile(w, r)
	case name == "trace":
		pprof.Trace(w, r)
	case slices.Contains(profiles, name):
		pprof.Handler(name).ServeHTTP(w, r)
	default:
		writeFailure(w, errNotFound)
	}
}
