package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// headTimeout is how long a client may take to send its request head.
const headTimeout = time.Minute

// serveHTTP serves a handler that takes its connections over.
func serveHTTP(ctx context.Context, handler http.Handler, ready func(net.Addr)) error {
	ln, err := net.Listen("tcp4", listenAddr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headTimeout}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	ready(ln.Addr())
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
