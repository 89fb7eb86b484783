package reactor

import (
	"testing"
	"unsafe"
)

// TestSize: a byte more takes the allocator's next size class, for every
// connection.
func TestSize(t *testing.T) {
	if got := unsafe.Sizeof(Conn{}); got > 64 {
		t.Errorf("a Conn has %d bytes, want at most 64", got)
	}
}
