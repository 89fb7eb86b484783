package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// operation is a call as the description has it.
type operation struct {
	path, method string
	OperationID  string
	Responses    map[string]struct {
		Ref     string `json:"$ref"`
		Content map[string]json.RawMessage
	}
}

// described is the description: its operations by the names of their endpoints,
// and its schemas.
type described struct {
	operations map[string]operation
	compiler   *jsonschema.Compiler
}

const descriptionURL = "http://signalbox.test/openapi.json"

// readDescription reads what the server serves.
var readDescription = sync.OnceValues(func() (*described, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(description))
	if err != nil {
		return nil, err
	}
	d := &described{operations: map[string]operation{}, compiler: jsonschema.NewCompiler()}
	d.compiler.DefaultDraft(jsonschema.Draft2020) // which OpenAPI 3.1 builds on
	if err := d.compiler.AddResource(descriptionURL, document); err != nil {
		return nil, err
	}
	var paths struct {
		Paths map[string]map[string]operation
	}
	if err := json.Unmarshal(description, &paths); err != nil {
		return nil, err
	}
	for path, methods := range paths.Paths {
		for method, o := range methods {
			o.path, o.method = path, method
			d.operations[o.OperationID] = o
		}
	}
	return d, nil
})

// pointer is the JSON pointer of the path's parts.
func pointer(parts ...string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(escape.Replace(p)))
	}
	return descriptionURL + "#" + b.String()
}

// schema returns the schema of an operation's answer.
func (d *described) schema(o operation, status string) (*jsonschema.Schema, error) {
	r, ok := o.Responses[status]
	if !ok {
		return nil, fmt.Errorf("status %s is not described", status)
	}
	if r.Ref != "" {
		return d.compiler.Compile(descriptionURL + r.Ref + "/content/application~1json/schema")
	}
	return d.compiler.Compile(pointer("paths", o.path, o.method, "responses", status, "content", "application/json", "schema"))
}

// wantDescribed fails the test unless the answer to a call is as the description
// says. HEAD has no body, and other methods are not described.
func wantDescribed(t testing.TB, method, target string, a answer) {
	t.Helper()
	path, _, _ := strings.Cut(target, "?")
	e, _ := route(path)
	if e == nil || e.method != method {
		return
	}
	d, err := readDescription()
	if err != nil {
		t.Fatal(err)
	}
	o, ok := d.operations[e.name]
	if !ok {
		t.Fatalf("%s is not described", e.name)
	}
	schema, err := d.schema(o, fmt.Sprint(a.status))
	if err != nil {
		t.Errorf("%s %s: %v", method, target, err)
		return
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
	if err == nil {
		err = schema.Validate(body)
	}
	if err != nil {
		t.Errorf("%s %s: the answer %d %s is not as described: %v", method, target, a.status, a.body, err)
	}
}

func TestEveryCallIsDescribed(t *testing.T) {
	d, err := readDescription()
	if err != nil {
		t.Fatal(err)
	}
	endpoints := []*endpoint{tokensEndpoint, publishEndpoint, rosterEndpoint, channelsEndpoint, kickEndpoint, sendEndpoint, usageEndpoint}
	for _, e := range endpoints {
		o := d.operations[e.name]
		if got := strings.ToUpper(o.method); got != e.method {
			t.Errorf("%s is described with the method %q, want %s", e.name, got, e.method)
		}
		if found, _ := route(o.path); found != e {
			t.Errorf("%s is described at %q, where it is not", e.name, o.path)
		}
	}
	if len(d.operations) != len(endpoints) {
		t.Errorf("%d calls are described, want %d", len(d.operations), len(endpoints))
	}
}

// TestExamplesAreValid holds each example of the description to its schema.
func TestExamplesAreValid(t *testing.T) {
	d, err := readDescription()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(description))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var walk func(v any, path []string)
	walk = func(v any, path []string) {
		m, _ := v.(map[string]any)
		for name, child := range m {
			walk(child, append(path[:len(path):len(path)], name))
		}
		example, ok := m["example"]
		if !ok {
			return
		}
		n++
		schema, err := d.compiler.Compile(pointer(append(path[:len(path):len(path)], "schema")...))
		if err == nil {
			err = schema.Validate(example)
		}
		if err != nil {
			t.Errorf("%v: %v", path, err)
		}
	}
	walk(document, nil)
	if n < 15 {
		t.Errorf("%d examples, want one with each body", n)
	}
}

func TestDescriptionIsServed(t *testing.T) {
	w := newWorld(t, nil)
	a := w.do(t, "GET", descriptionPath, "")
	if a.status != 200 || a.body != string(description) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("status %d, %d bytes of %s", a.status, len(a.body), a.header.Get("Content-Type"))
	}
	if a := w.do(t, "DELETE", descriptionPath, ""); a.status != 405 || a.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("DELETE: status %d, Allow %q", a.status, a.header.Get("Allow"))
	}
}
