package admin

import "net/http"

// serveSession tells a page what it needs to begin.
func (s *Server) serveSession(_ http.ResponseWriter, r *http.Request) (any, error) {
	return struct {
		Token        string `json:"token"`
		Version      string `json:"version"`
		Commit       string `json:"commit"`
		PublicURL    string `json:"publicURL"`
		KeysWritable bool   `json:"keysWritable"`
		StartedAt    int64  `json:"startedAt"`
	}{s.guard.token, s.Version, s.Commit, s.socketOrigin(r) + "/v1", s.AppsFile != "", s.started.UnixMilli()}, nil
}
