package api

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-json"
)

// members are the members of a JSON object by name, each value as its raw
// text without the white space around it.
type members map[string]json.RawMessage

// readBody reads a request's body within its time and size.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return nil, errBodyTooBig
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errBodyTimeout
	case err != nil:
		return nil, errBodyRead
	}
	// The deadline was the body's; a slow backend must not meet it.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, nil
}

// decodeBody splits a body into members. go-json is lenient with syntax and
// does not look at UTF-8, so both are checked before; it keeps names exactly,
// and the last of equal ones.
func decodeBody(body []byte) (members, error) {
	if !utf8.Valid(body) || !isObject(body) || !stdjson.Valid(body) {
		return nil, errMalformedBody
	}
	var m members
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, errMalformedBody
	}
	return m, nil
}

// isObject reports whether valid JSON text is an object.
func isObject(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && text[0] == '{'
}

// text returns a string member, or fallback when there is none. ok is false
// for another type.
func (m members) text(name, fallback string) (s string, ok bool) {
	raw, present := m[name]
	if !present {
		return fallback, true
	}
	if raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// texts returns a member that is a list of at most limit strings: nil when it
// is absent, not nil when it is empty. ok is false for anything else.
func (m members) texts(name string, limit int) (list []string, ok bool) {
	raw, present := m[name]
	if !present {
		return nil, true
	}
	var items []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &items) != nil || len(items) > limit {
		return nil, false
	}
	list = make([]string, len(items))
	for i, item := range items {
		if item[0] != '"' || json.Unmarshal(item, &list[i]) != nil {
			return nil, false
		}
	}
	return list, true
}

// object returns a member that is an object of at most limit bytes, without
// insignificant white space, or nil when there is none. ok is false for
// anything else.
func (m members) object(name string, limit int) (object []byte, ok bool) {
	raw, present := m[name]
	if !present {
		return nil, true
	}
	var compact bytes.Buffer
	if raw[0] != '{' || stdjson.Compact(&compact, raw) != nil || compact.Len() > limit {
		return nil, false
	}
	return compact.Bytes(), true
}

// integer returns a member that is a number without a fraction from low to
// high, or fallback when there is none. ok is false for anything else.
func (m members) integer(name string, low, high, fallback int64) (n int64, ok bool) {
	raw, present := m[name]
	if !present {
		return fallback, true
	}
	f, err := strconv.ParseFloat(string(raw), 64) // JSON is narrower than ParseFloat, and raw is JSON
	if err != nil || f != math.Trunc(f) || f < float64(low) || f > float64(high) {
		return 0, false
	}
	return int64(f), true
}

// encode returns v as JSON, which every answer can be.
func encode(v any) ([]byte, error) {
	return json.MarshalWithOption(v, json.DisableHTMLEscape())
}
