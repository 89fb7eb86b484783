package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// maxOnline is how many connections nbio is told to take; its default is 10 000.
const maxOnline = 1 << 20

// nbioHub is the hub on lesismal/nbio, in its non-blocking mode.
type nbioHub struct {
	upgrader *websocket.Upgrader
	rooms    shared[*websocket.Conn]
}

func serveNbio(ctx context.Context, ready func(net.Addr)) error {
	logging.SetLevel(logging.LevelError)
	ln, err := net.Listen("tcp4", listenAddr)
	if err != nil {
		return err
	}
	h := &nbioHub{upgrader: websocket.NewUpgrader()}
	h.upgrader.CheckOrigin = func(*http.Request) bool { return true }
	h.upgrader.MessageLengthLimit = maxMessage
	h.upgrader.KeepaliveTime = 0 // idle connections stay
	h.upgrader.OnMessage(h.message)
	h.upgrader.OnClose(h.closed)
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network:                 "tcp",
		Addrs:                   []string{ln.Addr().String()},
		Listen:                  func(string, string) (net.Listener, error) { return ln, nil },
		MaxLoad:                 maxOnline,
		ReleaseWebsocketPayload: true,
		Handler:                 h,
	})
	h.upgrader.Engine = engine
	if err := engine.Start(); err != nil {
		return err
	}
	ready(ln.Addr())
	<-ctx.Done()
	engine.Stop()
	return nil
}

// ServeHTTP implements http.Handler. What the client sends after the handshake
// is handled after it returns.
func (h *nbioHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	_ = conn.SetReadDeadline(time.Time{}) // was HTTP's keep-alive
	conn.SetSession(h.rooms.join(channelOf(r.URL), conn))
}

func (h *nbioHub) message(conn *websocket.Conn, kind websocket.MessageType, payload []byte) {
	m, ok := conn.Session().(*member[*websocket.Conn])
	if !ok || kind != websocket.TextMessage {
		return
	}
	h.rooms.publish(m, func(to *websocket.Conn) {
		// A failed write closes the connection, and closed is called for it.
		_ = to.WriteMessage(websocket.TextMessage, payload)
	})
}

func (h *nbioHub) closed(conn *websocket.Conn, _ error) {
	if m, ok := conn.Session().(*member[*websocket.Conn]); ok {
		h.rooms.leave(m)
	}
}
