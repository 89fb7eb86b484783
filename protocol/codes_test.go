package protocol

import (
	"encoding/json"
	"testing"
)

// errorCodes are all of them, as clients know them.
var errorCodes = []ErrorCode{
	"malformed_message", "unknown_type", "invalid_channel", "invalid_peer_id", "channel_not_authorized",
	"channel_reserved", "channel_limit_exceeded", "peer_not_found", "missing_data", "action_not_permitted",
	"over_message_quota", "backend_error", "internal_error",
}

func TestErrorCodeMessage(t *testing.T) {
	seen := map[string]ErrorCode{}
	for _, code := range errorCodes {
		t.Run(string(code), func(t *testing.T) {
			msg := code.Message()
			if msg == "" {
				t.Fatal("Message is empty")
			}
			if other, ok := seen[msg]; ok {
				t.Errorf("Message is that of %s, too", other)
			}
			seen[msg] = code
			// AppendError writes the code and the message without escaping.
			for _, s := range []string{msg, string(code)} {
				if got, want := `"`+s+`"`, string(AppendString(nil, s)); got != want {
					t.Errorf("text %s needs escaping: %s", got, want)
				}
			}
		})
	}
	if got, want := ErrorCode("other").Message(), InternalError.Message(); got != want {
		t.Errorf("message of an unknown code = %q, want %q", got, want)
	}
}

func TestCloseCodeReason(t *testing.T) {
	for _, tt := range []struct {
		code CloseCode
		want string
	}{
		{1000, "normal closure"},
		{1001, "server going away"},
		{1002, "protocol error"},
		{1003, "binary messages not supported"},
		{1007, "invalid UTF-8"},
		{1008, "policy violation"},
		{1009, "message too big"},
		{4000, "client inactive"},
		{4001, "unauthorized"},
		{4002, "token expired"},
		{4003, "no authorized channels"},
		{4010, "connection limit reached"},
		{4011, "message rate exceeded"},
		{4012, "app suspended"},
		{4020, "disconnected by admin"},
		{1005, ""},
		{4999, ""},
	} {
		t.Run(tt.want, func(t *testing.T) {
			got := tt.code.Reason()
			if got != tt.want {
				t.Errorf("CloseCode(%d).Reason() = %q, want %q", tt.code, got, tt.want)
			}
			// RFC 6455 §5.5: a control frame holds 125 bytes, two of them the code.
			if len(got) > 123 {
				t.Errorf("Reason is %d bytes, want at most 123", len(got))
			}
		})
	}
}

func TestErrorFramesAreJSON(t *testing.T) {
	for _, code := range errorCodes {
		t.Run(string(code), func(t *testing.T) {
			var got struct{ Type, RequestID, Code, Message string }
			if err := json.Unmarshal(AppendError(nil, []byte(`r"1`), code), &got); err != nil {
				t.Fatal(err)
			}
			want := struct{ Type, RequestID, Code, Message string }{"error", `r"1`, string(code), code.Message()}
			if got != want {
				t.Errorf("error frame = %+v, want %+v", got, want)
			}
		})
	}
}
