package target

import (
	"strings"
	"testing"

	"signalbox/protocol/frame"
)

// said returns the text in a client's frame.
func said(t *testing.T, masked []byte) string {
	t.Helper()
	var r frame.Reader
	m, n, err := r.Next(masked, len(masked))
	if err != nil || m.Op != frame.OpText || n != len(masked) {
		t.Fatalf("got opcode %d, %d of %d bytes, error %v, want one whole text frame", m.Op, n, len(masked), err)
	}
	return string(m.Payload)
}

func TestCentrifuge(t *testing.T) {
	s := &Centrifuge{Host: "127.0.0.1:1"}
	join, err := s.Join("peer", `a"b`)
	if err != nil {
		t.Fatal(err)
	}
	visit, err := s.Visit("peer", "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, got, want string
	}{
		{"join", said(t, join.Hello), `{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"a\"b"}}`},
		{"visit", said(t, visit.Hello), `{"id":1,"connect":{}}`},
		{"publish", said(t, s.AppendPublish(nil, "a", []byte(`{"n":1}`))), `{"id":3,"publish":{"channel":"a","data":{"n":1}}}`},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
		}
	}
	if join.Acks != 2 || visit.Acks != 1 {
		t.Errorf("got %d and %d acks to wait for, want 2 and 1", join.Acks, visit.Acks)
	}
	const data = `{"n":1}`
	delivered := `{"push":{"channel":"a","pub":{"data":` + data + `}}}`
	if got, want := s.Overhead("a", ""), len(delivered)-len(data); got != want {
		t.Errorf("the overhead is %d, want %d", got, want)
	}
	if rest := delivered[len(delivered)-s.Closers():]; strings.Trim(rest, "}") != "" || delivered[len(delivered)-s.Closers()-1] != '}' {
		t.Errorf("%q follow the data", rest)
	}
}
