package main

import (
	"context"
	"net"

	"github.com/centrifugal/centrifuge"
)

// serveCentrifuge serves a node of the centrifuge library: one process, in
// memory, anonymous users, every channel open to all of them.
func serveCentrifuge(ctx context.Context, ready func(net.Addr)) error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{}, nil)
		})
		c.OnPublish(func(e centrifuge.PublishEvent, answer centrifuge.PublishCallback) {
			// Published here, not by the library after the answer: that would
			// add the publisher's info to each delivery.
			result, err := node.Publish(e.Channel, e.Data)
			answer(centrifuge.PublishReply{Result: &result}, err)
		})
	})
	if err := node.Run(); err != nil {
		return err
	}
	// The node ends with the process: closing each connection in order takes long.
	return serveHTTP(ctx, centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}), ready)
}
