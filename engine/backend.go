package engine

import (
	"context"
	"errors"
	"time"

	"signalbox/engine/api"
	"signalbox/engine/cluster"
	"signalbox/engine/quota"
	"signalbox/engine/session"
	"signalbox/protocol"
)

// backend does for the REST API what sessions do for their clients.
type backend struct{ *session.Hub }

// Publish counts a message and sends it to the channel's subscribers.
func (b backend) Publish(ctx context.Context, app, channel, from string, meta, data []byte) (int, error) {
	if !b.App(app).Quota.Message() {
		return 0, api.ErrOverQuota
	}
	n, err := b.Hub.Publish(ctx, app, channel, from, meta, data)
	return n, outage(err)
}

// Send counts a message and sends it to the peer's sockets.
func (b backend) Send(ctx context.Context, app, peer, from string, meta, data []byte) (int, error) {
	if !b.App(app).Quota.Message() {
		return 0, api.ErrOverQuota
	}
	n, err := b.Hub.Send(ctx, app, peer, from, meta, data)
	return n, outage(err)
}

// Kick closes the peer's sockets.
func (b backend) Kick(ctx context.Context, app, peer string) (int, error) {
	n, err := b.Hub.Kick(ctx, app, peer)
	return n, outage(err)
}

// Peers returns who is in the channel.
func (b backend) Peers(ctx context.Context, app, channel string) ([]protocol.Peer, error) {
	peers, err := b.Hub.Peers(ctx, app, channel)
	return peers, outage(err)
}

// Channels lists channels with peers.
func (b backend) Channels(ctx context.Context, app, prefix, after string, limit int, allow func(string) bool) ([]api.ChannelInfo, bool, error) {
	listed, more, err := b.Hub.Channels(ctx, app, prefix, after, limit, allow)
	infos := make([]api.ChannelInfo, len(listed))
	for i, c := range listed {
		infos[i] = api.ChannelInfo{Channel: c.Name, Peers: c.Peers}
	}
	return infos, more, outage(err)
}

// Usage returns the app's use in the current period.
func (b backend) Usage(app string) quota.Usage { return b.App(app).Quota.Usage(time.Now()) }

// outage says of errors that mean a part is out of reach that they do.
func outage(err error) error {
	if errors.Is(err, cluster.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(api.ErrUnavailable, err)
	}
	return err
}
