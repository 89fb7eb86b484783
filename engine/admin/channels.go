package admin

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/goccy/go-json"

	"signalbox/engine/session"
	"signalbox/protocol"
)

type channelInfo struct {
	Channel string `json:"channel"`
	Peers   int    `json:"peers"`
}

// serveChannels lists an app's channels whose name holds ?search=.
func (s *Server) serveChannels(_ http.ResponseWriter, r *http.Request) (any, error) {
	app, err := s.app(r)
	if err != nil {
		return nil, err
	}
	n, err := limit(r, 50, 500)
	if err != nil {
		return nil, err
	}
	search := r.FormValue("search")
	found, more := s.Backend.FindChannels(app, r.FormValue("after"), n, func(name string) bool {
		return strings.Contains(name, search)
	})
	answer := struct {
		Channels []channelInfo `json:"channels"`
		Next     string        `json:"next,omitempty"`
	}{Channels: []channelInfo{}}
	for _, c := range found {
		answer.Channels = append(answer.Channels, channelInfo{c.Name, c.Peers})
	}
	if more && len(found) > 0 {
		answer.Next = found[len(found)-1].Name
	}
	return answer, nil
}

type peerInfo struct {
	PeerID   string          `json:"peerId"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// serveRoster lists who is in a channel.
func (s *Server) serveRoster(_ http.ResponseWriter, r *http.Request) (any, error) {
	app, err := s.app(r)
	if err != nil {
		return nil, err
	}
	n, err := limit(r, 200, 1000)
	if err != nil {
		return nil, err
	}
	channel := r.FormValue("channel")
	peers, err := s.Backend.Peers(r.Context(), app, channel)
	if err != nil {
		return nil, answered(r.Context(), err)
	}
	answer := struct {
		Channel string     `json:"channel"`
		Total   int        `json:"total"`
		Peers   []peerInfo `json:"peers"`
	}{channel, len(peers), []peerInfo{}}
	slices.SortFunc(peers, func(a, b protocol.Peer) int { return strings.Compare(a.ID, b.ID) })
	for _, p := range peers[:min(n, len(peers))] {
		answer.Peers = append(answer.Peers, peerInfo{p.ID, p.Metadata})
	}
	return answer, nil
}

// maxSockets is how many of a peer's sockets are listed.
const maxSockets = 100

type socketInfo struct {
	Conn          string   `json:"conn"`
	Loop          int      `json:"loop"`
	Address       string   `json:"address"`
	OpenedAt      int64    `json:"openedAt"`
	ExpiresAt     *int64   `json:"expiresAt"` // null: never
	KeyID         string   `json:"keyId"`
	Subscriptions int      `json:"subscriptions"`
	Channels      []string `json:"channels"`
	QueuedBytes   int      `json:"queuedBytes"`
}

// servePeer lists a peer's sockets.
func (s *Server) servePeer(_ http.ResponseWriter, r *http.Request) (any, error) {
	app, err := s.app(r)
	if err != nil {
		return nil, err
	}
	peer := r.FormValue("peer")
	sockets, total, err := s.Backend.Sockets(r.Context(), app, peer, maxSockets)
	if err != nil {
		return nil, answered(r.Context(), err)
	}
	answer := struct {
		PeerID  string       `json:"peerId"`
		Total   int          `json:"total"`
		Sockets []socketInfo `json:"sockets"`
	}{peer, total, []socketInfo{}}
	for _, c := range sockets {
		answer.Sockets = append(answer.Sockets, infoOf(c))
	}
	slices.SortFunc(answer.Sockets, func(a, b socketInfo) int {
		if a.OpenedAt != b.OpenedAt {
			return int(a.OpenedAt - b.OpenedAt)
		}
		return strings.Compare(a.Conn, b.Conn)
	})
	return answer, nil
}

func infoOf(c session.Socket) socketInfo {
	i := socketInfo{
		Conn: c.Conn.String(), Loop: c.Conn.Loop(), Address: address(c.Addr), OpenedAt: c.Opened.UnixMilli(), KeyID: c.Key,
		Subscriptions: c.Subscriptions, Channels: c.Channels, QueuedBytes: c.Queued,
	}
	if i.Channels == nil {
		i.Channels = []string{}
	}
	if !c.Expires.IsZero() {
		at := c.Expires.UnixMilli()
		i.ExpiresAt = &at
	}
	return i
}

type closeInfo struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
	By     string `json:"by"`
	Count  uint64 `json:"count"`
}

type farewellInfo struct {
	At       int64  `json:"at"`
	AppID    string `json:"appId"`
	PeerID   string `json:"peerId"`
	Conn     string `json:"conn"`
	Address  string `json:"address"`
	Code     int    `json:"code"`
	Reason   string `json:"reason"`
	By       string `json:"by"`
	OpenedAt int64  `json:"openedAt"`
}

// serveDisconnects tells how sessions ended.
func (s *Server) serveDisconnects(_ http.ResponseWriter, r *http.Request) (any, error) {
	farewells, err := s.Backend.Farewells(r.Context())
	if err != nil {
		return nil, answered(r.Context(), err)
	}
	answer := struct {
		Totals []closeInfo    `json:"totals"`
		Recent []farewellInfo `json:"recent"`
	}{[]closeInfo{}, []farewellInfo{}}
	if _, counts := s.Series.Since(1 << 62); counts != nil {
		for end, n := range counts.Closes {
			answer.Totals = append(answer.Totals, closeInfo{int(end.Code), end.Reason(), string(end.By), n})
		}
	}
	slices.SortFunc(answer.Totals, func(a, b closeInfo) int {
		if a.Code != b.Code {
			return a.Code - b.Code
		}
		return strings.Compare(a.By, b.By)
	})
	for _, f := range farewells {
		answer.Recent = append(answer.Recent, farewellInfo{
			f.At.UnixMilli(), f.App, f.Peer, f.Conn.String(), address(f.Addr),
			int(f.Code), f.Reason(), string(f.By), f.Opened.UnixMilli(),
		})
	}
	return answer, nil
}

// address is an address as text, empty if it is not known.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
