package admin

import (
	stdjson "encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"

	"github.com/goccy/go-json"
)

// failure is an answer that is no success. All but those of invalid are fixed.
type failure struct {
	status  int
	code    string
	message string
}

// Error returns the message.
func (f *failure) Error() string { return "admin: " + f.message }

// invalid is the failure of a request that is at fault, with words of ours.
func invalid(message string) *failure {
	return &failure{http.StatusBadRequest, "invalid_request", message}
}

var (
	errUnauthorized = &failure{http.StatusUnauthorized, "unauthorized", "The admin token is required."}
	errForeign      = &failure{http.StatusForbidden, "forbidden", "Other sites' pages are not answered."}
	errForbidden    = &failure{http.StatusForbidden, "forbidden", "A change needs the console's origin and its token; load the page again."}
	errNotFound     = &failure{http.StatusNotFound, "not_found", "There is nothing here."}
	errUnknownApp   = &failure{http.StatusNotFound, "not_found", "There is no such app."}
	errUnknownKey   = &failure{http.StatusNotFound, "not_found", "There is no such key."}
	errReadOnly     = &failure{http.StatusConflict, "read_only", "The server runs without an apps file, so keys cannot be changed."}
	errNoKey        = &failure{http.StatusConflict, "no_key", "The app has no usable secret key to sign with."}
	errBodyTooBig   = &failure{http.StatusRequestEntityTooLarge, "invalid_request", "The body is over 32768 bytes."}
	errMisdirected  = &failure{http.StatusMisdirectedRequest, "misdirected", "This host name is not served here; see --admin-host."}
	errBusy         = &failure{http.StatusServiceUnavailable, "unavailable", "A profile is being taken; try again when it is done."}
	errUnavailable  = &failure{http.StatusServiceUnavailable, "unavailable", "The server cannot tell now; try again."}
)

// maxBody is how much of a body is read, in bytes.
const maxBody = 32 << 10

// decode reads a request's body, one JSON object without unknown members, into
// the struct that v points to. Names match exactly, as in REST.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	if r.Header.Get("Content-Type") != "application/json" {
		return invalid("The body must be application/json.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return errBodyTooBig
	}
	var members map[string]stdjson.RawMessage
	if err != nil || stdjson.Unmarshal(body, &members) != nil || !named(members, v) || stdjson.Unmarshal(body, v) != nil {
		return invalid("The body must be one JSON object with the members of this call.")
	}
	return nil
}

// named reports whether each of the members is one that the struct's fields are
// tagged with: encoding/json alone takes names in any case.
func named(members map[string]stdjson.RawMessage, v any) bool {
	fields := reflect.TypeOf(v).Elem()
	known := 0
	for i := range fields.NumField() {
		if _, ok := members[fields.Field(i).Tag.Get("json")]; ok {
			known++
		}
	}
	return members != nil && known == len(members)
}

// writeJSON sends v.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalWithOption(v, json.DisableHTMLEscape())
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"internal_error","message":"The answer cannot be told."}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone: nobody to tell
}

func writeFailure(w http.ResponseWriter, f *failure) {
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="Signalbox", charset="UTF-8"`)
	}
	writeJSON(w, f.status, struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{f.code, f.message})
}
