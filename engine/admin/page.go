package admin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// consolePath is where the console's pages are.
const consolePath = "/console/"

//go:embed console
var files embed.FS

// servePage serves a file of the console, always asking the browser to look
// whether it is still the same: a new version of the server brings its own.
func servePage(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, consolePath)
	if name == "" {
		name = "index.html"
	}
	text, err := files.ReadFile(path.Join("console", name))
	if err != nil || strings.Contains(name, "/") {
		writeFailure(w, errNotFound)
		return
	}
	digest := sha256.Sum256(text)
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", `"`+hex.EncodeToString(digest[:16])+`"`)
	h.Set("Content-Type", contentType(path.Ext(name)))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}

// contentType does not ask the host for the types that scripts depend on: its
// mime.types may say otherwise.
func contentType(extension string) string {
	switch extension {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return mime.TypeByExtension(extension)
}
