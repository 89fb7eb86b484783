package api

import (
	"context"
	"errors"

	"signalbox/engine/auth"
	"signalbox/engine/quota"
	"signalbox/protocol"
)

// Errors that a Backend returns, bare or wrapped. Every other error is
// answered like ErrUnavailable and logged.
var (
	ErrOverQuota   = errors.New("api: over the message quota")
	ErrUnavailable = errors.New("api: a part of the service is out of reach")
)

// Backend does what the REST calls ask for. Its methods are called from many
// goroutines at once, with app an app's id and names that are valid and
// authorised. Byte slices handed over stay untouched afterwards.
type Backend interface {
	// Keys returns the snapshot of apps and keys in force.
	Keys() *auth.Set

	// Publish sends data to the subscribers of channel and returns to how many
	// sockets. peerMetadata is nil or a JSON object. It counts against the quota.
	Publish(ctx context.Context, app, channel, from string, peerMetadata, data []byte) (delivered int, err error)

	// Send is Publish to the sockets of one peer; none is no error.
	Send(ctx context.Context, app, peerID, from string, peerMetadata, data []byte) (delivered int, err error)

	// Kick closes the sockets of a peer with 4020 and returns how many.
	Kick(ctx context.Context, app, peerID string) (closed int, err error)

	// Peers returns the roster of channel.
	Peers(ctx context.Context, app, channel string) ([]protocol.Peer, error)

	// Channels returns, in the order of their names, at most limit channels that
	// have peers, start with prefix, sort after after, and pass allow; and
	// whether there are more.
	Channels(ctx context.Context, app, prefix, after string, limit int, allow func(channel string) bool) (list []ChannelInfo, more bool, err error)

	// Usage returns the use in the current period.
	Usage(app string) quota.Usage
}

// ChannelInfo is one entry of GET /v1/channels.
type ChannelInfo struct {
	Channel string `json:"channel"`
	Peers   int    `json:"peers"`
}
