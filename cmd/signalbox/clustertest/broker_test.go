package clustertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// broker is a nats-server.
type broker struct {
	*process
	in   *namespace
	host string // where clients reach it
	port string
}

// startBroker runs a nats-server on an address of the loopback network that nobody
// else's connections come from, so that its port stays free while it is down.
func startBroker(t testing.TB) *broker {
	t.Helper()
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	_ = ln.Close()
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{host: host, port: port}
	b.run(t)
	return b
}

// run starts the process, for the first time or again, and waits until it listens.
func (b *broker) run(t testing.TB) {
	t.Helper()
	b.process = start(t, b.in, t.TempDir(), brokerBinary, "--addr", b.host, "--port", b.port)
	waitFor(t, patience, "nats-server listens", func() bool {
		c, err := b.in.dial(net.JoinHostPort(b.host, b.port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (b *broker) url() string { return "nats://" + net.JoinHostPort(b.host, b.port) }
