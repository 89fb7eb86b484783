package reactor

import (
	"errors"
	"testing"
)

// FuzzProxyHead: however much of the input has come, what is said of it stays true
// when more does, and no header is longer than it may be.
func FuzzProxyHead(f *testing.F) {
	for _, seed := range []string{"PROXY TCP4 203.0.113.7 127.0.0.1 1024 80\r\nGET", "PROXY UNKNOWN\r\n", fromTCP4, fromTCP6 + "GET", goodHead, "\r\n\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, wholeErr := proxyHead(b)
		if whole > len(b) || whole > maxProxyHead || wholeErr != nil && whole != 0 {
			t.Fatalf("got %d, %v of %d bytes", whole, wholeErr, len(b))
		}
		for i := range b {
			if n, err := proxyHead(b[:i]); !errors.Is(err, errShort) && (n != whole || err != wholeErr) {
				t.Fatalf("got %d, %v after %d bytes, and %d, %v after all", n, err, i, whole, wholeErr)
			}
		}
		if whole > 0 {
			_, _ = proxied(b[:whole]) // must not panic
		}
	})
}
