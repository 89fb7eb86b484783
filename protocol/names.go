package protocol

import "unicode/utf8"

// Longest names a client may use.
const (
	MaxChannelLen   = 256 // bytes of UTF-8
	MaxPeerIDLen    = 128 // bytes of ASCII
	MaxRequestIDLen = 128 // code points
)

// reservedPrefixes start the channels that no client may use.
var reservedPrefixes = [...]string{"_metered/", "_internal/", "_system/"}

// ValidChannel reports whether name is 1 to MaxChannelLen bytes of valid UTF-8
// without control characters (U+0000–1F, U+007F–9F). A glob is valid here, too:
// whether one is welcome is the caller's question, see IsGlob.
func ValidChannel[T ~string | ~[]byte](name T) bool {
	if len(name) == 0 || len(name) > MaxChannelLen {
		return false
	}
	ascii := true
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c < 0x20 || c == 0x7f:
			return false
		case c >= utf8.RuneSelf:
			ascii = false
			// U+0080–9F are C2 80–9F in UTF-8.
			if c == 0xc2 && i+1 < len(name) && name[i+1] < 0xa0 {
				return false
			}
		}
	}
	return ascii || utf8.Valid([]byte(name))
}

// IsGlob reports whether name holds a '*' anywhere, escaped or not, and so can
// never be a concrete channel.
func IsGlob[T ~string | ~[]byte](name T) bool {
	for i := 0; i < len(name); i++ {
		if name[i] == '*' {
			return true
		}
	}
	return false
}

// Reserved reports whether name starts with a prefix kept for the service:
// _metered/, _internal/ or _system/.
func Reserved[T ~string | ~[]byte](name T) bool {
	if len(name) == 0 || name[0] != '_' {
		return false
	}
	for _, p := range reservedPrefixes {
		if len(name) >= len(p) && string(name[:len(p)]) == p {
			return true
		}
	}
	return false
}

// ValidPeerID reports whether id is 1 to MaxPeerIDLen bytes of printable ASCII
// (0x20–0x7E).
func ValidPeerID[T ~string | ~[]byte](id T) bool {
	if len(id) == 0 || len(id) > MaxPeerIDLen {
		return false
	}
	for i := 0; i < len(id); i++ {
		if id[i] < 0x20 || id[i] > 0x7e {
			return false
		}
	}
	return true
}
