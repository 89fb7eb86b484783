package session

import (
	"testing"
	"unsafe"

	"signalbox/engine/registry"
)

// TestSizes: a byte more takes the allocator's next size class, for every
// connection.
func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want uintptr
	}{
		{"Session", unsafe.Sizeof(Session{}), 144},
		{"subscription", unsafe.Sizeof(subscription{}), 24},
		{"registry.Channel", unsafe.Sizeof(registry.Channel{}), 160},
		{"registry.Peer", unsafe.Sizeof(registry.Peer{}), 32},
		{"registry.Subscriber", unsafe.Sizeof(registry.Subscriber{}), 16},
	} {
		if tt.got > tt.want {
			t.Errorf("a %s has %d bytes, want at most %d", tt.name, tt.got, tt.want)
		}
	}
}
