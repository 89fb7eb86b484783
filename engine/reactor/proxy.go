package reactor

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/panjf2000/gnet/v2"
	"github.com/pires/go-proxyproto"
)

// Proxies are the peers that are believed about whose connection it is: by a PROXY
// header before anything else, and by X-Forwarded-For in an upgrade request.
type Proxies struct {
	Prefixes []netip.Prefix
	Unix     bool // those that come by the unix socket
}

// trust reports whether addr is a proxy's; the zero Addr is that of a unix socket.
func (p *Proxies) trust(addr netip.Addr) bool {
	if !addr.IsValid() {
		return p.Unix
	}
	for _, prefix := range p.Prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// behind returns the client's address, given the peer's and the values of
// X-Forwarded-For joined by commas: each proxy appends the address that it was
// connected from, so the rightmost that is no proxy's is the last to be known.
func (p *Proxies) behind(peer netip.Addr, forwarded []byte) netip.Addr {
	for len(forwarded) > 0 && p.trust(peer) {
		i := bytes.LastIndexByte(forwarded, ',')
		addr, ok := hopOf(bytes.TrimSpace(forwarded[i+1:]))
		if !ok {
			break
		}
		peer, forwarded = addr, forwarded[:max(i, 0)]
	}
	return peer
}

// hopOf reads an address, which some proxies write with a port.
func hopOf(text []byte) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(string(text)); err == nil {
		return addr.WithZone("").Unmap(), true
	}
	if both, err := netip.ParseAddrPort(string(text)); err == nil {
		return both.Addr().WithZone("").Unmap(), true
	}
	return netip.Addr{}, false
}

const (
	// maxProxyLine is the longest PROXY header of version 1 with its end, in
	// bytes, and
	maxProxyLine = 107
	// maxProxyHead is the longest of version 2 that is taken: the addresses, and
	// what else the proxy has to say, as of TLS with the client.
	maxProxyHead = 4 << 10
)

var (
	proxyLine = []byte("PROXY ")
	proxySign = []byte("\r\n\r\n\x00\r\nQUIT\n")

	errProxyHead = errors.New("reactor: a PROXY header that cannot be read")
	errShort     = errors.New("reactor: more is to come")
)

// proxyHead returns the length of the PROXY header that b begins with, 0 if that is
// something else, or errShort if it cannot be told yet.
func proxyHead(b []byte) (int, error) {
	switch {
	case bytes.HasPrefix(b, proxyLine):
		end := bytes.Index(b[:min(len(b), maxProxyLine)], crlf)
		if end < 0 && len(b) >= maxProxyLine {
			return 0, errProxyHead
		} else if end < 0 {
			return 0, errShort
		}
		return end + len(crlf), nil
	case bytes.HasPrefix(b, proxySign):
		const fixed = 16 // the length of what follows stands at its end
		if len(b) < fixed {
			return 0, errShort
		}
		n := fixed + int(binary.BigEndian.Uint16(b[fixed-2:]))
		if n > maxProxyHead {
			return 0, errProxyHead
		} else if n > len(b) {
			return 0, errShort
		}
		return n, nil
	case bytes.HasPrefix(proxyLine, b), bytes.HasPrefix(proxySign, b):
		return 0, errShort
	}
	return 0, nil
}

// proxied returns the client's address in a whole PROXY header, the zero Addr if it
// has none to tell: a health check of the proxy itself, or another family.
func proxied(head []byte) (netip.Addr, error) {
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(head), len(head)))
	if err != nil {
		return netip.Addr{}, errors.Join(errProxyHead, err)
	}
	if h.Command.IsLocal() {
		return netip.Addr{}, nil
	}
	source, _, ok := h.TCPAddrs()
	if !ok || source == nil {
		return netip.Addr{}, nil
	}
	return source.AddrPort().Addr().WithZone("").Unmap(), nil
}

// readProxy waits for the end of a PROXY header, if it is one that a proxy sends
// first, and goes on with what is behind it.
func (c *Conn) readProxy(buf []byte) gnet.Action {
	first := append(c.unread(), buf...)
	c.rest = nil
	n, err := proxyHead(first)
	if errors.Is(err, errShort) {
		c.setUnread(first)
		return gnet.None
	}
	if err == nil && n > 0 {
		var client netip.Addr
		client, err = proxied(first[:n])
		c.setAddr(client)
	}
	if err != nil {
		c.loop.cfg.Logger.Debug("connection of a proxy ended", "error", err)
		return gnet.Close
	}
	c.state = stateHead
	if c.tls != nil {
		c.state = stateHello
	}
	if n == len(first) {
		return gnet.None
	}
	return c.input(first[n:])
}
