package main

import (
	"context"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// coderQueue is how many messages wait for a member's writer: as many as in the
// library's own chat example. A publisher waits when they are more.
const coderQueue = 16

// coderHub is the hub on coder/websocket: as in the library's chat example,
// each connection has a goroutine that reads, one that writes and a queue.
type coderHub struct {
	rooms shared[chan<- []byte]
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
	queueC := make(chan []byte, coderQueue)
	m := h.rooms.join(channelOf(r.URL), queueC)
	defer func() {
		h.rooms.leave(m)
		close(queueC) // nobody publishes to it any more
	}()
	go write(conn, queueC)
	// A context that can end would cost every read and write a registration.
	ctx := context.Background()
	for {
		kind, payload, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if kind == websocket.MessageText {
			h.rooms.publish(m, func(toC chan<- []byte) { toC <- payload })
		}
	}
}

// write sends what is queued until the queue is closed.
func write(conn *websocket.Conn, queueC <-chan []byte) {
	for payload := range queueC {
		if conn.Write(context.Background(), websocket.MessageText, payload) != nil {
			break
		}
	}
	// Nobody may wait for room in the queue of a connection that has failed.
	for range queueC {
	}
}
