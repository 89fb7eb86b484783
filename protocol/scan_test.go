package protocol

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// outcome is all that a Scan tells, comparable and printable. A nil pointer
// stands for a member that is not there.
type outcome struct {
	Error                 ErrorCode `json:"error"`
	Type                  string    `json:"type"`
	Channel               *string   `json:"channel"`
	To                    *string   `json:"to"`
	RequestID             *string   `json:"requestId"`
	Data                  *string   `json:"data"`
	IncludeSenderMetadata bool      `json:"includeSenderMetadata"`
}

// String is the outcome as in the vectors.
func (o outcome) String() string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(o); err != nil {
		return err.Error()
	}
	return b.String()
}

var typeNames = map[FrameType]string{
	TypeUnknown: "", TypeSubscribe: "subscribe", TypeUnsubscribe: "unsubscribe",
	TypePublish: "publish", TypeSend: "send", TypePing: "ping",
}

// scan is the outcome of Scan. It fails when the flags of the envelope and its
// slices disagree or msg was changed.
func scan(t *testing.T, s *Scanner, msg []byte) outcome {
	t.Helper()
	before := bytes.Clone(msg)
	env := Envelope{Type: 99, Channel: []byte("stale"), HasTo: true, IncludeSenderMetadata: true}
	o := outcome{Error: s.Scan(msg, &env)}
	o.Type = typeNames[env.Type]
	o.Channel = optional(t, env.Channel, env.HasChannel)
	o.To = optional(t, env.To, env.HasTo)
	o.RequestID = optional(t, env.RequestID, env.HasRequestID)
	o.Data = optional(t, env.Data, env.Data != nil)
	o.IncludeSenderMetadata = env.IncludeSenderMetadata
	if !bytes.Equal(msg, before) {
		t.Errorf("Scan changed the message %q to %q", before, msg)
	}
	if o.Error != "" {
		// Only the error and the request id count.
		o = outcome{Error: o.Error, RequestID: o.RequestID}
	}
	return o
}

func optional(t *testing.T, text []byte, has bool) *string {
	t.Helper()
	if !has {
		if text != nil {
			t.Errorf("a member that is not there has the text %q", text)
		}
		return nil
	}
	s := string(text)
	return &s
}

func TestScan(t *testing.T) {
	var s Scanner
	for _, v := range readVectors(t, "client.txt") {
		t.Run(v.name, func(t *testing.T) {
			var want outcome
			if err := json.Unmarshal([]byte(v.out), &want); err != nil {
				t.Fatal(err)
			}
			if got := scan(t, &s, []byte(v.in)); got.String() != want.String() {
				t.Errorf("Scan(%q)\n got %s\nwant %s", v.in, got, want)
			}
		})
	}
}

func TestScanDepth(t *testing.T) {
	var s Scanner
	nested := func(open, inner, shut string, n int) string {
		return `{"type":"ping","data":` + strings.Repeat(open, n) + inner + strings.Repeat(shut, n) + `}`
	}
	for _, tt := range []struct {
		name, msg string
		want      ErrorCode
	}{
		{"arrays at the limit", nested("[", "", "]", 9999), ""},
		{"arrays beyond", nested("[", "", "]", 10000), MalformedMessage},
		{"objects at the limit", nested(`{"a":`, "1", "}", 9999), ""},
		{"objects beyond", nested(`{"a":`, "1", "}", 10000), MalformedMessage},
		{"in turn, at the limit", nested(`[{"a":`, "[]", "}]", 4999), ""},
		{"in turn, beyond", nested(`[{"a":`, "[[]]", "}]", 4999), MalformedMessage},
		{"far beyond", nested("[", "", "]", 1_000_000), MalformedMessage},
		{"one wrong bracket at depth", nested("[", "}", "]", 9000), MalformedMessage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := scan(t, &s, []byte(tt.msg)).Error; got != tt.want {
				t.Errorf("Scan = %q, want %q", got, tt.want)
			}
			if got := json.Valid([]byte(tt.msg)); got != (tt.want == "") {
				t.Errorf("json.Valid = %v, but Scan wants %q", got, tt.want)
			}
		})
	}
}

// TestScanCut: whatever a message is cut down to is malformed, and reading it
// never goes past its end.
func TestScanCut(t *testing.T) {
	var s Scanner
	for _, v := range readVectors(t, "client.txt") {
		for n := range len(v.in) {
			cut := slices.Clip([]byte(v.in[:n]))
			if got := scan(t, &s, cut); got.Error == "" && !json.Valid(cut) {
				t.Errorf("Scan(%q) = %s, but it is not valid JSON", cut, got)
			}
		}
	}
}

// TestScanKeepsTexts: texts unescaped first survive the growth of the scratch.
func TestScanKeepsTexts(t *testing.T) {
	var s Scanner
	id, channel, to := strings.Repeat("i", 100)+"/", strings.Repeat("c", 300)+"/", strings.Repeat("t", 9000)+"/"
	escape := strings.NewReplacer("/", `\/`)
	msg := []byte(`{"type":"send","requestId":"` + escape.Replace(id) + `","channel":"` + escape.Replace(channel) +
		`","to":"` + escape.Replace(to) + `"}`)
	for range 2 {
		var env Envelope
		if code := s.Scan(msg, &env); code != "" {
			t.Fatalf("Scan = %q, want it accepted", code)
		}
		if string(env.RequestID) != id || string(env.Channel) != channel || string(env.To) != to {
			t.Errorf("texts = %q, %q, %q, want %q, %q, %q", env.RequestID, env.Channel, env.To, id, channel, to)
		}
	}
	if got := s.Scan([]byte(`{"type":"ping"}`), new(Envelope)); got != "" {
		t.Errorf("Scan = %q, want it accepted", got)
	}
	if cap(s.scratch) > maxScratch {
		t.Errorf("scratch holds %d bytes after a giant text, want at most %d", cap(s.scratch), maxScratch)
	}
}

// TestScanClipsTexts: an append to one slice of the envelope reaches neither
// into another nor into the message.
func TestScanClipsTexts(t *testing.T) {
	for _, tt := range []struct{ name, msg string }{
		{"aliasing the message", `{"type":"send","requestId":"r/1","channel":"c/1","to":"t/1","data":[1]}`},
		{"aliasing the scratch", `{"type":"send","requestId":"r\/1","channel":"c\/1","to":"t\/1","data":[1]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s Scanner
			var env Envelope
			msg := []byte(tt.msg)
			s.Scan(msg, &env) // grows the scratch to fit all
			s.Scan(msg, &env)
			for _, text := range [][]byte{env.RequestID, env.Channel, env.To, env.Data} {
				_ = append(text, "xxxx"...)
			}
			if string(msg) != tt.msg {
				t.Errorf("message became %s", msg)
			}
			if string(env.RequestID) != "r/1" || string(env.Channel) != "c/1" || string(env.To) != "t/1" {
				t.Errorf("texts became %q, %q, %q", env.RequestID, env.Channel, env.To)
			}
		})
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	var s Scanner
	var env Envelope
	for _, msg := range []string{
		publish130,
		`{"\u0074ype":"publish","channel":"a\/b","to":"\u0041","requestId":"r\n1","data":[[{}],"\u0041"]}`,
		`{"type":"hello"}`,
		`{"type":"publish","data":[}`,
	} {
		b := []byte(msg)
		if got := testing.AllocsPerRun(100, func() { s.Scan(b, &env) }); got != 0 {
			t.Errorf("Scan(%s) makes %v allocations, want 0", msg, got)
		}
	}
}

// jsonView is what encoding/json and the rules of the contract make of msg.
func jsonView(msg []byte) outcome {
	malformed := outcome{Error: MalformedMessage}
	var members map[string]json.RawMessage // exact names, the last one wins
	if !json.Valid(msg) || json.Unmarshal(msg, &members) != nil || members == nil {
		return malformed
	}
	var o outcome
	text := func(name string) *string {
		raw, ok := members[name]
		var s string
		if !ok || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
			return nil
		}
		return &s
	}
	if _, ok := members["requestId"]; ok {
		o.RequestID = text("requestId")
		if o.RequestID == nil || *o.RequestID == "" || utf8.RuneCountInString(*o.RequestID) > MaxRequestIDLen {
			return malformed
		}
	}
	malformed.RequestID = o.RequestID
	switch flag, ok := members["includeSenderMetadata"]; {
	case string(flag) == "true":
		o.IncludeSenderMetadata = true
	case ok && string(flag) != "false":
		return malformed
	}
	kind := text("type")
	if kind == nil {
		return malformed
	}
	switch *kind {
	case "subscribe", "unsubscribe", "publish", "send", "ping":
		o.Type = *kind
	default:
		return outcome{Error: UnknownType, RequestID: o.RequestID}
	}
	o.Channel, o.To = text("channel"), text("to")
	if data, ok := members["data"]; ok {
		raw := string(data)
		o.Data = &raw
	}
	return o
}

func FuzzScan(f *testing.F) {
	for _, v := range readVectors(f, "client.txt") {
		f.Add([]byte(v.in))
	}
	f.Add([]byte(publish130))
	var s Scanner // one for all, as on a loop: nothing may be left over
	f.Fuzz(func(t *testing.T, msg []byte) {
		got := scan(t, &s, msg)
		if !utf8.Valid(msg) {
			// The caller's fault; what is accepted must be the same all the same.
			object := len(bytes.TrimLeft(msg, " \t\r\n")) > 0 && bytes.TrimLeft(msg, " \t\r\n")[0] == '{'
			if got.Error == "" && !(object && json.Valid(msg)) {
				t.Errorf("Scan(%q) = %s, but it is not valid JSON", msg, got)
			}
			return
		}
		if want := jsonView(msg); got.String() != want.String() {
			t.Errorf("Scan(%q)\n got %s\nwant %s", msg, got, want)
		}
	})
}

// TestScanRandom damages the vectors a little, and more, in ways that often stay
// valid, and asks encoding/json.
func TestScanRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	vectors := readVectors(t, "client.txt")
	pick := func() string { return vectors[rng.IntN(len(vectors))].in }
	var s Scanner
	accepted := 0
	for range 20_000 {
		msg := pick()
		for range 1 + rng.IntN(3) {
			i := rng.IntN(len(msg) + 1)
			j := i + rng.IntN(min(len(msg)-i, 3)+1)
			part := randomText(rng, "{}[]\",:\\/u0d8- \n1eE.tnul", 2)
			if rng.IntN(4) == 0 {
				part = pick()
			}
			msg = msg[:i] + part + msg[j:]
		}
		if !utf8.ValidString(msg) {
			continue
		}
		got, want := scan(t, &s, []byte(msg)), jsonView([]byte(msg))
		if got.String() != want.String() {
			t.Fatalf("Scan(%q)\n got %s\nwant %s", msg, got, want)
		}
		if want.Error == "" {
			accepted++
		}
	}
	if accepted < 500 {
		t.Errorf("only %d messages were accepted: the test tells too little", accepted)
	}
}

// FuzzScanValue holds the grammar of values against json.Valid: what may stand
// as data, and nothing else, is a JSON value.
func FuzzScanValue(f *testing.F) {
	for _, v := range readVectors(f, "client.txt") {
		f.Add([]byte(v.in))
	}
	var s Scanner
	f.Fuzz(func(t *testing.T, value []byte) {
		msg := append(append([]byte(`{"type":"ping","data":`), value...), '}')
		got, want := scan(t, &s, msg).Error == "", json.Valid(msg)
		if want && !json.Valid(value) {
			return // not one value, but a value and more members
		}
		if got != want {
			t.Errorf("Scan(%q) accepts: %v, json.Valid: %v", msg, got, want)
		}
	})
}

// FuzzValid holds values that stand alone against json.Valid.
func FuzzValid(f *testing.F) {
	for _, v := range readVectors(f, "client.txt") {
		f.Add([]byte(v.in))
	}
	for _, text := range []string{"", " ", "1", " \t[1,{}]\r\n", "1 2", "{", `"a`, "nul", "[1,]", "-0.5e+7"} {
		f.Add([]byte(text))
	}
	var s Scanner
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, want := s.Valid(text), json.Valid(text); got != want {
			t.Errorf("Valid(%q) = %v, json.Valid: %v", text, got, want)
		}
	})
}
