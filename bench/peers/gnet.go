package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// maxHead is the longest request head taken, in bytes.
const maxHead = 32 << 10

var headEnd = []byte("\r\n\r\n")

// gnetHub is a bare hub on gnet with gobwas/ws's frames: one event loop, one
// write a message and socket. All but engine and bootedC is the loop's.
type gnetHub struct {
	gnet.BuiltinEventEngine
	engine  gnet.Engine   // set when bootedC is closed
	bootedC chan struct{} // closed by OnBoot
	rooms   rooms[gnet.Conn]
	out     []byte
}

func serveGnet(ctx context.Context, ready func(net.Addr)) error {
	logger, err := zap.NewProduction(zap.IncreaseLevel(zap.WarnLevel)) // to standard error
	if err != nil {
		return err
	}
	h := &gnetHub{bootedC: make(chan struct{})}
	endedC := make(chan error, 1)
	go func() {
		endedC <- gnet.Run(h, "tcp4://"+listenAddr, gnet.WithNumEventLoop(1), gnet.WithLogger(logger.Sugar()))
	}()
	select {
	case err := <-endedC:
		return err
	case <-h.bootedC:
	}
	addr, err := h.addr()
	if err != nil {
		return err
	}
	ready(addr)
	select {
	case err := <-endedC:
		// gnet ends without an error, too, when accept fails.
		return errors.Join(errors.New("gnet: the engine has ended"), err)
	case <-ctx.Done():
		return nil
	}
}

// addr returns the address that the engine listens on.
func (h *gnetHub) addr() (net.Addr, error) {
	fd, err := h.engine.Dup()
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	bound, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return nil, errors.New("gnet: not an IPv4 socket")
	}
	return &net.TCPAddr{IP: bound.Addr[:], Port: bound.Port}, nil
}

// OnBoot implements gnet.EventHandler.
func (h *gnetHub) OnBoot(engine gnet.Engine) gnet.Action {
	h.engine = engine
	close(h.bootedC)
	return gnet.None
}

// OnClose implements gnet.EventHandler. gnet also calls it within a Write that
// fails.
func (h *gnetHub) OnClose(c gnet.Conn, _ error) gnet.Action {
	if m, ok := c.Context().(*member[gnet.Conn]); ok {
		h.rooms.leave(m)
	}
	return gnet.None
}

// OnTraffic implements gnet.EventHandler.
func (h *gnetHub) OnTraffic(c gnet.Conn) gnet.Action {
	m, ok := c.Context().(*member[gnet.Conn])
	if !ok {
		var err error
		if m, err = h.upgrade(c); err != nil {
			return gnet.Close
		}
		if m == nil {
			return gnet.None
		}
		c.SetContext(m)
	}
	buf, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	used, err := h.frames(m, buf)
	if err != nil {
		return gnet.Close
	}
	if used > 0 { // Discard(0) discards everything
		_, _ = c.Discard(used)
	}
	return gnet.None
}

// upgrade answers the handshake. Without a whole head it returns nil, nil.
func (h *gnetHub) upgrade(c gnet.Conn) (*member[gnet.Conn], error) {
	buf, err := c.Peek(-1)
	if err != nil {
		return nil, err
	}
	end := bytes.Index(buf, headEnd)
	if end < 0 {
		if len(buf) > maxHead {
			return nil, errors.New("gnet: the request head is too long")
		}
		return nil, nil
	}
	end += len(headEnd)
	var target *url.URL
	upgrader := ws.Upgrader{OnRequest: func(uri []byte) (err error) {
		target, err = url.ParseRequestURI(string(uri))
		return err
	}}
	head := struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(buf[:end]), c}
	if _, err := upgrader.Upgrade(head); err != nil {
		return nil, err
	}
	if _, err := c.Discard(end); err != nil {
		return nil, err
	}
	return h.rooms.join(channelOf(target), c), nil
}

// frames handles what is whole in buf and returns how much that was.
func (h *gnetHub) frames(m *member[gnet.Conn], buf []byte) (used int, err error) {
	for {
		rest := buf[used:]
		in := bytes.NewReader(rest)
		header, err := ws.ReadHeader(in)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return used, nil
		}
		if err == nil {
			err = ws.CheckHeader(header, ws.StateServerSide)
		}
		if err != nil {
			return used, err
		}
		if header.Length > maxMessage || !header.Fin {
			return used, errors.New("gnet: a fragment or too long a message")
		}
		start := len(rest) - in.Len()
		end := start + int(header.Length)
		if len(rest) < end {
			return used, nil
		}
		payload := rest[start:end]
		ws.Cipher(payload, header.Mask, 0)
		if err := h.frame(m, header.OpCode, payload); err != nil {
			return used, err
		}
		used += end
	}
}

// frame handles one frame; an error ends the connection.
func (h *gnetHub) frame(m *member[gnet.Conn], op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpText:
		h.out = appendFrame(h.out[:0], ws.OpText, payload)
		h.rooms.publish(m, func(to gnet.Conn) { _, _ = to.Write(h.out) })
	case ws.OpPing:
		h.out = appendFrame(h.out[:0], ws.OpPong, payload)
		_, err := m.conn.Write(h.out)
		return err
	case ws.OpClose:
		h.out = appendFrame(h.out[:0], ws.OpClose, payload)
		_, _ = m.conn.Write(h.out)
		return io.EOF
	}
	return nil
}

// appendFrame appends a server's frame.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	out := bytes.NewBuffer(dst)
	// A bytes.Buffer takes all, and the header is valid.
	_ = ws.WriteHeader(out, ws.Header{Fin: true, OpCode: op, Length: int64(len(payload))})
	return append(out.Bytes(), payload...)
}
