package clustertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace of its own; nil is the one we are in.
type namespace struct {
	t    testing.TB
	name string
	fd   int
}

// namespaces counts those made, for names.
var namespaces atomic.Int64

func newNamespace(t testing.TB) *namespace {
	t.Helper()
	n := &namespace{t: t, name: fmt.Sprintf("sbx%d-%d", os.Getpid(), namespaces.Add(1))}
	ip(t, "netns", "add", n.name)
	t.Cleanup(func() {
		_ = unix.Close(n.fd)
		ip(t, "netns", "del", n.name)
	})
	fd, err := unix.Open("/run/netns/"+n.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	n.fd = fd
	ip(t, "-n", n.name, "link", "set", "lo", "up")
	return n
}

// ip runs iproute2.
func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s (this test needs root and iproute2)", strings.Join(args, " "), err, out)
	}
}

// do calls f on a thread in the namespace: what f starts or opens is in it.
func (n *namespace) do(f func()) {
	if n == nil {
		f()
		return
	}
	doneC := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := unix.Setns(n.fd, unix.CLONE_NEWNET)
		if err == nil {
			f()
		}
		doneC <- err
	}()
	if err := <-doneC; err != nil {
		n.t.Errorf("enter namespace %s: %v", n.name, err)
	}
}

// dial opens a TCP connection from within the namespace.
func (n *namespace) dial(addr string) (c net.Conn, err error) {
	n.do(func() { c, err = (&net.Dialer{Timeout: patience}).Dial("tcp", addr) })
	if c == nil && err == nil {
		err = net.ErrClosed // the namespace could not be entered
	}
	return c, err
}

// wire is a veth pair between two namespaces.
type wire struct {
	t    testing.TB
	from *namespace
	name string // of its interface there
	ends [2]string
}

// wires counts those made, for names and networks.
var wires atomic.Int64

// join lays a wire between two namespaces. Its ends have addresses of a network of
// their own.
func join(t testing.TB, a, b *namespace) *wire {
	t.Helper()
	i := wires.Add(1)
	w := &wire{t: t, from: a, name: fmt.Sprintf("w%da", i)}
	far := fmt.Sprintf("w%db", i)
	ip(t, "link", "add", w.name, "netns", a.name, "type", "veth", "peer", "name", far, "netns", b.name)
	for end, c := range []struct {
		in   *namespace
		name string
	}{{a, w.name}, {b, far}} {
		w.ends[end] = fmt.Sprintf("10.77.%d.%d", i, end+1)
		ip(t, "-n", c.in.name, "address", "add", w.ends[end]+"/24", "dev", c.name)
		ip(t, "-n", c.in.name, "link", "set", c.name, "up")
	}
	return w
}

// cut takes the wire down, heal up again.
func (w *wire) cut()  { w.t.Helper(); ip(w.t, "-n", w.from.name, "link", "set", w.name, "down") }
func (w *wire) heal() { w.t.Helper(); ip(w.t, "-n", w.from.name, "link", "set", w.name, "up") }
