package protocol

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// stringTests are the table of TestAppendString and the seeds of
// FuzzAppendString.
var stringTests = []struct{ name, text, want string }{
	{"empty", "", `""`},
	{"plain", "hello, world", `"hello, world"`},
	{"quote and backslash", `a"b\c`, `"a\"b\\c"`},
	{"slash stays", "a/b", `"a/b"`},
	{"short escapes", "\b\f\n\r\t", `"\b\f\n\r\t"`},
	{"other controls", "\x00\x0b\x1f", `"\u0000\u000b\u001f"`},
	{"delete stays", "\x7f", "\"\x7f\""},
	{"HTML stays", "<a&b>", `"<a&b>"`},
	{"not ASCII stays", "é日😀\u2028", "\"é日😀\u2028\""},
	{"invalid byte", "a\xffb", `"a�b"`},
	{"two invalid bytes", "\xff\xfe", `"��"`},
	{"cut character", "a\xe6\x97", `"a��"`},
	{"cut by a quote", "\xe6\"\x97", `"�\"�"`},
	{"surrogate half", "\xed\xa0\x80", `"���"`},
	{"long", strings.Repeat("0123456789", 10) + `"`, `"` + strings.Repeat("0123456789", 10) + `\""`},
}

func TestAppendString(t *testing.T) {
	for _, tt := range stringTests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendString(nil, tt.text)); got != tt.want {
				t.Errorf("AppendString(%q) = %s, want %s", tt.text, got, tt.want)
			}
			if got := string(AppendString([]byte("x"), []byte(tt.text))); got != "x"+tt.want {
				t.Errorf("AppendString([]byte(%q)) = %s, want x%s", tt.text, got, tt.want)
			}
		})
	}
}

// FuzzAppendString: a JSON decoder reads back what was appended, and so does
// the scanner.
func FuzzAppendString(f *testing.F) {
	for _, tt := range stringTests {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := AppendString(nil, text)
		if !utf8.Valid(got) {
			t.Errorf("AppendString(%q) = %q is not valid UTF-8", text, got)
		}
		want := string([]rune(text)) // U+FFFD for each invalid byte
		var read string
		if err := json.Unmarshal(got, &read); err != nil || read != want {
			t.Errorf("AppendString(%q) = %s reads back as %q, %v, want %q", text, got, read, err, want)
		}
		if end := skipString(got, 0); end != len(got) {
			t.Errorf("skipString(%s) = %d, want %d", got, end, len(got))
		}
		if read := string(appendUnescaped(nil, got[1:len(got)-1])); read != want {
			t.Errorf("appendUnescaped(%s) = %q, want %q", got, read, want)
		}
	})
}

// TestSkipString puts each byte at each place of a word and of the rest behind
// it, among fillers that differ from the special bytes by little.
func TestSkipString(t *testing.T) {
	for c := range 256 {
		for place := range 17 {
			for _, filler := range []byte{'a', 0x20, 0x21, '#', '[', ']', 0x7f, 0x80, 0xff} {
				text := []byte(`"` + strings.Repeat(string([]byte{filler}), 17) + `"`)
				text[1+place] = byte(c)
				want := len(text)
				switch {
				case c == '"':
					want = 1 + place + 1
				case c < 0x20, c == '\\': // no filler, and no closing quote, ends an escape
					want = -1
				}
				if got := skipString(text, 0); got != want {
					t.Fatalf("skipString(%q) = %d, want %d", text, got, want)
				}
			}
		}
	}
}
