package protocol

import (
	"strings"
	"testing"
)

func TestValidChannel(t *testing.T) {
	for _, tt := range []struct {
		name, channel string
		want          bool
	}{
		{"plain", "app_demo/room-1", true},
		{"one byte", "a", true},
		{"space and punctuation", `a b\c"d~`, true},
		{"glob", "room-*", true},
		{"not ASCII", "größe/日本/😀", true},
		{"U+00A0, the first after the controls", "a\u00a0", true},
		{"256 bytes", strings.Repeat("a", 256), true},
		{"256 bytes of UTF-8", strings.Repeat("é", 128), true},
		{"empty", "", false},
		{"257 bytes", strings.Repeat("a", 257), false},
		{"258 bytes, 129 characters", strings.Repeat("é", 129), false},
		{"U+0000", "a\x00b", false},
		{"U+001F", "a\x1fb", false},
		{"newline", "a\n", false},
		{"U+007F", "a\x7f", false},
		{"U+0080", "a\u0080", false},
		{"U+009F", "\u009fa", false},
		{"invalid byte", "a\xff", false},
		{"cut character", "a\xc3", false},
		{"cut control", "a\xc2", false},
		{"overlong", "\xc0\xaf", false},
		{"surrogate half", "\xed\xa0\x80", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ValidChannel(tt.channel); got != tt.want {
				t.Errorf("ValidChannel(%q) = %v, want %v", tt.channel, got, tt.want)
			}
			if got := ValidChannel([]byte(tt.channel)); got != tt.want {
				t.Errorf("ValidChannel([]byte(%q)) = %v, want %v", tt.channel, got, tt.want)
			}
		})
	}
}

func TestIsGlob(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"empty", "", false},
		{"plain", "room-1", false},
		{"backslash alone", `a\b`, false},
		{"star", "room-*", true},
		{"star first", "*", true},
		{"escaped star", `a\*b`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := IsGlob(tt.text); got != tt.want {
				t.Errorf("IsGlob(%q) = %v, want %v", tt.text, got, tt.want)
			}
			if got := IsGlob([]byte(tt.text)); got != tt.want {
				t.Errorf("IsGlob([]byte(%q)) = %v, want %v", tt.text, got, tt.want)
			}
		})
	}
}

func TestReserved(t *testing.T) {
	for _, tt := range []struct {
		name, channel string
		want          bool
	}{
		{"metered", "_metered/x", true},
		{"internal", "_internal/x/y", true},
		{"system, nothing behind", "_system/", true},
		{"glob behind the prefix", "_system/*", true},
		{"no slash", "_system", false},
		{"longer word", "_systems/x", false},
		{"other case", "_System/x", false},
		{"further in", "a/_system/x", false},
		{"underscore alone", "_", false},
		{"empty", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Reserved(tt.channel); got != tt.want {
				t.Errorf("Reserved(%q) = %v, want %v", tt.channel, got, tt.want)
			}
			if got := Reserved([]byte(tt.channel)); got != tt.want {
				t.Errorf("Reserved([]byte(%q)) = %v, want %v", tt.channel, got, tt.want)
			}
		})
	}
}

func TestValidPeerID(t *testing.T) {
	for _, tt := range []struct {
		name, id string
		want     bool
	}{
		{"plain", "alice", true},
		{"first and last printable", " ~", true},
		{"quotes", `"\`, true},
		{"128 bytes", strings.Repeat("a", 128), true},
		{"empty", "", false},
		{"129 bytes", strings.Repeat("a", 129), false},
		{"control", "a\x1f", false},
		{"delete", "a\x7f", false},
		{"not ASCII", "é", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ValidPeerID(tt.id); got != tt.want {
				t.Errorf("ValidPeerID(%q) = %v, want %v", tt.id, got, tt.want)
			}
			if got := ValidPeerID([]byte(tt.id)); got != tt.want {
				t.Errorf("ValidPeerID([]byte(%q)) = %v, want %v", tt.id, got, tt.want)
			}
		})
	}
}

func TestNamesDoNotAllocate(t *testing.T) {
	text := strings.Repeat("größe/", 30)
	name := []byte(text)
	got := testing.AllocsPerRun(100, func() {
		if !ValidChannel(name) || !ValidChannel(text) {
			t.Error("ValidChannel = false, want true")
		}
		if IsGlob(name) || Reserved(name) || ValidPeerID(name) || Reserved("_metered") {
			t.Error("a plain channel name taken for something else")
		}
	})
	if got != 0 {
		t.Errorf("allocations = %v, want 0", got)
	}
}
