package cluster

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"signalbox/engine/auth"
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// maxMetadata is what peer metadata may measure, in bytes.
const maxMetadata = 4096

// flagOnce marks a direct that may come twice, of which one counts: it is asked
// for again where nobody seemed to have heard it.
const flagOnce = 1

// appendPublication appends a message to a channel. ask is the number under which
// it is counted, 0 for not at all.
func appendPublication(dst []byte, ask uint64, p Publication) []byte {
	dst = append(dst, kindPublication)
	dst = binary.AppendUvarint(dst, ask)
	dst = appendText(dst, p.App)
	dst = appendText(dst, p.Channel)
	dst = appendText(dst, p.From)
	dst = appendText(dst, p.FromMetadata)
	return appendText(dst, p.Frame)
}

// sizePublication is an upper bound of what a publication takes with its subject.
func sizePublication(p Publication) int {
	return recordRoom + (1+maxToken)*(len(p.App)+len(p.Channel)) + len(p.From) + len(p.FromMetadata) + len(p.Frame)
}

// clone returns p in memory of its own. Data is the end of Frame, but for the brace behind it.
func (p Publication) clone() Publication {
	p.App, p.Channel, p.From = strings.Clone(p.App), strings.Clone(p.Channel), strings.Clone(p.From)
	p.FromMetadata, p.Frame = bytes.Clone(p.FromMetadata), bytes.Clone(p.Frame)
	end := len(p.Frame) - 1
	p.Data = p.Frame[end-len(p.Data) : end]
	return p
}

// publication reads what appendPublication wrote. Data is yet to be found.
func (c *cursor) publication() (ask uint64, p Publication) {
	ask = c.number()
	p.App, p.Channel, p.From = c.view(), c.view(), c.view()
	p.FromMetadata, p.Frame = c.bytes(), c.bytes()
	return ask, p
}

// appendDirect appends a message to a peer.
func appendDirect(dst []byte, ask uint64, flags byte, d Direct) []byte {
	dst = append(dst, kindDirect)
	dst = binary.AppendUvarint(dst, ask)
	dst = append(dst, flags)
	dst = appendText(dst, d.App)
	dst = appendText(dst, d.To)
	dst = appendText(dst, d.From)
	dst = appendText(dst, d.FromMetadata)
	return appendText(dst, d.Data)
}

// sizeDirect is an upper bound of what a direct takes with its subject.
func sizeDirect(d Direct) int {
	return recordRoom + (1+maxToken)*(len(d.App)+len(d.To)) + len(d.From) + len(d.FromMetadata) + len(d.Data)
}

// clone returns d in memory of its own.
func (d Direct) clone() Direct {
	d.App, d.To, d.From = strings.Clone(d.App), strings.Clone(d.To), strings.Clone(d.From)
	d.FromMetadata, d.Data = bytes.Clone(d.FromMetadata), bytes.Clone(d.Data)
	return d
}

func (c *cursor) direct() (ask uint64, flags byte, d Direct) {
	ask, flags = c.number(), c.byte()
	d.App, d.To, d.From = c.view(), c.view(), c.view()
	d.FromMetadata, d.Data = c.bytes(), c.bytes()
	return ask, flags, d
}

// checker checks what other nodes say. It has scratch memory, so it belongs to
// the reader.
type checker struct {
	maxData int // bytes of a message's data
	scanner protocol.Scanner
	scratch []byte
}

// publication checks a message to a channel and finds its Data in its Frame.
func (k *checker) publication(p *Publication) error {
	if !auth.ValidAppID(p.App) || !validConcrete(p.Channel) || !protocol.ValidPeerID(p.From) {
		return errName
	}
	if err := k.metadata(p.FromMetadata); err != nil {
		return err
	}
	text, ok := textFrame(p.Frame)
	if !ok {
		return errFrame
	}
	// What the message says around its data is what this node would say itself.
	k.scratch = protocol.AppendMessage(k.scratch[:0], p.Channel, p.From, nil, nil)
	head, tail := k.scratch[:len(k.scratch)-1], k.scratch[len(k.scratch)-1:]
	data, ok := bytes.CutPrefix(text, head)
	if !ok {
		return errFrame
	}
	if data, ok = bytes.CutSuffix(data, tail); !ok {
		return errFrame
	}
	p.Data = data
	return k.data(data)
}

// textFrame returns the text of a whole frame as the server writes it.
func textFrame(f []byte) (text []byte, ok bool) {
	if len(f) < 2 {
		return nil, false
	}
	n := 2
	switch f[1] { // RFC 6455 §5.2, payload length
	case 126:
		n = 4
	case 127:
		n = 10
	}
	if len(f) < n {
		return nil, false
	}
	var head [10]byte
	return f[n:], bytes.Equal(frame.AppendHeader(head[:0], frame.OpText, len(f)-n), f[:n])
}

// direct checks a message to a peer.
func (k *checker) direct(d Direct) error {
	if !auth.ValidAppID(d.App) || !protocol.ValidPeerID(d.To) || !protocol.ValidPeerID(d.From) {
		return errName
	}
	if err := k.metadata(d.FromMetadata); err != nil {
		return err
	}
	return k.data(d.Data)
}

func (k *checker) data(data []byte) error {
	if len(data) > k.maxData {
		return errSize
	}
	if !utf8.Valid(data) || !k.scanner.Valid(data) {
		return errJSON
	}
	return nil
}

// metadata checks that m is empty or a JSON object.
func (k *checker) metadata(m []byte) error {
	if len(m) == 0 {
		return nil
	}
	if len(m) > maxMetadata {
		return errSize
	}
	if m[0] != '{' || !utf8.Valid(m) || !k.scanner.Valid(m) {
		return errJSON
	}
	return nil
}

// validConcrete reports whether name can be a channel.
func validConcrete(name string) bool {
	return protocol.ValidChannel(name) && !protocol.IsGlob(name)
}
