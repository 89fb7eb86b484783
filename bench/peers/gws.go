package main

import (
	"context"
	"net"
	"net/http"

	"github.com/lxzan/gws"
)

// Keys of a gws session.
const (
	channelKey = "channel"
	memberKey  = "member"
)

// gwsHub is the hub on lxzan/gws.
type gwsHub struct {
	gws.BuiltinEventHandler
	rooms shared[*gws.Conn]
}

func serveGws(ctx context.Context, ready func(net.Addr)) error {
	ln, err := net.Listen("tcp4", listenAddr)
	if err != nil {
		return err
	}
	server := gws.NewServer(&gwsHub{}, &gws.ServerOption{
		ReadMaxPayloadSize: maxMessage,
		Authorize: func(r *http.Request, session gws.SessionStorage) bool {
			session.Store(channelKey, channelOf(r.URL))
			return true
		},
	})
	// RunListener would spin on a closed listener: it ends with the process.
	failedC := make(chan error, 1)
	go func() { failedC <- server.RunListener(ln) }()
	ready(ln.Addr())
	select {
	case err := <-failedC:
		return err
	case <-ctx.Done():
		return nil
	}
}

// OnOpen implements gws.Event.
func (h *gwsHub) OnOpen(socket *gws.Conn) {
	channel, _ := socket.Session().Load(channelKey)
	name, _ := channel.(string)
	socket.Session().Store(memberKey, h.rooms.join(name, socket))
}

// OnClose implements gws.Event.
func (h *gwsHub) OnClose(socket *gws.Conn, _ error) {
	if m, ok := memberOf(socket); ok {
		h.rooms.leave(m)
	}
}

// OnPing implements gws.Event.
func (h *gwsHub) OnPing(socket *gws.Conn, payload []byte) { _ = socket.WritePong(payload) }

// OnMessage implements gws.Event.
func (h *gwsHub) OnMessage(socket *gws.Conn, message *gws.Message) {
	defer message.Close()
	m, ok := memberOf(socket)
	if !ok || message.Opcode != gws.OpcodeText {
		return
	}
	// The frame is made once and queued for each member, whose writes go on
	// after publish has returned. A failed one closes the connection, and
	// OnClose is called for it.
	broadcaster := gws.NewBroadcaster(gws.OpcodeText, message.Bytes())
	defer broadcaster.Close()
	h.rooms.publish(m, func(to *gws.Conn) { _ = broadcaster.Broadcast(to) })

}

func memberOf(socket *gws.Conn) (*member[*gws.Conn], bool) {
	value, _ := socket.Session().Load(memberKey)
	m, ok := value.(*member[*gws.Conn])
	return m, ok
}
