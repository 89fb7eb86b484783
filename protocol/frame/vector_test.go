package frame

import (
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

const defaultLimit = 1 << 16

// message is a Message that owns its payload.
type message struct {
	op      Opcode
	payload string
}

func (m message) String() string {
	if len(m.payload) > 64 {
		return fmt.Sprintf("%#x %.64q… (%d bytes)", m.op, m.payload, len(m.payload))
	}
	return fmt.Sprintf("%#x %q", m.op, m.payload)
}

// vector is one case of testdata/vectors.txt.
type vector struct {
	name   string
	limit  int
	stream []byte
	want   []message
	err    string // "1002 text", empty for none.
}

// vectors reads the golden cases.
func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if key == "case" {
			list = append(list, vector{name: value, limit: defaultLimit})
			continue
		}
		if err := list[len(list)-1].set(key, value); err != nil {
			t.Fatalf("vectors.txt:%d: %v", i+1, err)
		}
	}
	return list
}

func (v *vector) set(key, value string) (err error) {
	switch key {
	case "limit":
		v.limit, err = strconv.Atoi(value)
	case "in":
		bits, body, _ := strings.Cut(value, "|")
		first, err := strconv.ParseUint(strings.ReplaceAll(bits, " ", ""), 2, 16)
		if err != nil {
			return err
		}
		rest, err := bytesOf(strings.ReplaceAll(body, "|", " "))
		if err != nil {
			return err
		}
		v.stream = append(v.stream, byte(first>>8), byte(first))
		v.stream = append(v.stream, rest...)
	case "out":
		name, text, _ := strings.Cut(value, " ")
		op := map[string]Opcode{
			"text": OpText, "binary": OpBinary, "close": OpClose, "ping": OpPing, "pong": OpPong,
		}[name]
		payload, err := bytesOf(text)
		if err != nil {
			return err
		}
		v.want = append(v.want, message{op, string(payload)})
	case "error":
		v.err = value
	default:
		err = fmt.Errorf("unknown key %q", key)
	}
	return err
}

// bytesOf reads a quoted string, or hex groups of which each may be repeated.
func bytesOf(text string) ([]byte, error) {
	if strings.HasPrefix(text, `"`) {
		s, err := strconv.Unquote(text)
		return []byte(s), err
	}
	var out []byte
	for _, group := range strings.Fields(text) {
		digits, times, repeated := strings.Cut(group, "*")
		count := 1
		if repeated {
			var err error
			if count, err = strconv.Atoi(times); err != nil {
				return nil, err
			}
		}
		b, err := hex.DecodeString(digits)
		if err != nil {
			return nil, err
		}
		for range count {
			out = append(out, b...)
		}
	}
	return out, nil
}

// client appends a masked client frame; first holds the flags and the opcode.
func client(dst []byte, first byte, mask [4]byte, payload []byte) []byte {
	h := AppendHeader(nil, 0, len(payload))
	h[0] = first
	h[1] |= maskBit
	dst = append(append(dst, h...), mask[:]...)
	for i, b := range payload {
		dst = append(dst, b^mask[i%4])
	}
	return dst
}
