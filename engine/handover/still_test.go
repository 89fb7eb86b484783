package handover

import (
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPassingOnKeepsNonBlocking: a listener stays non-blocking at every step of its way
// to a successor; its next Accept, and with it Close, would hang otherwise.
func TestPassingOnKeepsNonBlocking(t *testing.T) {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	check := func(when string) {
		t.Helper()
		raw, err := ln.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) {
			if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("%s: flags are %#x, %v, want O_NONBLOCK among them", when, flags, err)
			}
		})
	}
	f, err := copyOf(ln)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := f.Fd() // as exec asks for it
	check("passed on")
	left, err := unix.Dup(int(fd))
	if err != nil {
		t.Fatal(err)
	}
	next, err := inherit(left, func(f *os.File) (net.Listener, error) {
		f.Fd()
		check("on the way")
		return net.FileListener(f)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	check("taken")
}
