package cluster

import "errors"

// ErrUnavailable says that the other nodes cannot be reached now. Clients are
// answered backend_error and may try again.
var ErrUnavailable = errors.New("cluster: other nodes cannot be reached")

// Publication is a message to a channel, as it crosses between nodes.
type Publication struct {
	App, Channel string
	From         string
	FromMetadata []byte // raw JSON object or nil
	Data         []byte // raw JSON value
}

// Direct is a message to a peer, as it crosses between nodes.
type Direct struct {
	App, To      string
	From         string
	FromMetadata []byte // raw JSON object or nil
	Data         []byte // raw JSON value
}

// Bus carries what other nodes must hear. The counts it returns are sockets on
// other nodes.
type Bus interface {
	// Publish tells the nodes that have subscribers of the channel.
	Publish(Publication) error
	// Send tells the nodes that have sockets of the peer and reports how many
	// sockets that is.
	Send(Direct) (sockets int, err error)
	// Kick closes the peer's sockets elsewhere and reports how many.
	Kick(app, peerID string) (sockets int, err error)
}

// Local is the Bus of a server that stands alone.
type Local struct{}

// Publish does nothing: there is no other node.
func (Local) Publish(Publication) error { return nil }

// Send reaches nobody.
func (Local) Send(Direct) (int, error) { return 0, nil }

// Kick reaches nobody.
func (Local) Kick(string, string) (int, error) { return 0, nil }
