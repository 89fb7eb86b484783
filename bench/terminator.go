package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// terminatorCmd is a TLS terminator as a process of its own: crypto/tls with two
// goroutines a connection, to compare the server's own TLS with.
type terminatorCmd struct {
	Cert string `required:"" help:"Certificate chain, PEM."`
	Key  string `required:"" help:"Its key, PEM."`
	To   string `required:"" help:"Address of the plain server."`
}

// Run serves until ctx is done.
func (c terminatorCmd) Run(ctx context.Context, std *stdio) error {
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return err
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, DynamicRecordSizingDisabled: true})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	if _, err := fmt.Fprintf(std.out, `{"addr":"%s","pid":%d}`+"\n", ln.Addr(), os.Getpid()); err != nil {
		return err
	}
	for {
		near, err := ln.Accept()
		if err != nil {
			return nil // closed
		}
		go c.join(near)
	}
}

// join passes on what both sides send until one ends.
func (c terminatorCmd) join(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", c.To)
	if err != nil {
		return
	}
	defer far.Close()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(near, far) // either side may go at any time
		_ = near.Close()
	})
	_, _ = io.Copy(far, near)
	_ = far.Close()
	back.Wait()
}
