package frame

import (
	"strings"
	"testing"

	"signalbox/protocol"
)

func TestParseClose(t *testing.T) {
	tests := []struct {
		name string
		body string
		code uint16
		err  string
	}{
		{"no body", "", NoStatus, ""},
		{"one byte", "\x03", 0, "1002 frame: close body of one byte"},
		{"code alone", "\x03\xe8", 1000, ""},
		{"code and reason", "\x03\xe9going €", 1001, ""},
		{"longest reason", "\x03\xe8" + strings.Repeat("x", 123), 1000, ""},
		{"reason not UTF-8", "\x03\xe8\xff", 0, "1007 frame: text is not UTF-8"},
		{"reason cut in a rune", "\x03\xe8\xe2\x82", 0, "1007 frame: text is not UTF-8"},
		{"bad code before bad reason", "\x03\xe7\xff", 0, "1002 frame: close code not allowed on the wire"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, err := ParseClose([]byte(tt.body))
			if code != tt.code || describe(err) != tt.err {
				t.Errorf("ParseClose = %d, %q, want %d, %q", code, describe(err), tt.code, tt.err)
			}
		})
	}
}

// TestParseCloseCodes tries every code there is against the ranges of RFC 6455
// §7.4 and IANA's WebSocket Close Code Number Registry.
func TestParseCloseCodes(t *testing.T) {
	allowed := [][2]int{{1000, 1003}, {1007, 1014}, {3000, 4999}}
	for code := range 1 << 16 {
		want := false
		for _, r := range allowed {
			want = want || r[0] <= code && code <= r[1]
		}
		got, err := ParseClose([]byte{byte(code >> 8), byte(code)})
		switch {
		case want && (err != nil || int(got) != code):
			t.Errorf("ParseClose(%d) = %d, %v", code, got, err)
		case !want && err != ErrCloseCode:
			t.Errorf("ParseClose(%d) error %v, want %v", code, err, ErrCloseCode)
		}
	}
}

func TestAppendClose(t *testing.T) {
	tests := []struct {
		name   string
		code   protocol.CloseCode
		reason string
		want   string
	}{
		{"code alone", 1000, "", "\x88\x02\x03\xe8"},
		{"code and reason", 1002, "bad", "\x88\x05\x03\xeabad"},
		{"no status", NoStatus, "ignored", "\x88\x00"},
		{"longest reason", 4001, strings.Repeat("x", 123), "\x88\x7d\x0f\xa1" + strings.Repeat("x", 123)},
		{"reason too long", 4001, strings.Repeat("x", 124), "\x88\x7d\x0f\xa1" + strings.Repeat("x", 123)},
		{"cut at a rune", 4001, strings.Repeat("x", 121) + "€", "\x88\x7b\x0f\xa1" + strings.Repeat("x", 121)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendClose([]byte("-"), tt.code, tt.reason)); got != "-"+tt.want {
				t.Errorf("AppendClose = %q, want %q", got, "-"+tt.want)
			}
		})
	}
}
