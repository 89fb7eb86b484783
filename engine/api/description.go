package api

import (
	"bytes"
	_ "embed"
	"net/http"
	"time"
)

// descriptionPath is where the calls are described, for everybody: it tells
// nothing of this server.
const descriptionPath = "/v1/openapi.json"

// description is the OpenAPI 3.1 description of the calls.
//
//go:embed openapi.json
var description []byte

func serveDescription(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		writeFailure(w, errMethod)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(description))
}
