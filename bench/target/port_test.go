package target

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKeepPort: nobody listens on the port until who it is kept for does, again and
// again, and nobody else gets it meanwhile.
func TestKeepPort(t *testing.T) {
	p, err := keepPort()
	if err != nil {
		t.Fatal(err)
	}
	defer p.release()
	for range 2 {
		if _, err := net.Dial("tcp", p.addr.String()); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("got %v, want that the connection is refused", err)
		}
		ln, err := net.Listen("tcp", p.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
