package main

import (
	"context"
	"net"

	"signalbox/bench/floor"
)

// serveFloor serves the bare send loop, which ends with the process.
func serveFloor(ctx context.Context, ready func(net.Addr)) error {
	s, err := floor.New()
	if err != nil {
		return err
	}
	failedC := make(chan error, 1)
	go func() { failedC <- s.Run() }()
	ready(net.TCPAddrFromAddrPort(s.Addr()))
	select {
	case err := <-failedC:
		return err
	case <-ctx.Done():
		return nil
	}
}
