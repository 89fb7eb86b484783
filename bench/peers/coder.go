package main

import (
	"context"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// coderHub is the hub on coder/websocket.
type coderHub struct {
	rooms shared[*websocket.Conn]
}

func serveCoder(ctx context.Context, ready func(net.Addr)) error {
	return serveHTTP(ctx, &coderHub{}, ready)
}

// ServeHTTP implements http.Handler: it serves one connection until that ends.
func (h *coderHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	m := h.rooms.join(channelOf(r.URL), conn)
	defer h.rooms.leave(m)
	// A context that can end would cost every read and write a registration.
	ctx := context.Background()
	for {
		kind, payload, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if kind != websocket.MessageText {
			continue
		}
		h.rooms.publish(m, func(to *websocket.Conn) {
			// A failed write closes the connection, and its own Read ends.
			_ = to.Write(ctx, websocket.MessageText, payload)
		})
	}
}
