package client

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestCause(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cause Cause
		want  string
	}{
		{"none", Cause{}, "closed by us"},
		{"end of stream", Cause{During: "open"}, "open: end of stream"},
		{"HTTP", Cause{During: "upgrade", Status: 503}, "upgrade: HTTP status 503"},
		{"refused", Cause{During: "connect", Errno: unix.ECONNREFUSED}, "connect: connection refused"},
		{"text", Cause{During: "connect", Text: unfinished}, "connect: not finished in time"},
		{"wrong key", Cause{During: "subscribe", Code: 4001}, "subscribe: close code 4001 (unauthorized)"},
		{"too many messages", Cause{During: "open", Code: 4011}, "open: close code 4011 (message rate exceeded: start the server with --message-rate 0)"},
		{"unknown code", Cause{During: "open", Code: 4999}, "open: close code 4999"},
	} {
		if got := tt.cause.String(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
