package clustertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// broker is a nats-server.
type broker struct {
	*process
	in   *namespace
	host string // where clients reach it
	port string
}

// startBroker runs a nats-server on an address that stays free while it is down: of the
// loopback network, where nobody else's connections come from, and with a port that
// nobody is given who asks for any, on all addresses say: those are from 32768 up.
func startBroker(t testing.TB) *broker {
	t.Helper()
	for range 100 {
		host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
		port := strconv.Itoa(20000 + rand.IntN(12000))
		if ln, err := net.Listen("tcp", net.JoinHostPort(host, port)); err == nil {
			_ = ln.Close()
			b := &broker{host: host, port: port}
			b.run(t)
			return b
		}
	}
	t.Fatal("no port is free")
	return nil
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
