package target

import "signalbox/bench/client"

// Hub is the dialect of a plain WebSocket hub: the path names a channel, and
// every text message goes verbatim to all other sockets of the same path.
type Hub struct{ Host string }

// Join implements Dialect.
func (h *Hub) Join(_, channel string) (client.Script, error) {
	return client.Script{Request: client.Upgrade(h.Host, "/"+channel)}, nil
}

// Visit implements Dialect.
func (h *Hub) Visit(peer, channel string) (client.Script, error) { return h.Join(peer, channel) }

// AppendPublish implements Dialect.
func (h *Hub) AppendPublish(dst []byte, _ string, data []byte) []byte {
	return client.AppendText(dst, data)
}

// Overhead implements Dialect.
func (h *Hub) Overhead(string, string) int { return 0 }

// Closers implements Dialect.
func (h *Hub) Closers() int { return 0 }
